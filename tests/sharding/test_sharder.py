"""Shards from a manifest: what they hold, that they are whole, and that they stay."""

import csv
import dataclasses
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf
from drawn_manifests import instance, outcomes, read_clips, with_instances
from sharding import CLIP, OPTIONS

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.decoder_pool.jobs import VideoLimits
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.shard_format import shard_folder
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding.sharder import write_shards
from wlasl_tfrecord.video.decode import decode_clip
from wlasl_tfrecord.video.sampling import evenly_spaced


@pytest.mark.parametrize("codec", ["raw", "png", "jpeg"])
def test_clips_come_back_as_they_were_decoded(tmp_path, manifest, codec):
    options = dataclasses.replace(OPTIONS, codec=codec)
    report = write_shards(manifest, tmp_path / "s", options=options, workers=2)
    assert report.num_written == 24
    by_id = {i.video_id: i for i in manifest.instances}
    seen = set()
    for split, count in (("train", 18), ("val", 6)):
        clips = read_clips(tmp_path / "s", split)
        assert len(clips) == count
        for frames, context in clips:
            wanted = by_id[context["clip/media_id"].decode()]
            exact, _ = decode_clip(wanted.path, clip=CLIP, framing="center")
            if codec == "jpeg":
                assert np.mean((frames.astype(float) - exact) ** 2) < 60
            else:
                np.testing.assert_array_equal(frames, exact)
            assert context["clip/label/index"] == wanted.label
            assert wanted.split == split
            seen.add(wanted.video_id)
    assert len(seen) == 24


def test_frames_are_the_right_ones(tmp_path, manifest, frame_number):
    clip = ClipSpec(num_frames=6, height=120, width=120)
    write_shards(manifest, tmp_path / "s", options=ShardOptions(clip=clip), workers=2)
    for frames, context in read_clips(tmp_path / "s", "val"):
        n = int(context["clip/media_id"])
        expected = [50 * n + k for k in evenly_spaced(4 + n, 6).tolist()]
        assert [frame_number(frame) for frame in frames] == expected


def test_the_table_of_records_is_true(tmp_path, manifest):
    write_shards(manifest, tmp_path / "s", options=OPTIONS, workers=2)
    folder = shard_folder.load_folder(tmp_path / "s")
    for split in ("train", "val"):
        table = shard_folder.load_records(folder, split)
        shards = folder.split_shards(split)
        for n, video_id in enumerate(table.video_ids):
            path = folder.shard_path(shards[table.shard_indices[n]])
            with open(path, "rb") as file:
                file.seek(table.offsets[n])
                assert int.from_bytes(file.read(8), "little") == table.num_bytes[n]
                file.seek(4, os.SEEK_CUR)
                proto = tf.train.Example.FromString(file.read(table.num_bytes[n]))
                assert int.from_bytes(file.read(4), "little") == table.crcs[n]
            context = proto.features.feature
            assert context["clip/media_id"].bytes_list.value[0].decode() == video_id
            assert context["clip/label/index"].int64_list.value[0] == table.labels[n]
            assert table.signer_ids[n] == int(video_id) % 5
            assert table.num_distinct_frames[n] == min(6, 4 + int(video_id))


def test_a_folder_of_images_is_a_video(tmp_path, manifest):
    images = tmp_path / "frames"
    images.mkdir()
    for n in range(9):
        cv2.imwrite(str(images / f"{n}.png"), np.full((64, 64, 3), 20 * n, np.uint8))
    one = dataclasses.replace(manifest, instances=(instance("frames", images),))
    write_shards(one, tmp_path / "s", options=OPTIONS, workers=1)
    ((frames, _),) = read_clips(tmp_path / "s", "train")
    assert [int(f[0, 0, 0]) for f in frames] == [
        20 * n for n in evenly_spaced(9, 6).tolist()
    ]


def test_no_clip_at_all_is_an_error_with_a_report(tmp_path, manifest):
    (tmp_path / "a.mp4").write_bytes(b"<html>")
    one = dataclasses.replace(manifest, instances=(instance("a", tmp_path / "a.mp4"),))
    out = tmp_path / "s"
    for _ in range(2):
        with pytest.raises(ManifestError, match=r"none of the 1 videos became a clip"):
            write_shards(one, out, options=OPTIONS, workers=1)
        assert sorted(p.name for p in out.iterdir()) == ["failures.csv", "report.json"]
    # Once there is one that can be decoded, it goes on.
    report = write_shards(manifest, out, options=OPTIONS, workers=2)
    assert report.num_written == 24


def test_a_split_of_which_nothing_can_be_decoded_is_no_split(tmp_path, manifest):
    (tmp_path / "a.mp4").write_bytes(b"<html>")
    more = with_instances(manifest, instance("a", tmp_path / "a.mp4", "test"))
    out = tmp_path / "s"
    write_shards(more, out, options=OPTIONS, workers=2)
    assert shard_folder.load_folder(out).splits == ("train", "val")
    assert not list(out.glob("*test*"))
    assert write_shards(more, out, options=OPTIONS).num_shards_written == 0


def test_more_glosses_than_a_folder_can_have_are_refused(tmp_path, manifest):
    glosses = tuple(map(str, range(20_001)))
    many = dataclasses.replace(manifest, glosses=glosses)
    with pytest.raises(ManifestError, match=r"20,001 glosses, and .*20,000; .*--subse"):
        write_shards(many, tmp_path / "s")


def test_workers_must_be_one_at_least(tmp_path, manifest):
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        write_shards(manifest, tmp_path / "s", options=OPTIONS, workers=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timeout_seconds": 0}, "timeout must be above 0"),
        ({"memory_mib": 10}, "memory must be at least 200 MiB and below 2.*, got 10"),
        ({"memory_mib": 2**43}, "memory must be .* and below 2.*, got 8796093022208"),
    ],
)
def test_limits_under_which_nothing_works_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        VideoLimits(**change)


def test_decoders_and_dry_runs_import_no_tensorflow():
    program = (
        "import sys\n"
        "import wlasl_tfrecord.decoder_pool.worker_main\n"
        "import wlasl_tfrecord.sharding.run_plan\n"
        "import wlasl_tfrecord.cli.shard\n"
        "heavy = {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


class TestRealClips:
    def write(self, wlasl_data, tmp_path, annotations, clip):
        manifest = read_manifest(
            wlasl_data / "wlasl100-mini",
            annotations=wlasl_data / "annotations" / annotations,
            subset=100,
        )
        options = ShardOptions(clip=clip, codec="jpeg", subset=100)
        report = write_shards(manifest, tmp_path / "s", options=options)
        with (wlasl_data / "wlasl100-mini" / "truth.csv").open() as file:
            truth = {row["video_id"]: row for row in csv.DictReader(file)}
        return report, truth

    @pytest.mark.parametrize("annotations", ["WLASL_v0.3.json", "nslt_100.json"])
    def test_every_clip_of_wlasl100_is_written(self, wlasl_data, tmp_path, annotations):
        clip = ClipSpec(num_frames=4, height=32, width=32)
        report, truth = self.write(wlasl_data, tmp_path, annotations, clip)
        assert report.num_failed == 0
        counts = report.splits
        assert (counts["train"]["written"], counts["val"]["written"]) == (646, 144)
        found = outcomes(tmp_path / "s")
        for video_id, row in truth.items():
            assert found[video_id]["outcome"] == "written"
            assert found[video_id]["split"] == row["official_split"]
            assert found[video_id]["gloss"] == row["gloss"]
            decoded = int(row["decoded_frames"])
            assert found[video_id]["num_video_frames"] == decoded
        assert counts["test"]["written"] == 0
        missing = sum(count["missing"] for count in counts.values())
        assert missing == len(found) - 790

    def test_the_traps_come_out_as_they_should(self, wlasl_data, tmp_path):
        src = tmp_path / "videos"
        shutil.copytree(wlasl_data / "wlasl-clips" / "videos", src)
        broken = wlasl_data / "wlasl-clips" / "broken"
        for video_id in ("00335", "00381"):
            name = f"mangled_utf8_{video_id}.mp4"
            shutil.copy(broken / name, src / f"{video_id}.mp4")
        manifest = read_manifest(src, annotations=wlasl_data / "annotations")
        options = ShardOptions(clip=ClipSpec(num_frames=30, height=32, width=32))
        report = write_shards(manifest, tmp_path / "s", options=options, src=src)
        found = outcomes(tmp_path / "s")
        assert report.num_written == 62
        assert report.num_failed == 2
        assert len(found) == 21083
        assert found["70304"]["range_rule"] == found["10004"]["range_rule"] == "trimmed"
        assert found["63185"]["range_rule"] == "cut"
        assert found["06334"]["num_distinct_frames"] == 19
        assert ("57948", "57949") in report.leaks
        assert found["00335"]["reason"].startswith("unreadable: not a video")
        assert found["00335"]["path"] == "00335.mp4"

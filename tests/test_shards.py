"""Shards from a manifest: what they hold, that they are whole, and that they stay."""

import csv
import dataclasses
import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf
from sharding import folder_bytes

from wlasl_tfrecord import examples, index
from wlasl_tfrecord.clips import ClipSpec, frame_indices
from wlasl_tfrecord.decode import decode_clip
from wlasl_tfrecord.errors import ManifestError, OutputError
from wlasl_tfrecord.instances import Instance, Manifest
from wlasl_tfrecord.manifest import read_manifest
from wlasl_tfrecord.shards import DecoderLimits, ShardOptions, write_shards

CLIP = ClipSpec(num_frames=6, height=64, width=64)
OPTIONS = ShardOptions(clip=CLIP)
GLOSSES = ("book", "drink")


@pytest.fixture(scope="module")
def videos(tmp_path_factory, numbered_video):
    """24 videos, whose lengths and first numbers all differ."""
    directory = tmp_path_factory.mktemp("videos")
    for n in range(24):
        numbered_video(
            directory / f"{n:05d}.mp4", num_frames=4 + n, first_number=50 * n
        )
    return directory


def instance(video_id, path, split="train", label=0, **kwargs):
    return Instance(
        video_id=video_id,
        gloss=GLOSSES[label],
        label=label,
        split=split,
        path=None if path is None else str(path),
        **kwargs,
    )


@pytest.fixture
def manifest(videos):
    """The 24 videos: 18 to train, 6 to val, and two that are missing."""
    present = [
        instance(
            f"{n:05d}",
            videos / f"{n:05d}.mp4",
            "val" if n % 4 == 3 else "train",
            label=n % 2,
            signer_id=n % 5,
        )
        for n in range(24)
    ]
    absent = [instance("90000", None), instance("90001", None, "test")]
    return Manifest(instances=(*present, *absent), glosses=GLOSSES, annotations="drawn")


def with_instances(manifest, *more):
    return dataclasses.replace(manifest, instances=(*manifest.instances, *more))


def read_clips(out, split, keys=("clip/label/index", "clip/media_id")):
    """Reads a split back by its shards alone, in order."""
    folder = index.load_folder(out)
    paths = [folder.shard_path(shard) for shard in folder.split_shards(split)]
    clips = []
    for record in tf.data.TFRecordDataset(paths):
        parsed = examples.parse_clip(record, folder.clip, folder.codec, keys)
        frames = examples.decode_frames(parsed, folder.clip, folder.codec).numpy()
        clips.append((frames, {key: parsed[key].numpy() for key in keys}))
    return clips


def outcomes(out):
    report = json.loads((out / "report.json").read_text())
    return {values["video_id"]: values for values in report["instances"]}


def failures(out):
    with (out / "failures.csv").open(newline="") as file:
        return {row["video_id"]: row for row in csv.DictReader(file)}


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
        expected = [50 * n + k for k in frame_indices(4 + n, 6).tolist()]
        assert [frame_number(frame) for frame in frames] == expected


def test_the_table_of_records_is_true(tmp_path, manifest):
    write_shards(manifest, tmp_path / "s", options=OPTIONS, workers=2)
    folder = index.load_folder(tmp_path / "s")
    for split in ("train", "val"):
        table = index.load_records(folder, split)
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


def test_every_instance_has_one_outcome(tmp_path, manifest, videos):
    (tmp_path / "broken.mp4").write_bytes(b"<html>")
    everything = with_instances(
        manifest,
        instance("broken", tmp_path / "broken.mp4"),
        instance("bad", videos / "00000.mp4", problem="its range is negative"),
        instance("range", videos / "00001.mp4", start=90, stop=95, annotation_fps=None),
    )
    report = write_shards(
        everything, tmp_path / "s", options=OPTIONS, workers=2, src=tmp_path
    )
    found = outcomes(tmp_path / "s")
    assert list(found) == [i.video_id for i in everything.instances]
    assert {k: v["outcome"] for k, v in found.items() if v["outcome"] != "written"} == {
        "90000": "missing",
        "90001": "missing",
        "broken": "unreadable",
        "bad": "unusable",
        "range": "range outside the video",
    }
    rows = failures(tmp_path / "s")
    assert {k: row["stage"] for k, row in rows.items()} == {
        "90000": "find",
        "90001": "find",
        "broken": "decode",
        "bad": "check",
        "range": "decode",
    }
    assert rows["broken"]["path"] == "broken.mp4"
    assert rows["broken"]["reason"].startswith("unreadable: not a video")
    assert rows["bad"]["reason"] == "its range is negative"
    assert "annotation wants frames 90 to 95, decoded 5" in rows["range"]["reason"]
    assert (report.num_written, report.num_failed) == (24, 3)
    splits = json.loads((tmp_path / "s" / "report.json").read_text())["splits"]
    assert splits["train"] == {
        "instances": 22,
        "written": 18,
        "missing": 1,
        "failed": 3,
        "left_out": 0,
        "repeated_frames": 2,
        "maybe_damaged": 0,
    }
    assert "train" in report.table()


def test_the_summary_says_what_a_person_should_know(tmp_path, manifest):
    report = write_shards(manifest, tmp_path / "s", options=OPTIONS, workers=2)
    assert report.glosses_without("train") == ()
    assert report.glosses_without("test") == GLOSSES
    assert "none of 2 glosses have a test clip: 1 missing" in report.summary()
    # Only every fourth video is in val, and all of those are of one gloss.
    assert report.glosses_without("val") == ("book",)
    text = report.summary()
    assert "24 of 24 shards written" not in text
    assert f"{tmp_path}/s/failures.csv" in text
    again = write_shards(manifest, tmp_path / "s", options=OPTIONS, workers=2)
    assert "everything is there" in again.summary()


def manifest_of(videos):
    instances = tuple(
        instance(path.stem, path, "val" if n % 4 == 3 else "train", label=n % 2)
        for n, path in enumerate(sorted(videos.glob("*.mp4")))
    )
    return Manifest(instances=instances, glosses=GLOSSES, annotations="drawn")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, videos):
    out = tmp_path_factory.mktemp("undisturbed")
    write_shards(manifest_of(videos), out, options=OPTIONS, workers=1)
    return folder_bytes(out)


@pytest.mark.parametrize("workers", [2, 5])
def test_the_bytes_are_the_same_for_any_number_of_workers(
    tmp_path, videos, undisturbed, workers
):
    write_shards(manifest_of(videos), tmp_path / "s", options=OPTIONS, workers=workers)
    assert folder_bytes(tmp_path / "s") == undisturbed


def test_a_second_run_writes_nothing(tmp_path, videos, undisturbed):
    out = tmp_path / "s"
    write_shards(manifest_of(videos), out, options=OPTIONS, workers=2)
    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    report = write_shards(manifest_of(videos), out, options=OPTIONS)
    assert report.num_shards_written == 0
    assert {p.name: p.stat().st_mtime_ns for p in out.iterdir()} == before
    assert folder_bytes(out) == undisturbed


def test_overwrite_writes_everything_again(tmp_path, videos, undisturbed):
    out = tmp_path / "s"
    write_shards(manifest_of(videos), out, options=OPTIONS, workers=2)
    report = write_shards(
        manifest_of(videos), out, options=OPTIONS, overwrite=True, workers=2
    )
    assert report.num_shards_written == 20
    assert folder_bytes(out) == undisturbed


def test_a_new_video_changes_one_shard(tmp_path, videos, undisturbed, numbered_video):
    out = tmp_path / "s"
    before = manifest_of(videos)
    write_shards(before, out, options=OPTIONS, workers=2)
    path = numbered_video(tmp_path / "new.mp4", num_frames=9, first_number=3000)
    report = write_shards(
        with_instances(before, instance("new", path)), out, options=OPTIONS
    )
    assert report.num_shards_written == 1
    after = folder_bytes(out)
    changed = {name for name in undisturbed if after[name] != undisturbed[name]}
    assert len([name for name in changed if ".tfrecord-" in name]) == 1
    assert report.num_written == 25
    assert len(read_clips(out, "train")) == 19
    # And the other way: with the video gone, everything is as it was.
    path.unlink()
    write_shards(before, out, options=OPTIONS)
    assert folder_bytes(out) == undisturbed


def test_a_changed_video_is_noticed(tmp_path, videos, numbered_video):
    copy = tmp_path / "videos"
    shutil.copytree(videos, copy)
    write_shards(manifest_of(copy), tmp_path / "s", options=OPTIONS, workers=2)
    stat = (copy / "00005.mp4").stat()
    numbered_video(copy / "00005.mp4", num_frames=9, first_number=3000)
    os.utime(copy / "00005.mp4", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    report = write_shards(manifest_of(copy), tmp_path / "s", options=OPTIONS)
    assert report.num_shards_written == 1


@pytest.mark.parametrize("change", ["replaced", "damaged", "out of reach"])
def test_a_video_that_changes_during_a_run_is_tried_by_the_next(
    tmp_path, videos, undisturbed, numbered_video, change
):
    copy, out, aside = tmp_path / "videos", tmp_path / "s", tmp_path / "aside.mp4"
    shutil.copytree(videos, copy)
    path = copy / "00005.mp4"

    def disturb(_):
        path.rename(aside)
        if change == "replaced":
            numbered_video(path, num_frames=9, first_number=3000)
        elif change == "damaged":
            path.write_bytes(aside.read_bytes()[:100])

    report = write_shards(manifest_of(copy), out, options=OPTIONS, on_plan=disturb)
    assert report.num_written == 23
    reason = "changed: it was replaced during the run"
    if change == "out of reach":
        reason = "changed: it could not be read again: No such file or directory"
    assert failures(out)["00005"]["reason"] == reason
    assert "failed: 1 changed" in report.summary()
    assert "run again for them" in report.summary()
    # As a network does that comes back: what was planned then is there now.
    aside.rename(path)
    report = write_shards(manifest_of(copy), out, options=OPTIONS)
    assert (report.num_shards_written, report.num_written) == (1, 24)
    # But for the paths in the report, which are those of the copy.
    after = folder_bytes(out)
    assert after | {"report.json": ""} == undisturbed | {"report.json": ""}


@pytest.mark.parametrize("damage", ["missing", "short", "other"])
def test_a_damaged_shard_is_written_again(tmp_path, videos, undisturbed, damage):
    out = tmp_path / "s"
    write_shards(manifest_of(videos), out, options=OPTIONS, workers=2)
    shards = sorted(p for p in out.glob("*train.tfrecord*") if p.stat().st_size)
    if damage == "missing":
        shards[0].unlink()
    elif damage == "short":
        shards[0].write_bytes(shards[0].read_bytes()[:-1])
    else:
        data = shards[0].read_bytes()
        shards[0].write_bytes(data[:-4] + bytes(4))
    report = write_shards(manifest_of(videos), out, options=OPTIONS)
    assert report.num_shards_written == 1
    assert folder_bytes(out) == undisturbed


def test_other_options_are_refused_and_named(tmp_path, manifest):
    write_shards(manifest, tmp_path / "s", options=OPTIONS, workers=2)
    before = folder_bytes(tmp_path / "s")
    other = ShardOptions(clip=ClipSpec(num_frames=6, height=32, width=64), codec="png")
    with pytest.raises(
        OutputError, match=r"height was 64 and is 32.*--overwrite"
    ) as caught:
        write_shards(manifest, tmp_path / "s", options=other)
    assert "codec was 'raw' and is 'png'" in str(caught.value)
    assert "width" not in str(caught.value)
    assert folder_bytes(tmp_path / "s") == before
    write_shards(manifest, tmp_path / "s", options=other, overwrite=True, workers=2)
    assert index.load_folder(tmp_path / "s").codec == "png"
    # TFDS could not read it, so it must not find features of the raw folder either.
    assert not (tmp_path / "s" / "features.json").exists()


def test_a_folder_of_shards_without_a_report_is_left_alone(tmp_path, manifest):
    write_shards(manifest, tmp_path / "s", options=OPTIONS, workers=2)
    (tmp_path / "s" / "report.json").unlink()
    with pytest.raises(OutputError, match="holds shards, but cannot be continued"):
        write_shards(manifest, tmp_path / "s", options=OPTIONS)


def test_a_damaged_index_is_not_mended_by_what_cannot_mend_it(tmp_path, manifest):
    write_shards(manifest, tmp_path / "s", options=OPTIONS, workers=2)
    (tmp_path / "s" / "wlasl-train.index.csv").write_text("")
    with pytest.raises(
        OutputError, match=r"cannot be continued \(.* was written with these shards\); "
    ) as caught:
        write_shards(manifest, tmp_path / "s", options=OPTIONS)
    assert "run bin/shard" not in str(caught.value)
    assert "--overwrite" in str(caught.value)


def test_the_same_content_in_two_splits_is_listed(tmp_path, manifest, videos):
    shutil.copy(videos / "00003.mp4", tmp_path / "copy.mp4")  # 00003 is in val
    both = with_instances(manifest, instance("copy", tmp_path / "copy.mp4"))
    report = write_shards(both, tmp_path / "s", options=OPTIONS, workers=2)
    assert report.leaks == (("00003", "copy"),)
    assert report.num_written == 25
    assert outcomes(tmp_path / "s")["copy"]["same_content_as"] == ["00003"]
    assert "00003 = copy" in report.summary()

    dropped = dataclasses.replace(OPTIONS, drop_leaks=True)
    report = write_shards(both, tmp_path / "t", options=dropped, workers=2)
    assert report.num_written == 24
    row = failures(tmp_path / "t")["copy"]
    assert row["stage"] == "plan"
    assert row["reason"] == "the same content as 00003 in another split"
    assert outcomes(tmp_path / "t")["copy"]["outcome"] == "left out"
    assert outcomes(tmp_path / "t")["00003"]["outcome"] == "written"


def test_what_is_left_out_for_a_video_that_fails_fails_too(tmp_path, manifest):
    for name in ("train", "val", "test"):
        (tmp_path / f"{name}.mp4").write_bytes(b"<html>")
    three = with_instances(
        manifest,
        instance("t", tmp_path / "train.mp4"),
        instance("v", tmp_path / "val.mp4", "val"),
        instance("u", tmp_path / "test.mp4", "test"),
    )
    dropped = dataclasses.replace(OPTIONS, drop_leaks=True)
    report = write_shards(three, tmp_path / "s", options=dropped, workers=2)
    assert report.num_failed == 3
    found = failures(tmp_path / "s")
    assert found["t"]["stage"] == found["v"]["stage"] == "decode"
    assert found["t"]["reason"].endswith("damaged (as u, of the same content)")
    assert outcomes(tmp_path / "s")["t"]["outcome"] == "unreadable"
    before = folder_bytes(tmp_path / "s")
    again = write_shards(three, tmp_path / "s", options=dropped, workers=2)
    assert again.num_shards_written == 0
    assert folder_bytes(tmp_path / "s") == before


def test_all_instances_of_one_content_are_named(tmp_path, manifest, videos):
    # More than an instance names of the others.
    copies = []
    for n in range(30):
        os.link(videos / "00003.mp4", tmp_path / f"copy{n:02d}.mp4")
        copies.append(instance(f"copy{n:02d}", tmp_path / f"copy{n:02d}.mp4"))
    many = with_instances(manifest, *copies)
    write_shards(many, tmp_path / "s", options=OPTIONS, workers=2)
    report = json.loads((tmp_path / "s" / "report.json").read_text())
    assert report["same_content"] == [["00003", *(i.video_id for i in copies)]]
    assert len(outcomes(tmp_path / "s")["copy29"]["same_content_as"]) < 30


def test_two_signs_of_one_long_video_are_no_duplicates(tmp_path, numbered_video):
    path = numbered_video(tmp_path / "long.mp4", num_frames=200)
    two = Manifest(
        instances=(
            instance("a", path, start=10, stop=40, annotation_fps=25.0),
            instance("b", path, "val", start=100, stop=140, annotation_fps=25.0),
        ),
        glosses=GLOSSES,
        annotations="drawn",
    )
    report = write_shards(two, tmp_path / "s", options=OPTIONS, workers=1)
    assert report.leaks == ()
    assert report.num_written == 2


def test_a_folder_of_images_is_a_video(tmp_path, manifest):
    images = tmp_path / "frames"
    images.mkdir()
    for n in range(9):
        cv2.imwrite(str(images / f"{n}.png"), np.full((64, 64, 3), 20 * n, np.uint8))
    one = dataclasses.replace(manifest, instances=(instance("frames", images),))
    write_shards(one, tmp_path / "s", options=OPTIONS, workers=1)
    ((frames, _),) = read_clips(tmp_path / "s", "train")
    assert [int(f[0, 0, 0]) for f in frames] == [
        20 * n for n in frame_indices(9, 6).tolist()
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
    assert index.load_folder(out).splits == ("train", "val")
    assert not list(out.glob("*test*"))
    assert write_shards(more, out, options=OPTIONS).num_shards_written == 0


@pytest.mark.parametrize("interrupted", [False, True])
def test_unlucky_videos_are_tried_again_when_asked(
    tmp_path, manifest, monkeypatch, interrupted
):
    # 36 megapixels: more than 250 MiB once they are decoded.
    path = str(tmp_path / "huge.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 25, (6000, 6000))
    writer.write(np.zeros((6000, 6000, 3), np.uint8))
    writer.release()
    more = with_instances(manifest, instance("huge", path))
    out = tmp_path / "s"
    small = DecoderLimits(memory_mib=250)
    if interrupted:
        with monkeypatch.context() as patch:
            patch.setattr("wlasl_tfrecord.shards.finish_folder", interrupt)
            with pytest.raises(KeyboardInterrupt):
                write_shards(more, out, options=OPTIONS, limits=small, workers=2)
    else:
        report = write_shards(more, out, options=OPTIONS, limits=small, workers=2)
        assert report.num_written == 24
        assert failures(out)["huge"]["reason"] == (
            "out of memory: its frames are too large"
        )
        report = write_shards(more, out, options=OPTIONS, workers=2)
        assert report.num_shards_written == 0
    report = write_shards(more, out, options=OPTIONS, workers=2, retry=True)
    assert (report.num_shards_written, report.num_written) == (1, 25)


def interrupt(*_):
    raise KeyboardInterrupt


def test_workers_must_be_one_at_least(tmp_path, manifest):
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        write_shards(manifest, tmp_path / "s", options=OPTIONS, workers=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timeout_seconds": 0}, "timeout must be above 0"),
        ({"memory_mib": 10}, "memory must be at least 200 MiB, got 10"),
    ],
)
def test_limits_under_which_nothing_works_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        DecoderLimits(**change)


def test_decoders_and_dry_runs_import_no_tensorflow():
    program = (
        "import sys\n"
        "import wlasl_tfrecord.decoder_process, wlasl_tfrecord.folder_plan\n"
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

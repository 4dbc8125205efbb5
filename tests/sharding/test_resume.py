"""Shards of other runs: the same bytes; kept, mended, written again or refused."""

import os
import shutil
from contextlib import nullcontext

import cv2
import numpy as np
import pytest
from drawn_manifests import failures, instance, manifest_of, read_clips, with_instances
from sharding import OPTIONS, folder_bytes

from wlasl_tfrecord.decoder_pool.jobs import VideoLimits
from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.shard_format import shard_folder
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding.sharder import write_shards


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


def test_other_options_are_refused_and_named(tmp_path, manifest, capsys):
    write_shards(manifest, tmp_path / "s", options=OPTIONS, workers=2)
    before = folder_bytes(tmp_path / "s")
    other = ShardOptions(clip=ClipSpec(num_frames=6, height=32, width=64), codec="png")
    with pytest.raises(
        OutputError, match=r"height was 64 and is 32.*--overwrite"
    ) as caught:
        write_shards(manifest, tmp_path / "s", options=other, show_progress=True)
    # Of thousands of videos that would have taken minutes.
    assert "reading" not in capsys.readouterr().err
    assert "codec was 'raw' and is 'png'" in str(caught.value)
    assert "width" not in str(caught.value)
    assert folder_bytes(tmp_path / "s") == before
    write_shards(manifest, tmp_path / "s", options=other, overwrite=True, workers=2)
    assert shard_folder.load_folder(tmp_path / "s").codec == "png"
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


@pytest.mark.parametrize("interrupted", [False, True])
def test_unlucky_videos_are_tried_again_when_asked(
    tmp_path, manifest, monkeypatch, interrupted
):
    path = str(tmp_path / "huge.avi")
    draw_huge_video(path)
    more = with_instances(manifest, instance("huge", path))
    out = tmp_path / "s"
    small = VideoLimits(memory_mib=250)
    if interrupted:
        with monkeypatch.context() as patch:
            patch.setattr("wlasl_tfrecord.sharding.sharder.finish_folder", interrupt)
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


@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("name", ["take: 2: b.avi", "unreadable: x.avi"])
def test_a_video_whose_name_looks_like_a_reason_is_tried_again(
    tmp_path, manifest, monkeypatch, name, interrupted
):
    path = str(tmp_path / name)
    draw_huge_video(path)
    more = with_instances(manifest, instance("huge", path))
    out = tmp_path / "s"
    small = VideoLimits(memory_mib=250)
    with monkeypatch.context() as patch:
        if interrupted:
            patch.setattr("wlasl_tfrecord.sharding.sharder.finish_folder", interrupt)
        with pytest.raises(KeyboardInterrupt) if interrupted else nullcontext():
            write_shards(more, out, options=OPTIONS, limits=small, workers=2)
    report = write_shards(more, out, options=OPTIONS, workers=2, retry=True)
    assert report.num_written == 25


def test_a_changed_video_whose_name_looks_like_a_reason_is_tried_again(
    tmp_path, videos
):
    copy, out = tmp_path / "videos", tmp_path / "s"
    shutil.copytree(videos, copy)
    path = (copy / "00005.mp4").rename(copy / "take: 2: b.mp4")
    manifest = manifest_of(copy)

    def disturb(_):
        path.rename(tmp_path / "aside.mp4")

    report = write_shards(manifest, out, options=OPTIONS, on_plan=disturb)
    assert failures(out)["take: 2: b"]["reason"].startswith("changed: it could not")
    (tmp_path / "aside.mp4").rename(path)
    report = write_shards(manifest, out, options=OPTIONS)
    assert (report.num_shards_written, report.num_failed) == (1, 0)


def draw_huge_video(path):
    """Draws 36 megapixels: more than 250 MiB once they are decoded."""
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 25, (6000, 6000))
    writer.write(np.zeros((6000, 6000, 3), np.uint8))
    writer.release()


def interrupt(*_):
    raise KeyboardInterrupt

"""The report: one outcome for every instance, and who shows the same as whom."""

import dataclasses
import json
import os
import shutil

import pytest
from drawn_manifests import GLOSSES, failures, instance, outcomes, with_instances
from sharding import OPTIONS, folder_bytes

from wlasl_tfrecord.annotations.manifest import Manifest
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.sharding.run_plan import plan_folder
from wlasl_tfrecord.sharding.sharder import write_shards


def test_every_instance_has_one_outcome(tmp_path, manifest, videos):
    (tmp_path / "broken.mp4").write_bytes(b"<html>")
    everything = with_instances(
        manifest,
        instance("broken", tmp_path / "broken.mp4"),
        instance("bad", videos / "00000.mp4", problem="its range is negative"),
        instance("range", videos / "00001.mp4", start=90, stop=95, annotation_fps=None),
        instance("=1+1", None),
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
        "=1+1": "missing",
    }
    rows = failures(tmp_path / "s")
    assert {k: row["stage"] for k, row in rows.items()} == {
        "90000": "find",
        "90001": "find",
        "broken": "decode",
        "bad": "check",
        "range": "decode",
        # No formula for a spreadsheet.
        "'=1+1": "find",
    }
    assert rows["broken"]["path"] == "broken.mp4"
    assert rows["broken"]["reason"].startswith("unreadable: not a video")
    assert rows["bad"]["reason"] == "its range is negative"
    assert "frames 90 to 95 are wanted, decoded 5" in rows["range"]["reason"]
    assert (report.num_written, report.num_failed) == (24, 3)
    splits = json.loads((tmp_path / "s" / "report.json").read_text())["splits"]
    assert splits["train"] == {
        "instances": 23,
        "written": 18,
        "missing": 2,
        "failed": 3,
        "left_out": 0,
        "repeated_frames": 2,
        "maybe_damaged": 0,
    }
    assert "train" in report.table()
    glosses = json.loads((tmp_path / "s" / "report.json").read_text())["glosses"]
    assert glosses == {
        "book": {
            "train": {"failed": 3, "missing": 2, "written": 12},
            "test": {"missing": 1},
        },
        "drink": {"train": {"written": 6}, "val": {"written": 6}},
    }


def test_the_summary_says_what_a_person_should_know(tmp_path, manifest):
    report = write_shards(manifest, tmp_path / "s", options=OPTIONS, workers=2)
    assert report.glosses_without("train") == ()
    assert report.glosses_without("test") == GLOSSES
    assert "none of the 2 glosses have a test clip: 1 missing" in report.summary()
    # Only every fourth video is in val, and all of those are of one gloss.
    assert report.glosses_without("val") == ("book",)
    text = report.summary()
    assert "24 of 24 shards written" not in text
    assert f"{tmp_path}/s/failures.csv" in text
    again = write_shards(manifest, tmp_path / "s", options=OPTIONS, workers=2)
    assert "everything is there" in again.summary()


def test_clips_that_go_are_named(tmp_path, manifest):
    out = tmp_path / "s"
    write_shards(manifest, out, options=OPTIONS, workers=2)
    fewer = dataclasses.replace(manifest, instances=manifest.instances[3:])
    gone = [i.video_id for i in manifest.instances[:3]]
    plan = plan_folder(fewer, out, options=OPTIONS)
    expected = ", ".join(gone)
    assert f"3 clips that the folder holds will go: {expected}" in plan.summary()
    report = write_shards(fewer, out, options=OPTIONS, workers=2)
    assert f"3 clips that the folder held are gone: {expected}" in report.summary()
    again = write_shards(fewer, out, options=OPTIONS, workers=2)
    assert "are gone" not in again.summary()


def test_videos_that_are_out_of_reach_cost_a_finished_folder_nothing(
    tmp_path, manifest
):
    out = tmp_path / "s"
    write_shards(manifest, out, options=OPTIONS, workers=2)
    before = folder_bytes(out)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"<html>")
    # Out of reach when they are read, and when they are decoded.
    for path in (tmp_path / "none.mp4", broken):
        lost = tuple(
            i if i.path is None else dataclasses.replace(i, path=str(path))
            for i in manifest.instances
        )
        with pytest.raises(
            ManifestError, match=r"none of .* \(.*\); .*s is left as it"
        ):
            write_shards(
                dataclasses.replace(manifest, instances=lost), out, options=OPTIONS
            )
        assert folder_bytes(out) == before


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
    assert found["t"]["reason"].endswith("again (as u, of the same content)")
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

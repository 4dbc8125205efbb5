"""The manifest as a whole, on drawn and on the real annotations."""

import csv
from collections import Counter

import pytest
from annotations import by_id, touch, wlasl_json, wlasl_row

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.video.sampling import sign_range


def test_a_subset_keeps_the_first_glosses(tmp_path):
    touch(tmp_path, "1.mp4", "2.mp4")
    wlasl_json(
        tmp_path / "WLASL_v0.3.json",
        {"book": [wlasl_row("1")], "drink": [wlasl_row("2")]},
    )
    manifest = read_manifest(tmp_path, subset=1)
    assert manifest.glosses == ("book",)
    assert list(by_id(manifest)) == ["1"]
    with pytest.raises(ManifestError, match="has 2 glosses, not 3; ask for a smaller"):
        read_manifest(tmp_path, subset=3)
    with pytest.raises(ValueError, match="subset must be at least 1, got 0"):
        read_manifest(tmp_path, subset=0)
    with pytest.raises(ValueError, match=r"split_by must be one of .*, got 'name'"):
        read_manifest(tmp_path, split_by="name")  # pyright: ignore[reportArgumentType]


def test_wlasl100_of_the_real_annotations(wlasl_data):
    manifest = read_manifest(wlasl_data / "wlasl100-mini", subset=100)
    present = Counter(i.split for i in manifest.instances if i.path)
    assert present == {"train": 646, "val": 144}
    assert Counter(i.split for i in manifest.instances) == {
        "train": 1442,
        "val": 338,
        "test": 258,
    }
    assert len(manifest.glosses) == 100
    assert manifest.glosses[:3] == ("book", "drink", "computer")
    assert all(i.problem is None for i in manifest.instances)


def test_the_real_clips_have_the_splits_and_ranges_that_are_true(wlasl_data):
    manifest = read_manifest(wlasl_data / "wlasl-clips")
    present = {v: i for v, i in by_id(manifest).items() if i.path}
    with (wlasl_data / "wlasl-clips" / "truth.csv").open() as file:
        truth = {row["video_id"]: row for row in csv.DictReader(file)}
    assert set(present) == set(truth)
    for video_id, row in truth.items():
        instance = present[video_id]
        assert instance.gloss == row["gloss"]
        assert instance.label == int(row["class_id"])
        assert instance.split == row["official_split"]
        assert instance.signer_id == int(row["signer_id"])
    rules = {
        video_id: sign_range(
            int(truth[video_id]["decoded_frames"]),
            float(truth[video_id]["fps"]),
            present[video_id].start,
            present[video_id].stop,
            present[video_id].annotation_fps,
        )
        for video_id in ("70304", "10004", "63185")
    }
    assert rules == {
        "70304": (0, 121, "trimmed"),
        "10004": (0, 57, "trimmed"),
        "63185": (2054, 2111, "cut"),
    }


def test_the_format_may_be_named(tmp_path):
    touch(tmp_path, "1.mp4", "a/1.mp4", "b/1.mp4")
    wlasl_json(tmp_path / "odd.data", {"book": [wlasl_row("1")]})
    (tmp_path / "t.csv").write_text("path,gloss,split\na/1.mp4,drink,test\n")
    assert read_manifest(tmp_path).glosses == ("drink",)
    for annotations, form, glosses in [
        (None, "csv", ("drink",)),
        (tmp_path / "odd.data", "wlasl", ("book",)),
        (None, "folders", ("a", "b")),
        ("none", None, ("a", "b")),
    ]:
        manifest = read_manifest(
            tmp_path, annotations=annotations, annotation_format=form
        )
        assert manifest.glosses == glosses
    with pytest.raises(
        ManifestError,
        match=r"no label file of the format nslt in or beside .*; name it",
    ):
        read_manifest(tmp_path, annotation_format="nslt")
    with pytest.raises(
        ValueError, match=r"annotation_format must be one of .*, got 'x'"
    ):
        read_manifest(tmp_path, annotation_format="x")  # pyright: ignore[reportArgumentType]


def test_a_table_without_splits_may_be_named_by_its_format(tmp_path):
    touch(tmp_path, "1.mp4", "2.mp4")
    wlasl_json(tmp_path / "WLASL_v0.3.json", {"book": [wlasl_row("1")]})
    (tmp_path / "t.csv").write_text("path,gloss\n2.mp4,drink\n")
    (tmp_path / "u.csv").write_text("a,b\n")
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("book",)
    note = next(note for note in manifest.notes if "not used" in note)
    assert "not used: 2; " in note
    assert "u.csv is not understood" in note
    assert read_manifest(tmp_path, annotation_format="csv").glosses == ("drink",)


def test_the_summary_of_the_real_annotations(wlasl_data):
    manifest = read_manifest(wlasl_data / "wlasl100-mini", subset=100)
    instances, glosses, splits = manifest.summary()
    assert instances.startswith("2,038 instances in ")
    assert glosses == (
        "glosses: 100, by order in the JSON: 0 'book', 1 'drink', 2 'computer', "
        "3 'before' … 97 'son', 98 'tell', 99 'thursday'"
    )
    assert splits == "splits: 1,442 train, 338 val, 258 test, by the JSON"


def test_splits_by_signer_are_said(wlasl_data):
    manifest = read_manifest(wlasl_data / "wlasl100-mini", split_by="signer")
    assert manifest.summary()[2].endswith(" test, by the hash of the signers")

"""Class folders: splits and labels by the names of folders."""

from collections import Counter

import pytest
from annotations import touch, wlasl_json, wlasl_row

from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.manifest import read_manifest


def test_class_folders_with_splits_label_by_name(tmp_path):
    touch(
        tmp_path,
        "train/drink/a.mp4",
        "train/book/c.AVI",
        "valid/book/d.mp4",
        "test/drink/e.mp4",
        "test/drink/frames/001.png",
        "test/drink/notes.txt",
    )
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("book", "drink")
    assert [(i.video_id, i.split, i.label) for i in manifest.instances] == [
        ("train/book/c.AVI", "train", 0),
        ("train/drink/a.mp4", "train", 1),
        ("valid/book/d.mp4", "val", 0),
        ("test/drink/e.mp4", "test", 1),
        ("test/drink/frames", "test", 1),
    ]
    assert all(
        i.problem is None and i.annotation_fps is None for i in manifest.instances
    )
    assert manifest.notes == ()


def test_without_val_a_fifth_of_train_becomes_it(tmp_path):
    names = [f"train/{gloss}/{k}.mp4" for gloss in "ab" for k in range(20)]
    touch(tmp_path, *names, "test/a/x.mp4")
    manifest = read_manifest(tmp_path)
    counts = Counter((i.gloss, i.split) for i in manifest.instances)
    assert counts == {
        ("a", "train"): 16,
        ("a", "val"): 4,
        ("b", "train"): 16,
        ("b", "val"): 4,
        ("a", "test"): 1,
    }
    assert "a fifth of train" in manifest.notes[0]


def test_a_test_folder_alone_stays_what_it_is(tmp_path):
    touch(tmp_path, "test/a/1.mp4", "test/a/2.mp4")
    manifest = read_manifest(tmp_path)
    assert {i.split for i in manifest.instances} == {"test"}
    assert manifest.notes == ()


def test_signs_named_like_splits_are_signs(tmp_path):
    touch(tmp_path, *[f"{sign}/{k}.mp4" for sign in ("test", "dev") for k in range(3)])
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("dev", "test")
    assert Counter(i.split for i in manifest.instances) == {
        "train": 2,
        "val": 2,
        "test": 2,
    }


def test_without_splits_all_three_are_made(tmp_path):
    touch(tmp_path, *[f"{gloss}/{k}.mp4" for gloss in "ab" for k in range(50)])
    manifest = read_manifest(tmp_path)
    counts = Counter((i.gloss, i.split) for i in manifest.instances)
    for gloss in "ab":
        assert counts[gloss, "train"] == 34
        assert counts[gloss, "val"] == 9
        assert counts[gloss, "test"] == 7
    assert "no split is given" in manifest.notes[0]


def test_made_splits_are_pinned(tmp_path):
    # Two releases must deal the same videos to the same splits, or a model of one is
    # tested by the other on what it was trained with.
    touch(tmp_path, *[f"book/{k}.mp4" for k in range(8)])
    splits = {i.video_id: i.split for i in read_manifest(tmp_path).instances}
    assert splits == {
        "book/0.mp4": "train",
        "book/1.mp4": "train",
        "book/2.mp4": "test",
        "book/3.mp4": "train",
        "book/4.mp4": "train",
        "book/5.mp4": "train",
        "book/6.mp4": "val",
        "book/7.mp4": "train",
    }


def test_classes_txt_fixes_the_labels(tmp_path):
    touch(tmp_path, "drink/a.mp4", "book/b.mp4")
    (tmp_path / "classes.txt").write_text("drink\ncar\nbook\n")
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("drink", "car", "book")
    assert {i.gloss: i.label for i in manifest.instances} == {"drink": 0, "book": 2}
    (tmp_path / "classes.txt").write_text("drink\n")
    with pytest.raises(ManifestError, match=r"folder 'book' in .* is no class of"):
        read_manifest(tmp_path)


def test_class_folders_beside_a_json_that_names_other_videos_are_used(tmp_path):
    touch(tmp_path / "sorted", "book/1.mp4", "book/2.mp4")
    wlasl_json(tmp_path / "WLASL_v0.3.json", {"book": [wlasl_row("7")]})
    manifest = read_manifest(tmp_path / "sorted")
    assert len(manifest.instances) == 2
    assert "names no video of" in manifest.notes[-1]


def test_a_class_folder_outside_is_refused(tmp_path):
    touch(tmp_path, "elsewhere/1.mp4", "src/drink/1.mp4")
    (tmp_path / "src" / "book").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ManifestError, match=r"folder '.* leads outside .*; move"):
        read_manifest(tmp_path / "src")

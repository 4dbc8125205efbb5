"""Class folders: splits and labels by the names of folders."""

from collections import Counter

import pytest
from annotations import touch, wlasl_json, wlasl_row

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.video.files import VIDEO_SUFFIXES


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
    assert "a fifth of train" in manifest.splits_from


def test_a_test_folder_alone_stays_what_it_is(tmp_path):
    touch(tmp_path, "test/a/1.mp4", "test/a/2.mp4")
    manifest = read_manifest(tmp_path)
    assert {i.split for i in manifest.instances} == {"test"}
    assert manifest.notes == ()


def test_signs_named_like_splits_are_signs_where_classes_txt_lists_them(tmp_path):
    touch(tmp_path, *[f"{sign}/{k}.mp4" for sign in ("test", "dev") for k in range(3)])
    with pytest.raises(ManifestError, match="lie in 'dev', 'test', which are not"):
        read_manifest(tmp_path)
    (tmp_path / "classes.txt").write_text("dev\ntest\n")
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
    assert manifest.splits_from == "a hash of the names, as no split is given"


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
    with pytest.raises(ManifestError, match=r"folder 'book' in .* is not a class of"):
        read_manifest(tmp_path)


def test_class_folders_beside_a_json_that_names_other_videos_are_used(tmp_path):
    touch(tmp_path / "sorted", "book/1.mp4", "book/2.mp4")
    wlasl_json(tmp_path / "WLASL_v0.3.json", {"book": [wlasl_row("7")]})
    manifest = read_manifest(tmp_path / "sorted")
    assert len(manifest.instances) == 2
    assert manifest.notes[-1] == (
        f"{tmp_path}/WLASL_v0.3.json is not used: folders name the glosses"
    )


@pytest.mark.parametrize("spelling", [str, str.upper])
def test_class_folders_sorted_out_of_wlasl_are_used(tmp_path, spelling):
    folders = [spelling("book"), spelling("drink")]
    touch(tmp_path / "sorted", f"{folders[0]}/1.mp4", f"{folders[1]}/2.mp4")
    glosses = {"book": [wlasl_row("1")], "drink": [wlasl_row("2")]}
    wlasl_json(tmp_path / "WLASL_v0.3.json", glosses)
    assert list(read_manifest(tmp_path / "sorted").glosses) == folders


@pytest.mark.parametrize(
    ("src", "folder", "annotations"),
    [
        ("wlasl", "wlasl/downloads of may", "wlasl/WLASL_v0.3.json"),
        ("wlasl/videos", "wlasl/videos/american", "wlasl/WLASL_v0.3.json"),
    ],
)
def test_folders_that_mix_what_annotations_tell_apart_are_refused(
    tmp_path, src, folder, annotations
):
    # They would all be one class, by the name of the folder that only holds them.
    touch(tmp_path / folder, "1.mp4", "2.mp4", "3.mp4")
    rows = {"book": [wlasl_row("1"), wlasl_row("2")], "drink": [wlasl_row("3")]}
    wlasl_json(tmp_path / annotations, rows)
    with pytest.raises(ManifestError) as info:
        read_manifest(tmp_path / src)
    assert str(info.value) == (
        f"{tmp_path / folder} is not a folder of one sign: 1.mp4 is 'book' and 3.mp4 "
        f"'drink' in {tmp_path / annotations}; name the one folder that holds all "
        "videos with --src, or move the annotations away"
    )


@pytest.mark.parametrize("image", ["thumb_1.jpg", "._cover_1.jpg"])
def test_a_picture_beside_the_videos_of_a_sign_takes_none_away(tmp_path, image):
    touch(tmp_path, "book/1.mp4", "drink/2.mp4", f"book/{image}", f"loose/{image}")
    touch(tmp_path, "drink/frames/01.png", f"drink/notes/{image}", "film/01.png")
    touch(tmp_path, "drink/frames/whole.mp4")
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("book", "drink")
    ids = {"book/1.mp4", "drink/2.mp4", "drink/frames"}
    if image == "thumb_1.jpg":
        ids.add("drink/notes")
    assert {instance.video_id for instance in manifest.instances} == ids
    # What its frames were extracted from is no other video.
    assert not any("left out" in note for note in manifest.notes)


@pytest.mark.parametrize(
    ("taken", "strays"),
    [
        (["train/book/1.mp4"], ["Test set/book/3.mp4", "train/4.mp4", "5.avi"]),
        (["book/1.mp4"], ["drink/3.gif", "drink/4.rm", "drink/5.MP4.part"]),
        (["book/1.mp4"], ["book/day1/2.mp4"]),
        (["book/1.mp4", "book/frames/01.png"], ["a/b/c/2.mov"]),
        (["hello/1.mp4"], ["frames.mp4/x/2.mp4"]),
        (["book/1.mp4"], []),
    ],
)
def test_videos_in_no_class_folder_are_counted(tmp_path, taken, strays):
    src = touch(tmp_path / "src", *taken, *strays)
    # Neither what is hidden, nor pictures, nor what lies deeper than people put videos.
    touch(src, ".a.mp4", ".b/c.mp4", "book/.d.mp4", "e.png", "f/g.jpg", "a/b/c/d/6.mp4")
    touch(tmp_path / "elsewhere", "7.mp4")
    (src / "f" / "loop").symlink_to("..")
    (src / "f" / "outside").symlink_to(tmp_path / "elsewhere")
    (src / "f" / "self").symlink_to("self")
    manifest = read_manifest(src)
    paths = [instance.path for instance in manifest.instances]
    assert paths == [str(src / name.removesuffix("/01.png")) for name in taken]
    notes = [note for note in manifest.notes if "left out" in note]
    assert notes == (
        [
            f"videos in {src} that are left out: {len(strays)}, such as "
            f"{min(strays, key=lambda name: (name.count('/'), name))}; taken are "
            "<sign>/*, or train/<sign>/*, val/<sign>/* and test/<sign>/*, of "
            + " ".join(VIDEO_SUFFIXES)
        ]
        if strays
        else []
    )


def test_videos_to_which_class_folders_link_are_not_left_out(tmp_path):
    touch(tmp_path, "all/x/1.mp4", "all/x/2.mp4", "train/book/readme")
    for name in ("1.mp4", "2.mp4"):
        (tmp_path / "train" / "book" / name).symlink_to(f"../../all/x/{name}")
    manifest = read_manifest(tmp_path)
    assert len(manifest.instances) == 2
    assert manifest.notes == ()


def test_a_class_folder_outside_is_refused(tmp_path):
    touch(tmp_path, "elsewhere/1.mp4", "src/drink/1.mp4")
    (tmp_path / "src" / "book").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ManifestError, match=r"folder '.* leads outside .*; move"):
        read_manifest(tmp_path / "src")

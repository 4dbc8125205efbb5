"""INCLUDE as it is downloaded."""

from collections import Counter

import pytest
from annotations import by_id, touch

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.errors import ManifestError

VIDEOS = [
    "Seasons/63. Winter/MVI_1.MOV",
    "Seasons/Ex. Monsoon/MVI_2.MOV",
    "Adjectives/1. loud/MVI_3.MOV",
    "Adjectives/78. big large/MVI_4.MOV",
    "Days_and_Time/Second (Number)/MVI_5.MOV",
    "Places/19. House/MVI_6.MOV",
    "Places/19. House/extra/MVI_7.MOV",
]
# In the order of the authors' label map: by the letters of the folders, in small ones.
GLOSSES = ("big large", "Monsoon", "House", "loud", "Second (Number)", "Winter")


def test_include_without_lists_has_made_splits(tmp_path):
    touch(
        tmp_path, *VIDEOS, *[f"Seasons/63. Winter/MVI_{k}.MOV" for k in range(10, 19)]
    )
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == GLOSSES
    counts = Counter((i.gloss, i.split) for i in manifest.instances)
    winter = [counts["Winter", split] for split in ("train", "val", "test")]
    assert winter == [7, 2, 1]
    assert counts["House", "train"] == counts["House", "val"] == 1
    assert manifest.splits_from == "a hash of the names, as no split is given"
    assert {i.signer_id for i in manifest.instances} == {-1}


@pytest.mark.parametrize("place", ["train_test_paths", ".", "../train_test_paths"])
def test_the_published_lists_fix_the_splits(tmp_path, place):
    src = touch(tmp_path / "include", *VIDEOS)
    lists = src / place
    lists.mkdir(exist_ok=True)
    (lists / "include_train.txt").write_text("\n".join(VIDEOS[:3]) + "\n")
    (lists / "include_val.txt").write_text(VIDEOS[3] + "\n")
    (lists / "include_test.txt").write_text("\n".join([VIDEOS[6], "A/1. x/gone.MOV"]))
    manifest = read_manifest(src)
    assert {v: i.split for v, i in by_id(manifest).items()} == {
        **dict.fromkeys(VIDEOS[:3], "train"),
        VIDEOS[3]: "val",
        VIDEOS[6]: "test",
        "A/1. x/gone.MOV": "test",
    }
    assert by_id(manifest)["A/1. x/gone.MOV"].path is None
    assert by_id(manifest)[VIDEOS[6]].gloss == "House"
    assert manifest.notes[0].startswith(
        "videos that the lists do not name: 2, such as "
    )


def test_the_tables_of_splits_give_a_val_too(tmp_path):
    names = [f"Seasons/63. Winter/MVI_{k}.MOV" for k in range(5)]
    src = touch(tmp_path, *names, *VIDEOS)
    (src / "Train_Test_Split").mkdir()
    for name, videos in (("train_include", names), ("test_include", VIDEOS)):
        rows = "".join(f"x,y,z,{video}\n" for video in videos[1:])
        (src / "Train_Test_Split" / f"{name}.csv").write_text(
            f"Category,Word,Video,FilePath\n{rows}"
        )
    manifest = read_manifest(src)
    assert Counter(i.split for i in manifest.instances) == {
        "train": 3,
        "val": 1,
        "test": 6,
    }
    assert manifest.splits_from.endswith("no val, so a fifth of train is val")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("include_train.txt", "a/b\n", "a line must be category/sign/video, got 'a/b'"),
        ("train_include.csv", "a,b\n", "line 1 names no column FilePath"),
        ("include_train.txt", "\u00e9", "cannot read .*include_train"),
    ],
)
def test_a_damaged_list_says_so(tmp_path, name, text, message):
    touch(tmp_path, *VIDEOS)
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path)


def test_a_video_in_two_lists_says_so(tmp_path):
    touch(tmp_path, *VIDEOS)
    for split in ("train", "test"):
        (tmp_path / f"include_{split}.txt").write_text(VIDEOS[0])
    with pytest.raises(ManifestError, match=r"MVI_1\.MOV is in train too; remove one"):
        read_manifest(tmp_path)

"""AUTSL as it is downloaded."""

import os

import pytest
from annotations import by_id, touch

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.errors import ManifestError

SIGNS = "ClassId,TR,EN\r\n0,abla,sister\r\n1,acele,hurry\r\n2,siz,you\r\n"


def autsl(folder, **tables):
    """Writes tables without a first line of names, and videos in colour and depth."""
    for name, rows in tables.items():
        (folder / f"{name}.csv").write_text(
            "".join(f"{row}\r\n" for row in rows), newline=""
        )
    (folder / "SignList_ClassId_TR_EN.csv").write_text(SIGNS, newline="")
    for split, names in {
        "train": ["signer0_sample1", "signer0_sample2", "signer12_sample1"],
        "val": ["signer5_sample1"],
        "test": ["signer6_sample1"],
    }.items():
        touch(folder / split, *[f"{name}_color.mp4" for name in names])
        touch(folder / split, *[f"{name}_depth.mp4" for name in names])


TRAIN = ["signer0_sample1,0", "signer0_sample2,2", "signer12_sample1,0"]


@pytest.mark.parametrize(
    ("val", "test"),
    [
        ("validation_labels", "test_labels"),
        ("val_labels", "ground_truth"),
        ("val/ground_truth", "test/ground_truth"),
    ],
)
def test_autsl_has_its_own_labels_splits_and_signers(tmp_path, val, test):
    for folder in ("val", "test"):
        (tmp_path / folder).mkdir()
    tables = {val: ["signer5_sample1,2"], test: ["signer6_sample1,1"]}
    autsl(tmp_path, train_labels=TRAIN, **tables)
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("abla", "acele", "siz")
    values = {
        v: (i.label, i.split, i.signer_id, i.path and os.path.relpath(i.path, tmp_path))
        for v, i in by_id(manifest).items()
    }
    assert values == {
        "signer0_sample1": (0, "train", 0, "train/signer0_sample1_color.mp4"),
        "signer0_sample2": (2, "train", 0, "train/signer0_sample2_color.mp4"),
        "signer12_sample1": (0, "train", 12, "train/signer12_sample1_color.mp4"),
        "signer5_sample1": (2, "val", 5, "val/signer5_sample1_color.mp4"),
        "signer6_sample1": (1, "test", 6, "test/signer6_sample1_color.mp4"),
    }
    assert "videos of depth, which are left out: 5" in manifest.notes
    assert f"{tmp_path} is read as autsl; --format names another format" in (
        manifest.notes
    )


def test_a_part_of_autsl_is_read_with_the_tables_beside_it(tmp_path):
    autsl(tmp_path, train_labels=[*TRAIN, "signer9_sample9,1"], test_labels=[])
    manifest = read_manifest(tmp_path / "train")
    assert [bool(i.path) for i in manifest.instances] == [True] * 3 + [False]
    assert {i.split for i in manifest.instances} == {"train"}


def test_without_the_list_of_signs_the_glosses_are_numbers(tmp_path):
    autsl(tmp_path, train_labels=["signer0_sample1,41", "signer0_sample2,5"])
    (tmp_path / "SignList_ClassId_TR_EN.csv").unlink()
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("5", "41")
    assert "videos without a label: 3, such as test/signer6_sample1_color.mp4" in (
        manifest.notes
    )


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"train_labels": [*TRAIN, "x,1"]}, "line 4 must be like signer0_sample1,41, "),
        (
            {"train_labels": ["signer0_sample1,x"]},
            "line 1 must be like signer0_sample1",
        ),
        ({"train_labels": ["signer0_sample1,9"]}, "class 9 is not in .*SignList"),
        (
            {"labels": ["signer7_sample1,1"]},
            "the split of signer7_sample1 is unknown",
        ),
        (
            {"test_labels": ["signer0_sample1,1"]},
            "the video of signer0_sample1 is in the folder of train, and the table "
            "is that of test",
        ),
        (
            {
                "train_labels": ["signer0_sample1,1"],
                "more_train": ["signer0_sample1,2"],
            },
            "signer0_sample1 has another class or split in .*; remove one of the two",
        ),
    ],
)
def test_damaged_tables_of_autsl_name_the_line(tmp_path, tables, message):
    autsl(tmp_path, **tables)
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path, annotation_format="autsl")


@pytest.mark.parametrize(
    ("signs", "message"),
    [
        ("a,b\n", "line 1 must be ClassId,TR,EN, got 'a,b'"),
        (
            "ClassId,TR,EN\nx,abla,y\n",
            "line 2: ClassId must be a whole number, got 'x'",
        ),
        ("ClassId,TR,EN\n0,,y\n", "line 2: a gloss must be one line of text"),
        ("ClassId,TR,EN\n0,abla,y\n1,abla,z\n", "a word occurs twice in column TR"),
    ],
)
def test_a_damaged_list_of_signs_says_so(tmp_path, signs, message):
    autsl(tmp_path, train_labels=TRAIN)
    (tmp_path / "SignList_ClassId_TR_EN.csv").write_text(signs)
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path)

"""Splits that nobody gave: by the hash of a name, and by signer."""

import dataclasses
from collections import Counter

import pytest
from annotations import by_id, touch, wlasl_json, wlasl_row

from wlasl_tfrecord.annotations.manifest import Instance
from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.annotations.splits import (
    SPLIT_SHARES,
    split_by_name,
    with_made_splits,
    with_made_val,
)
from wlasl_tfrecord.errors import ManifestError


def signer_json(path, num_signers, num_clips=6):
    rows = [
        wlasl_row(f"{signer}-{k}", signer_id=signer)
        for signer in range(num_signers)
        for k in range(num_clips)
    ]
    wlasl_json(path, {"book": rows[::2], "drink": rows[1::2]})


@pytest.mark.parametrize(
    # So many of a gloss, so many in train, val and test: never none in train.
    ("num_names", "counts"),
    [
        *[(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (4, (2, 1, 1))],
        (10, (7, 2, 1)),  # 1.8 of them is two, and 1.4 is one
        (50, (34, 9, 7)),
    ],
)
def test_a_split_gets_its_rounded_share_and_train_the_rest(num_names, counts):
    names = [f"{n}.mp4" for n in range(num_names)]
    found = Counter(split_by_name(names, SPLIT_SHARES).values())
    assert tuple(found[split] for split in SPLIT_SHARES) == counts


def test_splits_by_signer_share_nobody(tmp_path):
    touch(tmp_path, "0-0.mp4")
    signer_json(tmp_path / "a.json", 40)
    manifest = read_manifest(tmp_path, split_by="signer")
    signers = {}
    for instance in manifest.instances:
        signers.setdefault(instance.split, set()).add(instance.signer_id)
    assert {split: len(ids) for split, ids in signers.items()} == {
        "train": 27,
        "val": 7,
        "test": 6,
    }
    assert not signers["train"] & signers["val"]
    assert not signers["train"] & signers["test"]
    assert not signers["val"] & signers["test"]
    assert "27 signers in train, 7 in val, 6 in test" in manifest.notes[-1]


def test_splits_by_signer_agree_for_every_subset(tmp_path):
    touch(tmp_path, "0-0.mp4")
    signer_json(tmp_path / "a.json", 12, 7)
    whole = by_id(read_manifest(tmp_path, split_by="signer"))
    for video_id, instance in by_id(
        read_manifest(tmp_path, split_by="signer", subset=1)
    ).items():
        assert instance.split == whole[video_id].split


@pytest.mark.parametrize(
    ("num_signers", "splits"),
    [(1, {"train"}), (2, {"train", "val"}), (3, {"train", "val", "test"})],
)
def test_few_signers_still_fill_the_splits(tmp_path, num_signers, splits):
    touch(tmp_path, "0-0.mp4")
    signer_json(tmp_path / "a.json", num_signers)
    manifest = read_manifest(tmp_path, split_by="signer")
    assert {instance.split for instance in manifest.instances} == splits


def test_an_unknown_signer_is_left_out_of_splits_by_signer(tmp_path):
    touch(tmp_path, "1.mp4", "2.mp4")
    rows = [wlasl_row(str(n), signer_id=-1 if n > 1 else 3) for n in (1, 2, 3)]
    wlasl_json(tmp_path / "a.json", {"book": rows})
    manifest = read_manifest(tmp_path, split_by="signer")
    known, unknown, missing = manifest.instances
    assert known.problem is None
    assert unknown.problem == "its signer is unknown, splits are by signer"
    # A video that is not there is missing, and has not failed.
    assert (missing.path, missing.problem) == (None, None)
    assert "; 2 instances of unknown signers are left out" in manifest.notes[-1]
    wlasl_json(tmp_path / "a.json", {"book": rows[1:]})
    with pytest.raises(ManifestError, match="names no signers, so splits by signer"):
        read_manifest(tmp_path, split_by="signer")


def test_splits_by_signer_of_the_real_annotations_are_pinned(wlasl_data):
    # Another value is another set of splits: results would no longer compare.
    manifest = read_manifest(wlasl_data / "wlasl-clips", split_by="signer")
    assert manifest.notes[-1] == (
        "splits by signer: 84 signers in train, 18 in val, 17 in test"
    )
    assert Counter(i.split for i in manifest.instances) == {
        "train": 14_413,
        "val": 3_707,
        "test": 2_963,
    }


def instances(gloss, num, **changes):
    return [
        Instance(video_id=f"{gloss}{k}", gloss=gloss, label=0, split="train", **changes)
        for k in range(num)
    ]


@pytest.mark.parametrize("made", [with_made_splits, with_made_val])
@pytest.mark.parametrize("num_there", [1, 2, 3])
def test_a_gloss_keeps_a_train_clip_as_long_as_it_has_one(made, num_there):
    # Whatever is missing or cannot be used, and however many that are.
    for gloss in "abcdefghij":
        rows = [
            *instances(f"{gloss}there", num_there, path="x"),
            *instances(f"{gloss}missing", 9),
            *instances(f"{gloss}bad", 9, path="x", problem="it is a pipe"),
        ]
        rows = [dataclasses.replace(row, gloss=gloss) for row in rows]
        shares = () if made is with_made_val else (SPLIT_SHARES,)
        found = made(rows, *shares)
        assert [row.video_id for row in found] == [row.video_id for row in rows]
        usable = Counter(row.split for row in found[:num_there])
        assert usable["train"] >= 1
        assert usable["val"] == (num_there > 1)
        assert Counter(row.split for row in found[num_there:])["val"] >= 3


def test_a_made_val_leaves_test_alone():
    rows = instances("a", 10, path="x")
    rows += [
        dataclasses.replace(row, video_id=f"t{row.video_id}", split="test")
        for row in rows
    ]
    assert Counter(row.split for row in with_made_val(rows)) == {
        "train": 8,
        "val": 2,
        "test": 10,
    }

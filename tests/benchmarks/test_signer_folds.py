"""Folds of a train split by signer."""

import numpy as np
import pytest

from benchmarks.signer_folds import signer_folds, write_fold
from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
from wlasl_tfrecord.shard_format.shard_folder import load_folder, load_records


def test_no_signer_is_in_two_folds_and_every_known_one_is_in_one():
    signers = np.random.default_rng(0).integers(-1, 9, 200)
    folds = signer_folds(signers, 3)
    together = np.concatenate(folds)
    np.testing.assert_array_equal(np.sort(together), np.flatnonzero(signers >= 0))
    owners = [set(signers[fold].tolist()) for fold in folds]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]
    # Nine signers of about twenty clips cannot be divided more evenly than by one.
    sizes = [len(fold) for fold in folds]
    assert max(sizes) - min(sizes) <= np.bincount(signers[signers >= 0]).max()


def test_the_signer_with_most_clips_is_taken_first():
    assert [
        fold.tolist() for fold in signer_folds(np.array([0, 1, 2, 2, 2, 1]), 2)
    ] == [
        [2, 3, 4],
        [0, 1, 5],
    ]


@pytest.mark.parametrize("num_folds", [1, 4])
def test_more_folds_than_signers_are_refused(num_folds):
    message = rf"{num_folds} folds of 3 known signers; choose from 2 to 3"
    with pytest.raises(ValueError, match=message):
        signer_folds(np.array([0, 1, 2, 2, -1]), num_folds)


@pytest.mark.parametrize("codec", ["raw", "jpeg"])
def test_a_fold_is_a_shard_folder_with_the_same_clips(write_folder, tmp_path, codec):
    counts = {"train": 9, "val": 3}
    folder = load_folder(write_folder(tmp_path / "shards", counts, codec=codec))
    signers = load_records(folder, "train").signer_ids
    held_out = signer_folds(signers, 2)[1]
    write_fold(folder, held_out, tmp_path / "fold")
    written = write_fold(folder, held_out, tmp_path / "fold")  # replaced
    fold = load_folder(tmp_path / "fold")
    assert fold == written.__class__(
        **{**vars(written), "table_sha256": fold.table_sha256}
    )
    assert {split: fold.num_clips(split) for split in fold.splits} == {
        "train": 9 - len(held_out),
        "val": 3,
        "test": len(held_out),
    }
    expected = {
        clip["video_id"]: clip
        for clip in map(ShardReader(folder, "train").__getitem__, range(9))
    }
    for split in ("train", "test"):
        reader = ShardReader(fold, split)
        for clip in map(reader.__getitem__, range(len(reader))):
            original = expected.pop(clip["video_id"])
            assert (clip["label"], clip["signer_id"]) == (
                original["label"],
                original["signer_id"],
            )
            np.testing.assert_array_equal(clip["frames"], original["frames"])
            assert (split == "test") == (clip["signer_id"] in signers[held_out])
    assert not expected
    np.testing.assert_array_equal(
        ShardReader(fold, "val")[2]["frames"], ShardReader(folder, "val")[2]["frames"]
    )


def test_a_disk_without_hard_links_gets_copies(write_folder, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    folder = load_folder(write_folder(tmp_path / "shards"))
    fold = write_fold(folder, np.array([0, 4]), tmp_path / "fold")
    (shard, _) = folder.split_shards("val")
    copy = tmp_path / "fold" / shard.name
    assert copy.stat().st_nlink == 1
    assert copy.read_bytes() == (tmp_path / "shards" / shard.name).read_bytes()
    assert fold.num_clips("test") == 2

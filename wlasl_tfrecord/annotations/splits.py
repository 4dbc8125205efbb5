"""Splits made by us, where annotations have none: the same on every machine."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from wlasl_tfrecord.annotations.manifest import Instance

__all__ = [
    "MADE_BY_NAME",
    "SPLIT_SHARES",
    "SPLIT_WORDS",
    "VAL_OF_TRAIN",
    "split_by_name",
    "split_by_signer",
    "with_made_splits",
    "with_made_val",
]

# As WLASL: 14,289 train, 3,916 val and 2,878 test of 21,083.
SPLIT_SHARES: Mapping[str, float] = {"train": 0.68, "val": 0.18, "test": 0.14}

# How splits were made, for the summary of a manifest.
MADE_BY_NAME = "a hash of the names, as no split is given"
# Where annotations have train and test alone.
VAL_OF_TRAIN: Mapping[str, float] = {"train": 0.8, "val": 0.2}

# What people call them, in folders and tables.
SPLIT_WORDS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def split_by_name(names: Iterable[str], shares: Mapping[str, float]) -> dict[str, str]:
    """Assigns the videos of one gloss to splits, by the hash of their names.

    Called gloss by gloss, so that the splits are stratified. The hash ranks the videos;
    the shares say how many of them each split gets. Each split but the first gets its
    share, rounded, and at least one video. The first keeps at least one: a gloss with a
    single video has it in train.

    Args:
        names: The videos of one gloss, in any order.
        shares: The share of each split; the first takes what the others leave.

    Returns:
        Name -> split.

    >>> split_by_name(["a", "b", "c", "d", "e"], {"train": 0.8, "val": 0.2})
    {'a': 'train', 'b': 'train', 'c': 'val', 'd': 'train', 'e': 'train'}
    """
    order = sorted(set(names), key=lambda name: (_hash(name), name))
    first, *others = shares
    splits = dict.fromkeys(sorted(order), first)
    left = list(order)
    for split in others:
        count = max(1, round(shares[split] * len(order)))
        for name in left[: max(0, min(count, len(left) - 1))]:
            splits[name] = split
        left = [name for name in left if splits[name] == first]
    return splits


def with_made_splits(
    instances: Iterable[Instance], shares: Mapping[str, float]
) -> tuple[Instance, ...]:
    """Returns instances with splits made gloss by gloss, by the hash of their ids.

    What can be used is split first and by itself, so that every gloss that has a video
    has one in the first split. The others, missing ones above all, are split too: they
    are counted there.

    Args:
        instances: The instances; what their splits are does not matter.
        shares: The share of each split; the first takes what the others leave.
    """
    rows = list(instances)
    splits: dict[str, str] = {}
    for usable in (False, True):
        ids: dict[str, list[str]] = {}
        for row in rows:
            if (row.path is not None and row.problem is None) == usable:
                ids.setdefault(row.gloss, []).append(row.video_id)
        for group in ids.values():
            splits |= split_by_name(group, shares)
    return tuple(dataclasses.replace(row, split=splits[row.video_id]) for row in rows)


def with_made_val(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """Returns instances of which a fifth of train, gloss by gloss, has become val."""
    rows = list(instances)
    train = [row for row in rows if row.split == "train"]
    made = {row.video_id: row for row in with_made_splits(train, VAL_OF_TRAIN)}
    return tuple(made.get(row.video_id, row) for row in rows)


def split_by_signer(signer_ids: Sequence[int]) -> dict[int, str]:
    """Assigns signers to splits, so that no signer is in two of them.

    Signers are taken in the order of their hash. Each goes to the split that lacks most
    clips of its share. A split without a signer then takes the one with the fewest
    clips from train, if train has another one.

    Args:
        signer_ids: The signer of every clip, none unknown.

    Returns:
        Signer -> split.

    >>> split_by_signer([0] * 7 + [1] * 2 + [2])
    {0: 'train', 1: 'val', 2: 'test'}
    """
    num_clips = Counter(signer_ids)
    order = sorted(num_clips, key=lambda signer: (_hash(str(signer)), signer))
    lacking = {split: share * len(signer_ids) for split, share in SPLIT_SHARES.items()}
    splits: dict[int, str] = {}
    for signer in order:
        split = max(lacking, key=lambda name: lacking[name])
        splits[signer] = split
        lacking[split] -= num_clips[signer]
    for split in ("val", "test"):
        train = [signer for signer in order if splits[signer] == "train"]
        if split not in splits.values() and len(train) > 1:
            splits[min(train, key=lambda signer: num_clips[signer])] = split
    return dict(sorted(splits.items()))


def _hash(name: str) -> bytes:
    # Another salt than that of the order of records: with the same one, the first
    # shards of a split would hold the videos with the lowest hashes.
    return hashlib.sha256(b"split:" + name.encode("utf-8", "surrogateescape")).digest()

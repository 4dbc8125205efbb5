"""Splits made by us, where annotations have none: the same on every machine."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "MADE_BY_NAME",
    "SPLIT_SHARES",
    "SPLIT_WORDS",
    "VAL_OF_TRAIN",
    "split_by_gloss",
    "split_by_name",
    "split_by_signer",
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


def split_by_gloss(
    glosses: Mapping[str, str], shares: Mapping[str, float]
) -> dict[str, str]:
    """Assigns videos to splits, gloss by gloss, as `split_by_name` does.

    Args:
        glosses: Name of each video -> its gloss.
        shares: The share of each split; the first takes what the others leave.

    Returns:
        Name -> split.
    """
    by_gloss: dict[str, list[str]] = {}
    for name, gloss in glosses.items():
        by_gloss.setdefault(gloss, []).append(name)
    splits: dict[str, str] = {}
    for names in by_gloss.values():
        splits |= split_by_name(names, shares)
    return splits


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

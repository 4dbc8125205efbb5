"""The summary of a shard folder in numbers, as `bin/inspect` prints it."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wlasl_tfrecord.shard_format.landmarks import LANDMARK_GROUPS
from wlasl_tfrecord.shard_format.layout import INFO_FILE
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import (
    ShardFolder,
    glosses_without,
    load_records,
)
from wlasl_tfrecord.storage.contents import read_json
from wlasl_tfrecord.storage.urls import join_path
from wlasl_tfrecord.text import size_text

__all__ = [
    "FolderSummary",
    "SplitSummary",
    "summarize",
    "summary_dict",
    "summary_text",
]


@dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """One split in numbers.

    Attributes:
        num_clips: Clips.
        num_shards: Files.
        num_bytes: Bytes of these files.
        num_glosses: Glosses with at least one clip.
        num_signers: Signers who are known.
        num_unknown_signers: Clips whose signer is unknown.
        fewest_clips: Clips of the rarest gloss that has any.
        most_clips: Clips of the most frequent gloss.
        num_repeating: Clips that repeat frames, because their video has too few.
        fewest_distinct_frames: The smallest number of distinct frames in a clip.
    """

    num_clips: int
    num_shards: int
    num_bytes: int
    num_glosses: int
    num_signers: int
    num_unknown_signers: int
    fewest_clips: int
    most_clips: int
    num_repeating: int
    fewest_distinct_frames: int


@dataclass(frozen=True, kw_only=True)
class FolderSummary:
    """A shard folder in numbers.

    Attributes:
        directory: Where it lies.
        format_version: The version of its format.
        codec: How frames are stored.
        framing: How frames were made to fit.
        clip_shape: (T, H, W, 3).
        has_landmarks: Whether the clips have landmarks.
        options: What else `bin/shard` was told.
        num_glosses: Glosses of the folder, those without a clip included.
        splits: The summary of each split.
        glosses_without: By split, the glosses that have no clip in it.
        shared_signers: By pair of splits, such as "train and val", the number of
            signers in both.
    """

    directory: str
    format_version: str
    codec: str
    framing: str
    clip_shape: tuple[int, int, int, int]
    has_landmarks: bool
    options: Mapping[str, object]
    num_glosses: int
    splits: Mapping[str, SplitSummary]
    glosses_without: Mapping[str, tuple[str, ...]]
    shared_signers: Mapping[str, int]


def summarize(folder: ShardFolder) -> FolderSummary:
    """Counts what a folder holds by its index; reads no record.

    Raises:
        ShardFolderError: If the table of a split is missing or damaged.
    """
    tables = {split: load_records(folder, split) for split in folder.splits}
    info = read_json(join_path(folder.directory, INFO_FILE))
    signers = {
        split: set(records.signer_ids[records.signer_ids >= 0].tolist())
        for split, records in tables.items()
    }
    return FolderSummary(
        directory=folder.directory,
        format_version=str(info["version"]),
        codec=folder.codec,
        framing=folder.framing,
        clip_shape=folder.clip.shape,
        has_landmarks=folder.has_landmarks,
        options=dict(folder.options),
        num_glosses=folder.num_classes,
        splits={s: _summarize_split(folder, s, r) for s, r in tables.items()},
        glosses_without={
            split: glosses_without(folder.glosses, set(records.labels.tolist()))
            for split, records in tables.items()
        },
        shared_signers={
            f"{one} and {other}": len(signers[one] & signers[other])
            for one, other in itertools.combinations(tables, 2)
        },
    )


def summary_text(summary: FolderSummary) -> str:
    """Writes a summary as a table for people."""
    num_frames, height, width, _ = summary.clip_shape
    lines = [
        f"{summary.directory}: format {summary.format_version}, codec {summary.codec}, "
        f"clips of {num_frames} frames, {width} x {height}, framing {summary.framing}",
        f"{summary.num_glosses} glosses",
        *([_LANDMARKS] if summary.has_landmarks else []),
        "",
        f"{'split':<6}{'clips':>8}{'shards':>8}{'size':>11}{'glosses':>9}"
        f"{'clips a gloss':>15}{'signers':>9}{'repeated frames':>17}",
    ]
    for split, values in summary.splits.items():
        spread = f"{values.fewest_clips} to {values.most_clips}"
        lines.append(
            f"{split:<6}{values.num_clips:>8,}{values.num_shards:>8}"
            f"{size_text(values.num_bytes):>11}{values.num_glosses:>9}{spread:>15}"
            f"{values.num_signers:>9}{values.num_repeating:>17,}"
        )
    notes: list[str] = []
    for split, values in summary.splits.items():
        if values.num_repeating:
            notes.append(
                f"{split}: clips that repeat frames, as their videos have fewer than "
                f"{num_frames}: {values.num_repeating:,}; the shortest has "
                f"{values.fewest_distinct_frames}"
            )
        if values.num_unknown_signers:
            notes.append(
                f"{split}: clips whose signer is unknown: "
                f"{values.num_unknown_signers:,}"
            )
        without = summary.glosses_without[split]
        if without:
            shown = ", ".join(without[:5]) + (", …" if len(without) > 5 else "")
            notes.append(f"{split}: glosses without a clip: {len(without):,}, {shown}")
    notes += [
        f"{pair} share {count} signer{'s' * (count > 1)}"
        for pair, count in summary.shared_signers.items()
        if count
    ]
    return "\n".join([*lines, *([""] if notes else []), *notes])


_LANDMARKS = "landmarks of each frame: " + ", ".join(
    f"{group.replace('_', ' ')} {num_points}"
    for group, num_points in LANDMARK_GROUPS.items()
)


def summary_dict(summary: FolderSummary) -> dict[str, object]:
    """Returns a summary as values that JSON can hold."""
    return dataclasses.asdict(summary)


def _summarize_split(folder: ShardFolder, split: str, records: Records) -> SplitSummary:
    shards = folder.split_shards(split)
    per_gloss = Counter(records.labels.tolist()).values()
    known = records.signer_ids[records.signer_ids >= 0]
    distinct = records.num_distinct_frames
    return SplitSummary(
        num_clips=len(records),
        num_shards=len(shards),
        num_bytes=sum(shard.num_bytes for shard in shards),
        num_glosses=len(per_gloss),
        num_signers=len(np.unique(known)),
        num_unknown_signers=len(records) - len(known),
        fewest_clips=min(per_gloss, default=0),
        most_clips=max(per_gloss, default=0),
        num_repeating=int((distinct < folder.clip.num_frames).sum()),
        fewest_distinct_frames=int(distinct.min(initial=folder.clip.num_frames)),
    )

"""The coverage of a shard folder: glosses without a train or test clip."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from wlasl_tfrecord.annotations.manifest import Instance
from wlasl_tfrecord.shard_format.shard_folder import glosses_without

__all__ = ["COVERED_SPLITS", "coverage_lines", "first_of", "lost_clips_lines"]

# Without train clips a gloss is not learnt, without test clips nobody knows how well.
COVERED_SPLITS = ("train", "test")


def coverage_lines(
    glosses: Sequence[str], kinds: Iterable[tuple[Instance, str]], verb: str
) -> list[str]:
    """Names the glosses that have no clip in a split, for a person.

    A split that the annotations do not have is left out: a user whose videos are for
    train and val only knows it.

    Args:
        glosses: The words, by label.
        kinds: Every instance, with the kind of its outcome.
        verb: "have", or "will have" before a run.

    Returns:
        A line for each of `COVERED_SPLITS` that lacks a gloss.
    """
    counts = {split: Counter[str]() for split in COVERED_SPLITS}
    labels = {split: set[int]() for split in COVERED_SPLITS}
    for instance, kind in kinds:
        if instance.split in COVERED_SPLITS:
            counts[instance.split][kind] += 1
            if kind == "written":
                labels[instance.split].add(instance.label)
    lines: list[str] = []
    for split in COVERED_SPLITS:
        without = glosses_without(glosses, labels[split])
        if labels[split] and without:
            lines.append(
                f"{len(without)} of {len(glosses)} glosses {verb} no {split} clip: "
                f"{first_of(without)}"
            )
        elif counts[split] and without:
            # All of them would be a long list that says no more than a number.
            why = ", ".join(
                f"{n:,} {kind}" for kind, n in sorted(counts[split].items())
            )
            lines.append(
                f"none of the {len(glosses)} glosses {verb} a {split} clip: {why}"
            )
    return lines


def lost_clips_lines(video_ids: Collection[str], what: str) -> list[str]:
    """Names the clips of a folder that are no longer wanted, or no longer there."""
    if not video_ids:
        return []
    ids = first_of(sorted(video_ids))
    return [f"{len(video_ids):,} clips that the folder {what}: {ids}"]


def first_of(names: Sequence[str]) -> str:
    """Names the first few."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more

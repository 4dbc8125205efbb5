"""The gaps of a shard folder: glosses without a clip to train on, or to test with."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from wlasl_tfrecord.annotations.manifest import Instance

__all__ = ["GAP_SPLITS", "dropped_lines", "first_of", "gap_lines", "glosses_without"]

# Without the one a gloss is not learnt, without the other nobody knows.
GAP_SPLITS = ("train", "test")


def glosses_without(glosses: Sequence[str], labels: Collection[int]) -> tuple[str, ...]:
    """Names the glosses whose label is not among those of the clips of a split."""
    return tuple(gloss for n, gloss in enumerate(glosses) if n not in labels)


def gap_lines(
    glosses: Sequence[str], fates: Iterable[tuple[Instance, str]], verb: str
) -> list[str]:
    """Says which glosses have no clip in a split, for a person.

    Nothing is said of a split that the annotations do not have: whoever has videos for
    train and val alone knows it.

    Args:
        glosses: The words, by label.
        fates: Every instance, with "written" or why it is not.
        verb: "have", or "will have" before a run.

    Returns:
        A line for each of `GAP_SPLITS` that has gaps.
    """
    counts = {split: Counter[str]() for split in GAP_SPLITS}
    labels = {split: set[int]() for split in GAP_SPLITS}
    for instance, fate in fates:
        if instance.split in GAP_SPLITS:
            counts[instance.split][fate] += 1
            if fate == "written":
                labels[instance.split].add(instance.label)
    lines: list[str] = []
    for split in GAP_SPLITS:
        without = glosses_without(glosses, labels[split])
        if labels[split] and without:
            lines.append(
                f"{len(without)} of {len(glosses)} glosses {verb} no {split} clip: "
                f"{first_of(without)}"
            )
        elif counts[split] and without:
            # All of them would be a long list of what a number says as well.
            why = ", ".join(
                f"{n:,} {fate}" for fate, n in sorted(counts[split].items())
            )
            lines.append(f"none of {len(glosses)} glosses {verb} a {split} clip: {why}")
    return lines


def dropped_lines(video_ids: Collection[str], fate: str) -> list[str]:
    """Says which clips of a folder are no longer wanted, or can no longer be had."""
    if not video_ids:
        return []
    ids = first_of(sorted(video_ids))
    return [f"{len(video_ids):,} clips that the folder {fate}: {ids}"]


def first_of(names: Sequence[str]) -> str:
    """Names the first few."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more

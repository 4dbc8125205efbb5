"""The outcome of an instance: what became of it, and why."""

import dataclasses
import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wlasl_tfrecord.annotations.manifest import Instance
from wlasl_tfrecord.decoder_pool.jobs import Task
from wlasl_tfrecord.shard_format.layout import SPLITS
from wlasl_tfrecord.text import text_of

__all__ = [
    "KINDS",
    "Outcome",
    "decoding_failure",
    "find_duplicates",
    "left_out",
    "missing",
    "unless_kept",
    "unusable",
]

# written: it is a record. missing: there is no file of it. left out: asked for by
# drop_leaks. unusable: its annotation or the place of its file forbids it. changed: it
# was replaced, or out of reach, between planning and decoding; the next run tries it
# again. The others are what its video did to a decoder.
KINDS = (
    "written",
    "missing",
    "left out",
    "unusable",
    "unreadable",
    "too short",
    "range outside the video",
    "out of memory",
    "timeout",
    "crash",
    "changed",
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one instance.

    Attributes:
        instance: The instance.
        kind: One of `KINDS`.
        stage: Where it ended: "find", "check", "read", "plan", "decode" or "write".
        reason: Why it was not written; empty if it was.
        sha256: The digest of its video, in hex; empty if it was not read.
        range_rule: How its annotated range was understood, if it was written.
        num_video_frames: Frames in its video, if it was written.
        num_distinct_frames: How many different frames its clip shows.
        notes: What speaks for its video being damaged, though it was written.
        same_content: The ids of other instances that show the same; a few of each
            split, if there are very many.
    """

    instance: Instance
    kind: str
    stage: str
    reason: str = ""
    sha256: str = ""
    range_rule: str = ""
    num_video_frames: int = 0
    num_distinct_frames: int = 0
    notes: tuple[str, ...] = ()
    same_content: tuple[str, ...] = ()

    @property
    def is_failure(self) -> bool:
        """Whether a video is there and still gave no clip, unasked."""
        return self.kind not in ("written", "missing", "left out")


def missing(instance: Instance) -> Outcome:
    """Says that there is no video."""
    return Outcome(
        instance=instance, kind="missing", stage="find", reason="no video of this id"
    )


def unusable(instance: Instance) -> Outcome:
    """Says that the manifest knows something against it."""
    reason = instance.problem or ""
    return Outcome(instance=instance, kind="unusable", stage="check", reason=reason)


def left_out(task: Task, others: Sequence[str]) -> Outcome:
    """Says that it was left out of train, because val or test has the same content."""
    return Outcome(
        instance=task.instance,
        kind="left out",
        stage="plan",
        reason=f"the same content as {', '.join(others)} in another split",
        sha256=task.sha256,
        same_content=tuple(others),
    )


def unless_kept(outcome: Outcome, outcomes: Mapping[str, Outcome]) -> Outcome:
    """Says that an instance failed that was left out for others, if these failed.

    Args:
        outcome: What `left_out` gave.
        outcomes: Id -> what became of the others.

    Returns:
        The same outcome, if one of the others was written. Otherwise the failure of the
        first of them, whose content is the same.
    """
    others = [outcomes[video_id] for video_id in outcome.same_content]
    if any(other.kind == "written" for other in others):
        return outcome
    first = others[0]
    reason = f"{first.reason} (as {first.instance.video_id}, of the same content)"
    failure = decoding_failure(outcome.instance, reason, outcome.sha256, first.stage)
    return dataclasses.replace(failure, same_content=outcome.same_content)


def decoding_failure(
    instance: Instance, reason: str, sha256: str = "", stage: str = "decode"
) -> Outcome:
    """Says that its video gave no clip.

    Args:
        instance: The instance.
        reason: `kind: details`, with the name of the file before it or without.
        sha256: The digest of its video.
        stage: Where it ended.
    """
    if instance.path is not None:
        # The path has its own column.
        name = text_of(os.path.basename(os.path.normpath(instance.path)))
        reason = reason.removeprefix(f"{name}: ")
    kind = reason.partition(": ")[0]
    return Outcome(
        instance=instance,
        kind=kind if kind in KINDS else "unreadable",
        stage=stage,
        reason=reason,
        sha256=sha256,
    )


def find_duplicates(tasks: Iterable[Task]) -> dict[str, tuple[str, ...]]:
    """Finds instances that show the same, in whichever split.

    The same bytes under two ids, unless both have a range and these do not overlap:
    then they are two signs in one long video.

    Returns:
        Id -> the other ids with that content, for those that have any.
    """
    by_content: dict[str, list[Instance]] = defaultdict(list)
    for task in tasks:
        by_content[task.sha256].append(task.instance)
    duplicates: dict[str, tuple[str, ...]] = {}
    for instances in by_content.values():
        instances.sort(key=lambda instance: instance.video_id)
        # Thousands of files with the same bytes are the same page of an error, saved as
        # a video each time: naming a few of each split is enough.
        by_split = [[i for i in instances if i.split == split] for split in SPLITS]
        for one in instances:
            others: list[str] = []
            for group in by_split:
                same = (i for i in group if i is not one and _overlap(one, i))
                others += [i.video_id for i in itertools.islice(same, _MAX_DUPLICATES)]
            if others:
                duplicates[one.video_id] = tuple(sorted(others))
    return duplicates


_MAX_DUPLICATES = 20


def _overlap(one: Instance, other: Instance) -> bool:
    """Says whether two ranges of one video share frames, as far as is known."""
    unbounded = float("inf")
    one_stop = unbounded if one.stop is None else one.stop
    other_stop = unbounded if other.stop is None else other.stop
    return (one.start or 0) < other_stop and (other.start or 0) < one_stop

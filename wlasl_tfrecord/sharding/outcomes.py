"""The outcome of an instance: what became of it, and why."""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wlasl_tfrecord.annotations.manifest import Instance
from wlasl_tfrecord.decoder_pool.jobs import Task, Undecoded
from wlasl_tfrecord.errors import VIDEO_FAILURES
from wlasl_tfrecord.shard_format.clips import ClipFacts
from wlasl_tfrecord.shard_format.layout import SPLITS

__all__ = [
    "KINDS",
    "Outcome",
    "failure",
    "find_duplicates",
    "left_out",
    "missing",
    "unless_kept",
    "unusable",
]

# written: it is a record. missing: there is no file of it. left out: asked for by
# drop_leaks. unusable: its annotation or the place of its file forbids it.
KINDS = ("written", "missing", "left out", "unusable", *VIDEO_FAILURES)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one instance.

    Attributes:
        instance: The instance.
        kind: One of `KINDS`.
        stage: Where it ended: "find", "check", "read", "plan", "decode" or "write".
        reason: Why it was not written; empty if it was.
        sha256: Hex SHA-256 of its video; empty if it was not read.
        facts: What the report says of its clip; None if it was not written.
        same_content: The ids of other instances that show the same; a few of each
            split, if there are very many.
    """

    instance: Instance
    kind: str
    stage: str
    reason: str = ""
    sha256: str = ""
    facts: ClipFacts | None = None
    same_content: tuple[str, ...] = ()

    @property
    def is_failure(self) -> bool:
        """Whether a video is there and still gave no clip, unasked."""
        return self.kind not in ("written", "missing", "left out")


def missing(instance: Instance) -> Outcome:
    """Returns the outcome of an instance that has no video."""
    return Outcome(
        instance=instance, kind="missing", stage="find", reason="no video of this id"
    )


def unusable(instance: Instance) -> Outcome:
    """Returns the outcome of an instance that the manifest rules out."""
    reason = instance.problem or ""
    return Outcome(instance=instance, kind="unusable", stage="check", reason=reason)


def left_out(task: Task, others: Sequence[str]) -> Outcome:
    """Returns the outcome of a train clip whose content is in val or test too."""
    return Outcome(
        instance=task.instance,
        kind="left out",
        stage="plan",
        reason=f"the same content as {', '.join(others)} in another split",
        sha256=task.sha256,
        same_content=tuple(others),
    )


def unless_kept(outcome: Outcome, outcomes: Mapping[str, Outcome]) -> Outcome:
    """Returns a failure for an instance that was left out for others that failed.

    Args:
        outcome: What `left_out` returned.
        outcomes: Id -> outcome, for the others at least.

    Returns:
        The same outcome, if one of the others was written. Otherwise the failure of the
        first of them, whose content is the same.
    """
    others = [outcomes[video_id] for video_id in outcome.same_content]
    if any(other.kind == "written" for other in others):
        return outcome
    first = others[0]
    return dataclasses.replace(
        outcome,
        kind=first.kind,
        stage=first.stage,
        reason=f"{first.reason} (as {first.instance.video_id}, of the same content)",
    )


def failure(
    instance: Instance, undecoded: Undecoded, sha256: str = "", stage: str = "decode"
) -> Outcome:
    """Returns the outcome of an instance whose video gave no clip.

    Args:
        instance: The instance.
        undecoded: Why.
        sha256: Hex SHA-256 of its video; empty if it was not read.
        stage: Where it ended.
    """
    return Outcome(
        instance=instance,
        kind=undecoded.kind,
        stage=stage,
        reason=undecoded.reason,
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
    """Returns whether two ranges of one video share frames, as far as is known."""
    unbounded = float("inf")
    one_stop = unbounded if one.stop is None else one.stop
    other_stop = unbounded if other.stop is None else other.stop
    return (one.start or 0) < other_stop and (other.start or 0) < one_stop

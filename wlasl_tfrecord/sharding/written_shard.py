"""A written shard: its records and failures, and the small file that notes them."""

import dataclasses
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from wlasl_tfrecord.decoder_pool.jobs import Undecoded
from wlasl_tfrecord.files import open_regular, read_bytes, written_whole
from wlasl_tfrecord.shard_format.clips import ClipFacts
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import Shard
from wlasl_tfrecord.shard_format.tfrecord import FRAME_BYTES, stored_crc
from wlasl_tfrecord.sharding.outcomes import Outcome, failure
from wlasl_tfrecord.sharding.plan import PlannedShard
from wlasl_tfrecord.text import shown

__all__ = [
    "WrittenClip",
    "WrittenShard",
    "describes",
    "is_intact",
    "load_state",
    "merge_records",
    "save_state",
    "shard_outcomes",
    "state_name",
]


@dataclass(frozen=True, kw_only=True)
class WrittenClip:
    """One record of a written shard.

    Attributes:
        video_id: The instance; the plan knows its label and signer.
        offset: Where the record starts in the file.
        num_bytes: Bytes of the proto alone.
        crc: The masked CRC-32C of the proto.
        facts: What the report says of the clip.

    Raises:
        ValueError: If a value is none of these.
    """

    video_id: str
    offset: int
    num_bytes: int
    crc: int
    facts: ClipFacts

    def __post_init__(self) -> None:
        """Reject what no run writes; notes lie in a folder that anybody can edit."""
        numbers = (self.offset, self.num_bytes, self.crc)
        are_whole = all(type(one) is int and 0 <= one < 2**62 for one in numbers)
        if not are_whole or self.crc >= 2**32:
            raise ValueError(f"no place of a record: {shown(numbers)}")
        if not isinstance(self.video_id, str):
            raise ValueError(f"video_id must be text, got {shown(self.video_id)}")


@dataclass(frozen=True, kw_only=True)
class WrittenShard:
    """What is known of a shard that is finished.

    Attributes:
        name: File name.
        fingerprint: That of the planned shard.
        num_bytes: Size of the file.
        clips: Its records, in order.
        failures: Id -> why, for the planned instances that gave no clip.

    Raises:
        ValueError: If a value is none of these.
    """

    name: str
    fingerprint: str
    num_bytes: int
    clips: tuple[WrittenClip, ...]
    failures: Mapping[str, Undecoded] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject what no run writes, as the clips do."""
        if not isinstance(self.name, str) or not isinstance(self.fingerprint, str):
            raise ValueError("name and fingerprint of a shard must be text")
        if type(self.num_bytes) is not int:
            raise ValueError(f"num_bytes must be a number, got {shown(self.num_bytes)}")

    @property
    def is_filled(self) -> bool:
        """Whether its records follow each other from the start of the file to its end.

        Not so in a note that was forged.
        """
        end = 0
        for clip in self.clips:
            if clip.offset != end:
                return False
            end += clip.num_bytes + FRAME_BYTES
        return end == self.num_bytes

    @property
    def shard(self) -> Shard:
        """What the index says of it."""
        return Shard(
            name=self.name, num_bytes=self.num_bytes, num_records=len(self.clips)
        )


def state_name(shard_name: str) -> str:
    """Returns the name of the small file that describes a finished shard in a run."""
    return f"{shard_name}.json"


def save_state(shard: WrittenShard, path: str) -> None:
    """Describes a finished shard, so that a later run need not write it again."""
    values = dataclasses.asdict(shard)
    for clip, written in zip(values["clips"], shard.clips):
        clip["facts"] = written.facts.to_json()
    text = json.dumps(values)
    with written_whole(path, sync=False) as aside:
        aside.write_text(text, encoding="utf-8", errors="surrogateescape")


def load_state(path: str) -> WrittenShard | None:
    """Reads what `save_state` wrote; None if it is missing or damaged."""
    try:
        text = read_bytes(path).decode("utf-8", "surrogateescape")
        values = json.loads(text)
        values["clips"] = tuple(
            WrittenClip(**{**clip, "facts": ClipFacts.from_json(clip["facts"])})
            for clip in values["clips"]
        )
        values["failures"] = {
            video_id: Undecoded(**failure)
            for video_id, failure in values["failures"].items()
        }
        return WrittenShard(**values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def describes(shard: WrittenShard, planned: PlannedShard) -> bool:
    """Whether what is known of a shard can be what comes of a planned one.

    A note may be forged, or of another folder: its records fill the file, and each
    planned instance has a record or a failure.
    """
    ids = [*(clip.video_id for clip in shard.clips), *shard.failures]
    wanted = [task.instance.video_id for task in planned.tasks]
    return (
        shard.name == planned.name
        and shard.fingerprint == planned.fingerprint
        and shard.is_filled
        and sorted(ids) == sorted(wanted)
    )


def is_intact(path: str, shard: WrittenShard) -> bool:
    """Whether a file is that shard: its size, and the checksum of each record.

    The checksums stored in the file are compared, not computed again, so that this
    takes milliseconds; `bin/inspect --verify` reads every byte. A shard without records
    needs no file. A link is not accepted: its target is not ours to keep.
    """
    try:
        if not shard.clips and not os.path.lexists(path):
            return True
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size != shard.num_bytes:
            return False
        with open(path, "rb", opener=open_regular) as file:
            return all(
                stored_crc(file.fileno(), clip.offset, clip.num_bytes) == clip.crc
                for clip in shard.clips
            )
    except OSError:
        return False


def merge_records(
    planned: Sequence[PlannedShard], written: Mapping[str, WrittenShard]
) -> Records:
    """Makes the table of records of one split.

    Args:
        planned: The split's shards, in order.
        written: Name -> shard, for these and perhaps others.
    """
    rows = [
        (shard_index, clip)
        for shard_index, shard in enumerate(planned)
        for clip in written[shard.name].clips
    ]
    instances = {
        task.instance.video_id: task.instance
        for shard in planned
        for task in shard.tasks
    }
    annotated = [instances[clip.video_id] for _, clip in rows]
    return Records(
        shard_indices=np.array([shard_index for shard_index, _ in rows], np.int32),
        offsets=np.array([clip.offset for _, clip in rows], np.int64),
        num_bytes=np.array([clip.num_bytes for _, clip in rows], np.int64),
        crcs=np.array([clip.crc for _, clip in rows], np.uint32),
        labels=np.array([instance.label for instance in annotated], np.int64),
        video_ids=tuple(clip.video_id for _, clip in rows),
        signer_ids=np.array([instance.signer_id for instance in annotated], np.int64),
        num_distinct_frames=np.array(
            [clip.facts.num_distinct_frames for _, clip in rows], np.int32
        ),
    )


def shard_outcomes(
    planned: PlannedShard,
    written: WrittenShard,
    duplicates: Mapping[str, tuple[str, ...]],
) -> list[Outcome]:
    """Returns the outcome of each instance of a shard."""
    facts = {clip.video_id: clip.facts for clip in written.clips}
    outcomes: list[Outcome] = []
    for task in planned.tasks:
        video_id = task.instance.video_id
        if video_id in facts:
            outcome = Outcome(
                instance=task.instance,
                kind="written",
                stage="write",
                sha256=task.sha256,
                facts=facts[video_id],
                same_content=duplicates.get(video_id, ()),
            )
        else:
            undecoded = written.failures[video_id]
            outcome = failure(task.instance, undecoded, task.sha256)
        outcomes.append(outcome)
    return outcomes

"""A shard's file: written aside, described by a small file beside it, and renamed."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from wlasl_tfrecord.files import written_whole
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import Shard
from wlasl_tfrecord.shard_format.tfrecord import stored_crc
from wlasl_tfrecord.sharding.outcomes import Outcome, decoding_failure
from wlasl_tfrecord.sharding.plan import PlannedShard

__all__ = [
    "Record",
    "WrittenShard",
    "is_intact",
    "load_state",
    "merge_records",
    "save_state",
    "shard_outcomes",
    "state_name",
]


class Record(NamedTuple):
    """One record of a shard; see `record_table.Records` for the first seven fields."""

    offset: int
    num_bytes: int
    crc: int
    label: int
    video_id: str
    signer_id: int
    num_distinct_frames: int
    range_rule: str
    num_video_frames: int
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class WrittenShard:
    """What there is to know of a shard that is finished.

    Attributes:
        name: File name.
        fingerprint: That of the plan it was written after.
        num_bytes: Size of the file.
        records: Its records, in order.
        failures: Id -> reason, for the planned instances that gave no clip.
    """

    name: str
    fingerprint: str
    num_bytes: int
    records: tuple[Record, ...]
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def shard(self) -> Shard:
        """What the index says of it."""
        return Shard(
            name=self.name, num_bytes=self.num_bytes, num_records=len(self.records)
        )


def state_name(shard_name: str) -> str:
    """Names the small file that describes a finished shard during a run."""
    return f"{shard_name}.json"


def save_state(shard: WrittenShard, path: str) -> None:
    """Describes a finished shard, so that a later run need not write it again."""
    text = json.dumps(dataclasses.asdict(shard))
    with written_whole(path, sync=False) as aside:
        aside.write_text(text, encoding="utf-8", errors="surrogateescape")


def load_state(path: str) -> WrittenShard | None:
    """Reads what `save_state` wrote; None if there is nothing of use."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            values = json.load(file)
        values["records"] = tuple(Record(*record) for record in values["records"])
        return WrittenShard(**values)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def is_intact(path: str, shard: WrittenShard) -> bool:
    """Says whether a file is that shard: its size, and the checksum of each record.

    The checksums stored in the file are compared, not computed again, so that asking
    costs milliseconds; `bin/inspect --verify` reads every byte. A shard without records
    needs no file.
    """
    try:
        if not shard.records and not os.path.exists(path):
            return True
        if os.path.getsize(path) != shard.num_bytes:
            return False
        with open(path, "rb") as file:
            return all(
                stored_crc(file.fileno(), record.offset, record.num_bytes) == record.crc
                for record in shard.records
            )
    except OSError:
        return False


def merge_records(shards: Sequence[WrittenShard]) -> Records:
    """Makes the table of records of one split.

    Args:
        shards: The split's shards, in order.
    """
    rows = [(n, record) for n, shard in enumerate(shards) for record in shard.records]
    return Records(
        shard_indices=np.array([n for n, _ in rows], np.int32),
        offsets=np.array([record.offset for _, record in rows], np.int64),
        num_bytes=np.array([record.num_bytes for _, record in rows], np.int64),
        crcs=np.array([record.crc for _, record in rows], np.uint32),
        labels=np.array([record.label for _, record in rows], np.int64),
        video_ids=tuple(record.video_id for _, record in rows),
        signer_ids=np.array([record.signer_id for _, record in rows], np.int64),
        num_distinct_frames=np.array(
            [record.num_distinct_frames for _, record in rows], np.int32
        ),
    )


def shard_outcomes(
    planned: PlannedShard,
    written: WrittenShard,
    duplicates: Mapping[str, tuple[str, ...]],
) -> list[Outcome]:
    """Says what became of each instance of a shard."""
    records = {record.video_id: record for record in written.records}
    outcomes: list[Outcome] = []
    for task in planned.tasks:
        video_id = task.instance.video_id
        record = records.get(video_id)
        if record is None:
            reason = written.failures[video_id]
            outcome = decoding_failure(task.instance, reason, task.sha256)
        else:
            outcome = Outcome(
                instance=task.instance,
                kind="written",
                stage="write",
                sha256=task.sha256,
                range_rule=record.range_rule,
                num_video_frames=record.num_video_frames,
                num_distinct_frames=record.num_distinct_frames,
                notes=tuple(record.notes),
                same_content=duplicates.get(video_id, ()),
            )
        outcomes.append(outcome)
    return outcomes

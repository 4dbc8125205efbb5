"""The table of all records of a split, and its CSV, which any language reads.

Reference:
    docs/shard-format.md section 6.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.shard_format.tfrecord import FRAME_BYTES

__all__ = [
    "RECORD_COLUMNS",
    "Records",
    "check_records",
    "records_from_csv",
    "records_to_csv",
]


@dataclass(frozen=True, kw_only=True)
class Records:
    """The table of all records of one split, in the order of its shards.

    Attributes:
        shard_indices: int32 [N], which shard of the split.
        offsets: int64 [N], where the record starts in its file (at its length field).
        num_bytes: int64 [N], bytes of the proto alone; the record has 16 more.
        crcs: uint32 [N], the masked CRC-32C of the proto, as the shard stores it.
        labels: int64 [N].
        video_ids: N names, unique within the split.
        signer_ids: int64 [N], -1 where unknown.
        num_distinct_frames: int32 [N].
    """

    shard_indices: NDArray[np.int32]
    offsets: NDArray[np.int64]
    num_bytes: NDArray[np.int64]
    crcs: NDArray[np.uint32]
    labels: NDArray[np.int64]
    video_ids: tuple[str, ...]
    signer_ids: NDArray[np.int64]
    num_distinct_frames: NDArray[np.int32]

    def __len__(self) -> int:
        """Returns the number of records."""
        return len(self.video_ids)


# Column name in the CSV, field of Records, type.
RECORD_COLUMNS: tuple[tuple[str, str, type], ...] = (
    ("shard_index", "shard_indices", np.int32),
    ("offset_bytes", "offsets", np.int64),
    ("num_bytes", "num_bytes", np.int64),
    ("crc32c", "crcs", np.uint32),
    ("label", "labels", np.int64),
    ("video_id", "video_ids", str),
    ("signer_id", "signer_ids", np.int64),
    ("num_distinct_frames", "num_distinct_frames", np.int32),
)


def records_to_csv(records: Records) -> bytes:
    """Writes a table of records, the same bytes for the same records."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column for column, _, _ in RECORD_COLUMNS)
    writer.writerows(zip(*(getattr(records, name) for _, name, _ in RECORD_COLUMNS)))
    return text.getvalue().encode()


def records_from_csv(table: bytes) -> Records:
    """Reads a table of records by the names of its columns.

    Columns that this release does not know are ignored: a newer minor version of the
    format may have more of them.

    Args:
        table: The bytes of the CSV; its first line names the columns.

    Returns:
        The records, in the order of the lines.

    Raises:
        ValueError: If it is no such table, or a value is not of its column's type.
    """
    try:
        rows = list(csv.reader(io.StringIO(table.decode(), newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(f"no table: {error}") from error
    names = rows[0] if rows else []
    for line, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise ValueError(f"line {line} has {len(row)} values, line 1 {len(names)}")
    fields: dict[str, Any] = {}
    for column, name, kind in RECORD_COLUMNS:
        if column not in names:
            raise ValueError(f"no column {column!r}")
        at = names.index(column)
        try:
            values = tuple(map(itemgetter(at), rows[1:]))
            fields[name] = values if kind is str else np.array(values, dtype=kind)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"column {column!r}: {error}") from error
    return Records(**fields)


def check_records(
    records: Records,
    *,
    shard_bytes: Sequence[int],
    shard_records: Sequence[int],
    num_labels: int,
    num_frames: int,
) -> None:
    """Checks a table of records against the index of its folder.

    Args:
        records: The table.
        shard_bytes: The size of each shard of the split.
        shard_records: How many records each of them has.
        num_labels: How many glosses there are.
        num_frames: Frames in a clip, T.

    Raises:
        ValueError: If a value is not possible; its line is named, the first being that
            of the names of the columns.
    """
    shard_indices = np.repeat(np.arange(len(shard_records)), shard_records)
    _check("shard_index", records.shard_indices, records.shard_indices == shard_indices)
    for column, values, lowest, highest in (
        # Bounded before they are added up.
        ("offset_bytes", records.offsets, 0, 2**62),
        ("num_bytes", records.num_bytes, 0, 2**31),
        ("label", records.labels, 0, num_labels - 1),
        ("signer_id", records.signer_ids, -1, 2**62),
        ("num_distinct_frames", records.num_distinct_frames, 1, num_frames),
    ):
        _check(column, values, (values >= lowest) & (values <= highest))
    ends = records.offsets + records.num_bytes + FRAME_BYTES
    starts = np.concatenate([[0], ends[:-1]])[: len(records)]
    is_first = np.diff(shard_indices, prepend=-1) > 0
    _check("offset_bytes", records.offsets, records.offsets == starts * ~is_first)
    is_last = np.diff(shard_indices, append=len(shard_records)) > 0
    sizes = np.array(shard_bytes, np.int64)[shard_indices]
    _check("num_bytes", records.num_bytes, (ends == sizes) | ~is_last)
    if len(set(records.video_ids)) < len(records):
        raise ValueError("a video_id occurs twice")


def _check(column: str, values: NDArray[np.integer], good: NDArray[np.bool_]) -> None:
    """Names the first row that is not good."""
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(f"line {row + 2}: {column} cannot be {values[row]}")

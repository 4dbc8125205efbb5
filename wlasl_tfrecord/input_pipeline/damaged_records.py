"""Damaged records: how one is named, how many are tolerated, how an error names it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import RecordError, StoreError
from wlasl_tfrecord.shard_format.record_table import Records

__all__ = [
    "DamageBudget",
    "damage_text",
    "damaged_records_by_name",
    "failure_text",
    "record_numbers",
    "store_failure_text",
]

T = TypeVar("T")  # str, or a tensor of strings

# An error of TensorFlow is text around the message that it was given. These stand
# before and after ours; no message of TensorFlow's has them.
_START, _STOP = "damaged record: ", " [end of message]"
_STORE_START = "object store: "


class DamageBudget:
    """Counts the different damaged records of one input, and logs each once.

    Its calls may come from several threads.
    """

    def __init__(self, max_bad_records: int) -> None:
        """Starts with no damaged record.

        Args:
            max_bad_records: How many different ones are tolerated.
        """
        self._max_bad_records = max_bad_records
        self._seen: set[int] = set()
        self._lock = threading.Lock()

    def tolerate(self, record: int, line: str) -> bool:
        """Counts a damaged record.

        Args:
            record: Its number in the split.
            line: What names it, see `damage_text`.

        Returns:
            Whether it is one of those that are tolerated.
        """
        with self._lock:
            if record in self._seen:
                return True
            # One too many is not kept: it must fail each time it is met.
            if len(self._seen) == self._max_bad_records:
                return False
            self._seen.add(record)
            count = len(self._seen)
        # Only here: `ShardReader` needs NumPy and its decoders alone.
        from absl import logging

        logging.warning(
            "%s; passed over, %d of at most %d", line, count, self._max_bad_records
        )
        return True


def damage_text(path: T, number: T, offset: T, video_id: T) -> list[T | str]:
    """Returns the pieces of the line that names a damaged record.

    Args:
        path: The shard's path.
        number: The record's number in that shard, as text.
        offset: The byte at which the record starts, as text.
        video_id: The video that the index says it is.

    Returns:
        What joins to the line, in Python or in a graph.
    """
    return [
        path,
        ": record ",
        number,
        " at byte ",
        offset,
        ", video_id ",
        video_id,
        ", is damaged or not the clip that the index says",
    ]


def failure_text(line: T, max_bad_records: int) -> list[T | str]:
    """Returns the pieces of what an input fails with at a damaged record.

    `damaged_records_by_name` finds it again in the error that TensorFlow makes of it.

    Args:
        line: What the pieces of `damage_text` join to.
        max_bad_records: How many damaged records are tolerated.
    """
    way_out = (
        f"; more than max_bad_records={max_bad_records}: delete the file and run "
        f"bin/shard again, copy it again, or allow more{_STOP}"
    )
    return [_START, line, way_out]


def store_failure_text(line: str) -> str:
    """Returns what an input fails with when its store does, see `failure_text`."""
    return f"{_STORE_START}{line}{_STOP}"


def record_numbers(records: Records) -> NDArray[np.int64]:
    """Returns the number of each record within its shard, from 0: int64 [N]."""
    first = np.searchsorted(records.shard_indices, records.shard_indices)
    return np.arange(len(records)) - first


@contextmanager
def damaged_records_by_name() -> Iterator[None]:
    """Turns the error of an input that cannot read a record into one line.

    Raises:
        RecordError: Names the shard, the record and the video.
        StoreError: Names the object at a URL, and why it cannot be read.
    """
    # Here, because `shard_reader` needs the rest of this file without TensorFlow.
    import tensorflow as tf

    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        for start, kind in ((_START, RecordError), (_STORE_START, StoreError)):
            _, found, rest = error.message.partition(start)
            if found:
                raise kind(rest.partition(_STOP)[0]) from error
        raise

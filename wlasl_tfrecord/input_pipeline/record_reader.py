"""Reads one record at an offset, and says of a damaged one which it is.

Everything here works eagerly and inside `Dataset.map`. A damaged record cannot raise
there without ending the whole input, so it is told by a flag.
"""

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import tensorflow as tf
from absl import logging

from wlasl_tfrecord.errors import RecordError, ShardFolderError
from wlasl_tfrecord.files import read_bytes
from wlasl_tfrecord.shard_format.decode_frames import encode_black
from wlasl_tfrecord.shard_format.parsing import parse_frames, read_record
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.shard_format.tfrecord import CRC_BYTES, footer

__all__ = [
    "check_ends",
    "damaged_records_by_name",
    "make_reader",
]

# Gives the record that was read, its still encoded frames, and whether they are whole.
Reader = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


def make_reader(
    folder: ShardFolder,
    split: str,
    records: Records,
    *,
    max_bad_records: int,
    substitute: bool,
) -> Reader:
    """Makes the function that reads a record by its number.

    Args:
        folder: The shard folder.
        split: The split.
        records: The split's table of records.
        max_bad_records: How many different damaged records to pass over, or such that
            hold another clip than the index says. The next one ends the input with an
            error that names it.
        substitute: What stands in for a damaged record: True for the next one that is
            whole, False for a clip that is marked as not whole.

    Returns:
        A function of int64 [] record. It gives int64 [] the record that was read; its
        encoded frames, string [] for `raw` and string [T] otherwise; bool [] whether
        they are whole. Frames that are not are black.
    """
    shards = folder.split_shards(split)
    paths = tf.constant([folder.shard_path(shard) for shard in shards])
    shard_indices = tf.constant(records.shard_indices)
    offsets = tf.constant(records.offsets)
    video_ids = tf.constant(records.video_ids)
    # At least one record has to be whole, or there is nothing to put in its place.
    budget = min(max_bad_records, len(records) - 1)
    way_out = (
        f"more than max_bad_records={max_bad_records}: delete the file and run "
        "bin/shard again, copy it again, or allow more"
    )
    names = tf.constant(_names(folder, split, records))
    failures = tf.strings.join([names, f"; {way_out}"])

    def read(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        path = tf.gather(paths, tf.gather(shard_indices, record))
        serialized = read_record(path, tf.gather(offsets, record), or_empty=True)
        encoded, video_id, whole = parse_frames(serialized, folder.clip, folder.codec)
        # A record of the same length may stand in the place of another: with the label
        # from the index, it would teach the wrong word.
        return encoded, whole & tf.equal(video_id, tf.gather(video_ids, record))

    def read_whole(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        encoded, whole = read(record)
        # The bare operation: tf.debugging.Assert puts a condition around itself, and
        # control flow costs 0.3 ms a clip, a tenth of reading a raw one.
        check = tf.raw_ops.Assert(condition=whole, data=[tf.gather(failures, record)])
        with tf.control_dependencies([] if check is None else [check]):
            return record, tf.identity(encoded), tf.constant(True)

    if budget == 0:
        return read_whole
    allow = _budget(budget)

    def pass_over(record: tf.Tensor) -> tf.Operation:
        allowed = allow(record, tf.gather(names, record))
        check = tf.debugging.Assert(allowed, [tf.gather(failures, record)])
        with tf.control_dependencies([check]):
            return tf.no_op()

    def read_or_mark(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        encoded, whole = read(record)

        def black() -> tf.Tensor:
            with tf.control_dependencies([pass_over(record)]):
                return tf.constant(encode_black(folder.clip, folder.codec))

        return record, tf.cond(whole, lambda: encoded, black), whole

    def read_or_substitute(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        def next_one(record, *_):
            with tf.control_dependencies([pass_over(record)]):
                record = tf.math.floormod(record + 1, len(records))
            return record, *read(record)

        return tf.while_loop(
            lambda *state: ~state[-1], next_one, [record, *read(record)]
        )

    return read_or_substitute if substitute else read_or_mark


@contextmanager
def damaged_records_by_name() -> Iterator[None]:
    """Turns what the input fails with at a damaged record into its one line.

    Raises:
        RecordError: Names the shard, the record and the video.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(r"assertion failed: \[(.* is damaged .*)\]", str(error))
        if found is None:
            raise
        raise RecordError(found[1]) from error


def check_ends(folder: ShardFolder, split: str, records: Records) -> None:
    """Compares the checksum of each shard's last record with the index.

    Raises:
        ShardFolderError: If a shard is not the one that the index was written with.
    """
    last = {int(shard): k for k, shard in enumerate(records.shard_indices)}

    def check(shard_index: int) -> None:
        shard = folder.split_shards(split)[shard_index]
        path = folder.shard_path(shard)
        try:
            stored = read_bytes(path, shard.num_bytes - CRC_BYTES)
        except OSError as error:
            raise ShardFolderError(
                f"cannot read {path} ({error.strerror or error}); run bin/shard again, "
                "or copy the folder again"
            ) from error
        if stored != footer(int(records.crcs[last[shard_index]])):
            raise ShardFolderError(
                f"{path} is not the shard that the index was written with; run "
                "bin/shard again, or copy the folder again"
            )

    # At once, for the sake of folders behind a network.
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(check, last):
            pass


def _names(folder: ShardFolder, split: str, records: Records) -> list[str]:
    """Says of each record what is to be said if it turns out damaged."""
    paths = [folder.shard_path(shard) for shard in folder.split_shards(split)]
    names, place, before = [], 0, -1
    for shard_index, offset, video_id in zip(
        records.shard_indices.tolist(), records.offsets.tolist(), records.video_ids
    ):
        place = place + 1 if shard_index == before else 0
        before = shard_index
        names.append(
            f"{paths[shard_index]}: record {place} at byte {offset}, "
            f"video_id {video_id}, is damaged or not the clip that the index says"
        )
    return names


def _budget(max_bad_records: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Makes the function that says whether one more damaged record is allowed."""
    seen: set[int] = set()
    lock = threading.Lock()

    def note(record, name) -> bool:
        with lock:
            if int(record) in seen:
                return True
            # One too many is not kept: it must fail each time it is met.
            if len(seen) == max_bad_records:
                return False
            seen.add(int(record))
            count = len(seen)
        logging.warning(
            "%s; passed over, %d of at most %d", name.decode(), count, max_bad_records
        )
        return True

    return lambda record, name: tf.numpy_function(note, [record, name], tf.bool)

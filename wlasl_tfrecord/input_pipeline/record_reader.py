"""Reads one record at an offset inside of a graph, and tells whether it is whole.

Everything here works eagerly and inside `Dataset.map`. A damaged record cannot raise
there without ending the whole input, so it is told by a flag.
"""

import contextlib
import importlib
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.errors import ShardFolderError
from wlasl_tfrecord.input_pipeline.damaged_records import (
    DamageBudget,
    damage_text,
    failure_text,
    record_numbers,
)
from wlasl_tfrecord.input_pipeline.remote_shards import failures_by_name
from wlasl_tfrecord.shard_format.decode_frames import encode_black
from wlasl_tfrecord.shard_format.layout import INDEX_FILE
from wlasl_tfrecord.shard_format.parsing import read_contents
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.shard_format.tfrecord import (
    CRC_BYTES,
    FRAME_BYTES,
    HEADER_BYTES,
    footer,
    has_header,
    header,
)
from wlasl_tfrecord.storage.contents import file_sizes, open_binary, read_bytes
from wlasl_tfrecord.storage.object_store import open_store
from wlasl_tfrecord.storage.urls import is_object_url, is_url, join_path
from wlasl_tfrecord.text import reason_of

__all__ = ["RecordReader", "check_ends", "check_scheme", "readable_records"]

# To an object store, at a time.
_MAX_REQUESTS = 64

Contents = dict[str, tf.Tensor]
# The record that was read, what it holds, and whether that is whole.
ReadRecord = tuple[tf.Tensor, Contents, tf.Tensor]


class RecordReader:
    """Reads the records of a split by their numbers.

    A call takes int64 [] record. It returns int64 [] the record that was read; its
    "encoded" frames, string [] for `raw` and string [T] otherwise, and "landmarks",
    float32 [T, K, 3], if wanted; bool [] whether they are whole. Frames that are not
    are black.
    """

    def __init__(
        self,
        folder: ShardFolder,
        split: str,
        records: Records,
        *,
        max_bad_records: int,
        substitute: bool,
        has_landmarks: bool = False,
    ) -> None:
        """Puts the table of records into tensors.

        Args:
            folder: The shard folder.
            split: The split.
            records: The split's table of records.
            max_bad_records: How many different damaged records to tolerate. A record
                is damaged, too, if it holds another clip than the index says. The next
                one ends the input with an error that names it.
            substitute: What stands in for a damaged record: True for the next one that
                is whole, False for a clip that is marked as not whole.
            has_landmarks: Whether to read landmarks, too.

        Raises:
            ShardFolderError: If TensorFlow can read none of the records.
        """
        self._folder = folder
        shards = folder.split_shards(split)
        self._paths = tf.constant([folder.shard_path(shard) for shard in shards])
        self._shard_indices = tf.constant(records.shard_indices)
        self._offsets = tf.constant(records.offsets)
        self._sources = tf.constant(_sources(folder, split, records))
        self._numbers = tf.constant(record_numbers(records))
        self._video_ids = tf.constant(records.video_ids)
        self._num_records = len(records)
        self._max_bad_records = max_bad_records
        # At least one record has to be whole, or nothing could stand in for the others.
        budget = min(max_bad_records, len(records) - 1)
        self._budget = DamageBudget(budget) if budget else None
        self._substitute = substitute
        self._has_landmarks = has_landmarks

    def __call__(self, record: tf.Tensor) -> ReadRecord:
        """Reads a record, or what stands in for it."""
        if self._budget is None:
            return self._read_whole(record)
        if self._substitute:
            return self._read_or_substitute(record)
        return self._read_or_mark(record)

    def _read(self, record: tf.Tensor) -> tuple[Contents, tf.Tensor]:
        """Reads what a record holds, and whether that is whole."""
        source = tf.gather(self._sources, record)
        path = tf.gather(self._paths, tf.gather(self._shard_indices, source))
        offset = tf.gather(self._offsets, source)
        clip, codec = self._folder.clip, self._folder.codec
        contents, video_id, whole = read_contents(
            path, offset, clip, codec, has_landmarks=self._has_landmarks
        )
        # A record of the same length may stand in the place of another: with the label
        # from the index, it would teach the wrong word.
        expected = tf.gather(self._video_ids, record)
        whole &= tf.equal(video_id, expected) & tf.equal(source, record)
        return contents, whole

    def _read_whole(self, record: tf.Tensor) -> ReadRecord:
        """Reads a record that has to be whole."""
        contents, whole = self._read(record)
        # The bare operation: tf.debugging.Assert puts a condition around itself, and
        # control flow costs 0.3 ms a clip, a tenth of reading a raw one.
        check = tf.raw_ops.Assert(condition=whole, data=[self._failure(record)])
        with tf.control_dependencies([] if check is None else [check]):
            kept = {name: tf.identity(one) for name, one in contents.items()}
            return record, kept, tf.constant(True)

    def _read_or_mark(self, record: tf.Tensor) -> ReadRecord:
        """Reads a record, or marks it as not whole."""
        contents, whole = self._read(record)

        def black() -> Contents:
            with tf.control_dependencies([self._tolerate(record)]):
                black = encode_black(self._folder.clip, self._folder.codec)
                # Those of a record that is not whole are zeros.
                return {**contents, "encoded": tf.constant(black)}

        return record, tf.cond(whole, lambda: contents, black), whole

    def _read_or_substitute(self, record: tf.Tensor) -> ReadRecord:
        """Reads a record, or the next one in file order that is whole."""

        def read_next(record, *_):
            with tf.control_dependencies([self._tolerate(record)]):
                record = tf.math.floormod(record + 1, self._num_records)
            return record, *self._read(record)

        return tf.while_loop(
            lambda *state: ~state[-1], read_next, [record, *self._read(record)]
        )

    def _tolerate(self, record: tf.Tensor) -> tf.Operation:
        """Counts a damaged record; fails if it is one too many."""

        def count(record, line) -> bool:
            assert self._budget is not None
            return self._budget.tolerate(int(record), line.decode())

        tolerated = tf.numpy_function(count, [record, self._line(record)], tf.bool)
        check = tf.debugging.Assert(tolerated, [self._failure(record)])
        with tf.control_dependencies([check]):
            return tf.no_op()

    def _failure(self, record: tf.Tensor) -> tf.Tensor:
        """Returns what the input fails with at a damaged record: string []."""
        pieces = failure_text(self._line(record), self._max_bad_records)
        return tf.strings.join(pieces)

    def _line(self, record: tf.Tensor) -> tf.Tensor:
        """Returns the line that names a damaged record: string []."""
        return tf.strings.join(
            damage_text(
                tf.gather(self._paths, tf.gather(self._shard_indices, record)),
                tf.strings.as_string(tf.gather(self._numbers, record)),
                tf.strings.as_string(tf.gather(self._offsets, record)),
                tf.gather(self._video_ids, record),
            )
        )


def check_scheme(folder: ShardFolder) -> None:
    """Refuses a folder whose URL operations of TensorFlow cannot open.

    An operation is run to find out: from TensorFlow 2.18 on, tensorflow-io can be
    imported, and opens nothing.

    Raises:
        ShardFolderError: If they cannot; the message says what can.
    """
    if not is_url(folder.directory):
        return
    with contextlib.suppress(ImportError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # It adds file systems to TensorFlow.
        importlib.import_module("tensorflow_io")
    try:
        tf.io.gfile.stat(join_path(folder.directory, INDEX_FILE))
    except (tf.errors.OpError, NotImplementedError) as error:
        scheme = folder.directory.partition("://")[0]
        reason = reason_of(error).partition(" (file")[0]
        raise ShardFolderError(
            f"TensorFlow {tf.__version__} cannot read {scheme}:// ({reason}); leave "
            'out reader="graph", for which the extra `remote` is enough, or use '
            "TensorFlow 2.17 with the extra `io`"
        ) from error


def _sources(folder: ShardFolder, split: str, records: Records) -> NDArray[np.int64]:
    """Returns which record to read for each: itself, or any in place of a forged one.

    What was read in its place does not count as whole. This takes no control flow.
    """
    readable = readable_records(folder, split, records)
    if len(records) and not readable.any():
        raise ShardFolderError(
            f"no record of the {split} shards in {folder.directory} can be read; "
            "bin/inspect --verify says why"
        )
    return np.where(readable, np.arange(len(records)), readable.argmax())


def readable_records(
    folder: ShardFolder, split: str, records: Records
) -> NDArray[np.bool_]:
    """Returns which records TensorFlow may be told to read: bool [N].

    Its reader believes the length that a record claims to have, and ends the process
    where there is not so much memory; and it opens a missing file again and again. So
    files and lengths are compared with the index first. In an object store that is a
    request for each record, many at a time. At a URL that TensorFlow alone opens, only
    the sizes of the files are compared.

    Raises:
        StoreError: If a store fails.
    """
    shards = folder.split_shards(split)
    ends = records.offsets + records.num_bytes + FRAME_BYTES
    if is_url(folder.directory):
        sizes = file_sizes(folder.directory)
        readable = np.ones(len(records), bool)
        if sizes is not None:
            present = np.array([sizes.get(shard.name, 0) for shard in shards], np.int64)
            readable = ends <= present[records.shard_indices]
        if is_object_url(folder.directory):
            _compare_headers(folder, split, records, readable)
        return readable
    readable = np.zeros(len(records), bool)

    def check(shard_index: int) -> None:
        # The table is in the order of the shards.
        start, stop = np.searchsorted(
            records.shard_indices, [shard_index, shard_index + 1]
        )
        path = folder.shard_path(shards[shard_index])
        with contextlib.suppress(OSError), open_binary(path) as file:
            for row in range(start, stop):
                readable[row] = has_header(
                    file, int(records.offsets[row]), int(records.num_bytes[row])
                )

    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(check, range(len(shards))):
            pass
    return readable


def _compare_headers(
    folder: ShardFolder, split: str, records: Records, readable: NDArray[np.bool_]
) -> None:
    """Marks records in an object store whose length is not that of the index.

    Raises:
        StoreError: If the store fails.
    """
    store = open_store(folder.directory, is_patient=True)
    shards = folder.split_shards(split)

    def check(row: int) -> None:
        name = shards[records.shard_indices[row]].name
        offset = int(records.offsets[row])
        with failures_by_name():
            found = store.read(name, offset, offset + HEADER_BYTES)
        readable[row] = bytes(found.data) == header(int(records.num_bytes[row]))

    with ThreadPoolExecutor(_MAX_REQUESTS) as pool:
        for _ in pool.map(check, np.flatnonzero(readable)):
            pass


def check_ends(folder: ShardFolder, split: str, records: Records) -> None:
    """Compares the checksum of each shard's last record with the index.

    Raises:
        ShardFolderError: If a shard is not the one that the index was written with.
    """
    last_records = {int(shard): k for k, shard in enumerate(records.shard_indices)}

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
        if stored != footer(int(records.crcs[last_records[shard_index]])):
            raise ShardFolderError(
                f"{path} is not the shard that the index was written with; run "
                "bin/shard again, or copy the folder again"
            )

    # In parallel, because a folder on a network has latency to hide.
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(check, last_records):
            pass

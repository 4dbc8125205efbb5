"""The upper limit of any input from a shard folder on a machine."""

import contextlib
import itertools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import tensorflow as tf

from wlasl_tfrecord.errors import RecordError
from wlasl_tfrecord.files import num_cores, open_regular
from wlasl_tfrecord.input_pipeline.record_reader import readable_records
from wlasl_tfrecord.input_pipeline.shard_bytes import MAX_OPEN_FILES
from wlasl_tfrecord.shard_format.codecs import codec_facts
from wlasl_tfrecord.shard_format.parsing import read_contents
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_records
from wlasl_tfrecord.shard_format.tfrecord import FRAME_BYTES

__all__ = ["Rate", "measure_limit", "measure_threads"]

# Of each thread that reads: as many as in two batches of eight.
_CLIPS_IN_MEMORY = 16


@dataclass(frozen=True, kw_only=True)
class Rate:
    """The speed of one stage.

    Attributes:
        name: Name of the stage.
        clips_per_second: Clips a second of wall-clock time.
        cpu_ms_per_clip: CPU time of a clip, all cores together, in milliseconds.
    """

    name: str
    clips_per_second: float
    cpu_ms_per_clip: float


def measure_limit(
    folder: ShardFolder,
    split: str,
    *,
    seconds: float,
    num_threads: int | None = None,
) -> Rate:
    """Measures the upper limit of any input.

    For `raw` that is reading the bytes of records in a shuffled order, each by one call
    of the system, into memory that is in use already, is used again and is too large
    for the processor's cache: that of the batches of `input_fn`, without comparing
    checksums. For `jpeg` and `png` it is OpenCV's decoding of images in memory.

    Args:
        folder: The shard folder.
        split: The split.
        seconds: How long to measure.
        num_threads: Threads that do it at once; by default one a core.

    Returns:
        The rate of all threads together.

    Raises:
        RecordError: If none of the records to decode is whole.
        ShardFolderError: If the split or its table cannot be read.
    """
    records = load_records(folder, split)
    if codec_facts(folder.codec).stores_images:
        make_work = _bare_decoding(folder, split, records)
        return measure_threads("bare decoding", make_work, seconds, num_threads)
    with contextlib.ExitStack() as files:
        make_work = _bare_reads(folder, split, records, files)
        return measure_threads("bare reads", make_work, seconds, num_threads)


def measure_threads(
    name: str,
    make_work: Callable[[], Callable[[int], None]],
    seconds: float,
    num_threads: int | None = None,
) -> Rate:
    """Measures work on clips in several threads.

    Args:
        name: Name of the rate.
        make_work: Called once for each thread, before the time is taken; makes a
            function that processes the n-th clip.
        seconds: How long to measure.
        num_threads: Their number; by default one a core.

    Returns:
        The rate of all threads together.
    """
    num_threads = num_threads or num_cores()
    work = [make_work() for _ in range(num_threads)]
    started, cpu_started = time.perf_counter(), time.process_time()
    deadline = started + seconds

    def run(thread: int) -> int:
        clip_index, process_clip = thread, work[thread]
        while True:
            process_clip(clip_index)
            clip_index += num_threads
            if time.perf_counter() > deadline:
                return clip_index // num_threads

    with ThreadPoolExecutor(num_threads) as pool:
        clips = sum(pool.map(run, range(num_threads)))
    wall = time.perf_counter() - started
    cpu_ms = (time.process_time() - cpu_started) * 1e3
    return Rate(
        name=name, clips_per_second=clips / wall, cpu_ms_per_clip=cpu_ms / clips
    )


def _bare_reads(
    folder: ShardFolder, split: str, records: Records, files: contextlib.ExitStack
) -> Callable[[], Callable[[int], None]]:
    """Makes a function that makes one thread's reader of the n-th record's bytes."""
    shards = folder.split_shards(split)[:MAX_OPEN_FILES]
    opened = []
    for shard in shards:
        opened.append(open_regular(folder.shard_path(shard), os.O_RDONLY))
        files.callback(os.close, opened[-1])
    num_records = int(np.searchsorted(records.shard_indices, len(shards)))
    order = np.random.default_rng(0).permutation(num_records).tolist()
    # Made by NumPy, as the memory of batches is: the kernel gives it in huge pages.
    record_bytes = int(records.num_bytes.max()) + FRAME_BYTES
    clip_bytes = -(-record_bytes // 64) * 64

    def start() -> Callable[[int], None]:
        memory = np.zeros(_CLIPS_IN_MEMORY * clip_bytes, np.uint8)
        memory.fill(1)
        places = itertools.cycle(memory.reshape(_CLIPS_IN_MEMORY, clip_bytes))

        def read(clip_index: int) -> None:
            record = order[clip_index % len(order)]
            num_bytes = int(records.num_bytes[record]) + FRAME_BYTES
            place: Any = next(places)[:num_bytes]
            file = opened[records.shard_indices[record]]
            os.preadv(file, [place], int(records.offsets[record]))

        return read

    return start


def _bare_decoding(
    folder: ShardFolder, split: str, records: Records
) -> Callable[[], Callable[[int], None]]:
    """Makes a function that makes one thread's decoder of the n-th of some clips."""
    clips = []
    num_records = min(len(records), 32)
    readable = readable_records(folder, split, records)
    for record in np.flatnonzero(readable[:num_records]).tolist():
        shard = folder.split_shards(split)[records.shard_indices[record]]
        contents, _, whole = read_contents(
            tf.constant(folder.shard_path(shard)),
            tf.constant(records.offsets[record]),
            folder.clip,
            folder.codec,
        )
        if whole:
            images = contents["encoded"].numpy()
            clips.append([np.frombuffer(image, np.uint8) for image in images])
    if not clips:
        raise RecordError(
            f"none of the first {num_records} {split} records is whole; bin/inspect "
            "--verify says why"
        )
    # There is one thread a core already.
    cv2.setNumThreads(1)

    def decode(clip_index: int) -> None:
        for image in clips[clip_index % len(clips)]:
            cv2.imdecode(image, cv2.IMREAD_COLOR)

    return lambda: decode

"""What no input from a shard folder can be faster than on a machine."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import tensorflow as tf

from wlasl_tfrecord.errors import RecordError
from wlasl_tfrecord.files import num_cores
from wlasl_tfrecord.shard_format.parsing import parse_frames, read_record
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_records
from wlasl_tfrecord.shard_format.tfrecord import HEADER_BYTES

__all__ = ["Rate", "measure_limit"]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How fast something was.

    Attributes:
        name: What was measured.
        clips_per_second: Clips that arrived in a second of the clock.
        cpu_ms_per_clip: Milliseconds of all cores together that a clip took.
    """

    name: str
    clips_per_second: float
    cpu_ms_per_clip: float


def measure_limit(folder: ShardFolder, split: str, *, seconds: float) -> Rate:
    """Measures what no input can be faster than, on all cores.

    For `raw` that is reading the records' bytes into memory that is there already; for
    `jpeg` and `png`, decoding images that are in memory already.

    Args:
        folder: The shard folder.
        split: The split.
        seconds: How long to measure.

    Returns:
        The rate, of one thread a core.

    Raises:
        RecordError: If no record is whole that could be decoded.
        ShardFolderError: If the split is not there or its table cannot be read.
    """
    records = load_records(folder, split)
    num_threads = num_cores()
    if folder.codec == "raw":
        name, work = "bare reads", _bare_reads(folder, split, records)
    else:
        name, work = "bare decoding", _bare_decoding(folder, split, records)
    counts = [0] * num_threads
    started, cpu_started = time.perf_counter(), time.process_time()
    deadline = started + seconds

    def run(thread: int) -> None:
        step, state = thread, work()
        while True:
            state(step)
            counts[thread] += 1
            step += num_threads
            if time.perf_counter() > deadline:
                return

    threads = [threading.Thread(target=run, args=(i,)) for i in range(num_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - started
    cpu_ms = (time.process_time() - cpu_started) * 1e3
    clips = sum(counts)
    return Rate(
        name=name, clips_per_second=clips / wall, cpu_ms_per_clip=cpu_ms / clips
    )


def _bare_reads(
    folder: ShardFolder, split: str, records: Records
) -> Callable[[], Callable[[int], None]]:
    """Makes what reads the n-th record's bytes, for each thread its own."""
    paths = [folder.shard_path(shard) for shard in folder.split_shards(split)]
    files = [os.open(path, os.O_RDONLY) for path in paths]

    def start() -> Callable[[int], None]:
        buffer = bytearray(int(records.num_bytes.max()))

        def read(step: int) -> None:
            record = step % len(records)
            view = memoryview(buffer)[: int(records.num_bytes[record])]
            file = files[records.shard_indices[record]]
            os.preadv(file, [view], int(records.offsets[record]) + HEADER_BYTES)

        return read

    return start


def _bare_decoding(
    folder: ShardFolder, split: str, records: Records
) -> Callable[[], Callable[[int], None]]:
    """Makes what decodes the n-th of some clips, for each thread its own."""
    clips = []
    num_records = min(len(records), 32)
    for record in range(num_records):
        shard = folder.split_shards(split)[records.shard_indices[record]]
        data = read_record(
            tf.constant(folder.shard_path(shard)),
            tf.constant(records.offsets[record]),
            or_empty=True,
        )
        images, _, whole = parse_frames(data, folder.clip, folder.codec)
        if whole:
            clips.append([np.frombuffer(image, np.uint8) for image in images.numpy()])
    if not clips:
        raise RecordError(
            f"none of the first {num_records} {split} records is whole; bin/inspect "
            "--verify says why"
        )
    # One thread a core is ours to start.
    cv2.setNumThreads(1)

    def decode(step: int) -> None:
        for image in clips[step % len(clips)]:
            cv2.imdecode(image, cv2.IMREAD_COLOR)

    return lambda: decode

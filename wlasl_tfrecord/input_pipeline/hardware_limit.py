"""The upper limit of any input from a shard folder on a machine."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import tensorflow as tf

from wlasl_tfrecord.errors import RecordError
from wlasl_tfrecord.files import num_cores, open_regular
from wlasl_tfrecord.input_pipeline.record_reader import readable_records
from wlasl_tfrecord.shard_format.codecs import codec_facts
from wlasl_tfrecord.shard_format.parsing import parse_frames, read_record
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_records
from wlasl_tfrecord.shard_format.tfrecord import HEADER_BYTES

__all__ = ["Rate", "measure_limit", "measure_threads"]


# Of each thread that reads.
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


def measure_limit(folder: ShardFolder, split: str, *, seconds: float) -> Rate:
    """Measures the upper limit of any input, on all cores.

    For `raw` that is reading the records' bytes into allocated memory; for `jpeg` and
    `png`, decoding images that are in memory.

    Args:
        folder: The shard folder.
        split: The split.
        seconds: How long to measure.

    Returns:
        The rate of one thread a core.

    Raises:
        RecordError: If none of the records to decode is whole.
        ShardFolderError: If the split or its table cannot be read.
    """
    records = load_records(folder, split)
    if codec_facts(folder.codec).stores_images:
        name, make_work = "bare decoding", _bare_decoding(folder, split, records)
    else:
        name, make_work = "bare reads", _bare_reads(folder, split, records)
    return measure_threads(name, make_work, seconds)


def measure_threads(
    name: str, make_work: Callable[[], Callable[[int], None]], seconds: float
) -> Rate:
    """Measures work on clips in one thread a core.

    Args:
        name: Name of the rate.
        make_work: Called once a thread; makes a function that processes the n-th clip.
        seconds: How long to measure.

    Returns:
        The rate of all threads together.
    """
    num_threads = num_cores()
    started, cpu_started = time.perf_counter(), time.process_time()
    deadline = started + seconds

    def run(thread: int) -> int:
        clip_index, process_clip = thread, make_work()
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
    folder: ShardFolder, split: str, records: Records
) -> Callable[[], Callable[[int], None]]:
    """Makes a function that makes one thread's reader of the n-th record's bytes."""
    paths = [folder.shard_path(shard) for shard in folder.split_shards(split)]
    files = [open_regular(path, os.O_RDONLY) for path in paths]

    def start() -> Callable[[int], None]:
        # A batch, as an input needs it: one clip would stay in the processor's cache.
        record_bytes = int(records.num_bytes.max())
        memory = memoryview(bytearray(_CLIPS_IN_MEMORY * record_bytes))

        def read(clip_index: int) -> None:
            record = clip_index % len(records)
            place = clip_index % _CLIPS_IN_MEMORY * record_bytes
            view = memory[place : place + int(records.num_bytes[record])]
            file = files[records.shard_indices[record]]
            os.preadv(file, [view], int(records.offsets[record]) + HEADER_BYTES)

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
    # There is one thread a core already.
    cv2.setNumThreads(1)

    def decode(clip_index: int) -> None:
        for image in clips[clip_index % len(clips)]:
            cv2.imdecode(image, cv2.IMREAD_COLOR)

    return lambda: decode

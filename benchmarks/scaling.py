"""How far one process can read: time under Python's lock, and bytes that move.

    python benchmarks/scaling.py --raw shards-raw/ --jpeg shards-jpeg/

One thread reads clips. The calls that free the lock (reads of files, checksums, JPEG
decoding, resizing) are timed from inside, and what is left of the thread's time is the
time under the lock. TensorFlow's share is that of batches whose clips are not read.
More threads than a clip's time divided by its time under the lock cannot all be busy.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import Any
from unittest import mock

import cv2
import numpy as np
import simplejpeg

from wlasl_tfrecord import input_fn, load_folder
from wlasl_tfrecord.input_pipeline.clip_change import ClipChange
from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
from wlasl_tfrecord.shard_format import tfrecord
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder

# Where the calls that free the lock are looked up when they are called.
LOCK_FREE = (
    (os, "preadv"),
    (tfrecord, "crc32c"),
    (simplejpeg, "decode_jpeg"),
    (cv2, "resize"),
)
BATCH_SIZE = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", required=True)
    parser.add_argument("--jpeg", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=160, help="of each round")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    print("| clips | one thread, ms | under the lock, ms | threads that keep busy |")
    print("|---|---|---|---|")
    for path in (arguments.raw, arguments.jpeg):
        folder = load_folder(path)
        outside = median(
            _batch_ms(folder) / BATCH_SIZE for _ in range(arguments.rounds)
        )
        for augmented in (False, True):
            rows = [
                _clip_ms(folder, arguments.clips, augmented)
                for _ in range(arguments.rounds)
            ]
            whole, locked = (median(row[k] for row in rows) + outside for k in (0, 1))
            print(
                f"| {folder.codec}{', augmented' * augmented} | {whole:.2f} | "
                f"{locked:.3f} | {whole / locked:.0f} |"
            )
    return 0


def _clip_ms(
    folder: ShardFolder, num_clips: int, augmented: bool
) -> tuple[float, float]:
    """Returns the milliseconds of a clip, and those of them under the lock."""
    reader = ShardReader(folder)
    shape = folder.clip.shape
    batches = np.zeros((4, BATCH_SIZE, *shape), np.uint8)
    places = batches.reshape(-1, *shape)
    change = ClipChange(
        frame_indices=tuple(range(shape[0])),
        crop=(8, 8, shape[1] * 9 // 10, shape[2] * 9 // 10),
    )
    free, started = [0.0], 0.0

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def timed_call(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*arguments, **options)
            finally:
                free[0] += time.perf_counter() - started

        return timed_call

    with ExitStack() as stack:
        for module, name in LOCK_FREE:
            wrapper = timed(getattr(module, name))
            stack.enter_context(mock.patch.object(module, name, wrapper))
        order = np.random.default_rng(0).permutation(len(reader)).tolist()
        for clip in range(-16, num_clips):
            if clip == 0:
                free[0], started = 0.0, time.perf_counter()
            out = places[clip % len(places)]
            reader.read_frames(
                order[clip % len(order)], out, change if augmented else None
            )
    wall = time.perf_counter() - started
    return wall / num_clips * 1e3, (wall - free[0]) / num_clips * 1e3


def _batch_ms(folder: ShardFolder, num_batches: int = 400) -> float:
    """Returns the CPU milliseconds of a batch whose clips are not read.

    All of it counts as time under the lock, which is more than is true.
    """
    with mock.patch.object(ShardReader, "read_frames", return_value=None):
        batches = iter(
            input_fn(folder, "train", BATCH_SIZE, augment=False, num_epochs=None)
        )
        for _ in range(20):
            next(batches)
        started = time.process_time()
        for _ in range(num_batches):
            next(batches)
        return (time.process_time() - started) / num_batches * 1e3


if __name__ == "__main__":
    sys.exit(main())

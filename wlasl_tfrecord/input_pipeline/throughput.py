"""How fast a machine reads a shard folder, stage by stage, and what to change."""

import os
import time
from collections.abc import Callable, Iterable
from functools import partial

import tensorflow as tf

from wlasl_tfrecord.files import num_cores
from wlasl_tfrecord.input_pipeline import dataset
from wlasl_tfrecord.input_pipeline.damaged_records import damaged_records_by_name
from wlasl_tfrecord.input_pipeline.hardware_limit import Rate, measure_threads
from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
from wlasl_tfrecord.shard_format.codecs import (
    PLAIN_CODEC,
    SMALLEST_CODEC,
    Codec,
    codec_facts,
)
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder

__all__ = ["advise", "measure_input"]


def measure_input(
    folder: ShardFolder, split: str, batch_size: int, *, seconds: float
) -> list[Rate]:
    """Measures the input up to each of its stages, in the shuffled order.

    Args:
        folder: The shard folder, on this machine.
        split: The split.
        batch_size: Clips in a batch.
        seconds: How long to measure each stage.

    Returns:
        A rate for "read" (records read and their checksums compared, in one thread a
        core), "decode" (`input_fn` without augmentation) and "augment" (`input_fn` as
        training calls it), each with the stages before it.

    Raises:
        RecordError: If a record is damaged.
        ShardFolderError: If the split is not there, its table cannot be read, or the
            folder is on another machine.
        ValueError: If the batch does not fit into the split.
    """
    reader = ShardReader(folder, split)
    batches = partial(
        dataset.input_fn,
        folder,
        split,
        batch_size,
        training=True,
        num_epochs=None,
    )

    def make_read() -> Callable[[int], None]:
        return lambda clip_index: reader.check_record(clip_index % len(reader))

    with damaged_records_by_name():
        return [
            measure_threads("read", make_read, seconds),
            _measure("decode", batches(augment=False), batch_size, seconds),
            _measure("augment", batches(), batch_size, seconds),
        ]


def advise(
    rates: Iterable[Rate], limit: Rate, codec: Codec, needed: float | None
) -> list[str]:
    """Returns whether the input keeps up, and what to change if it does not.

    Args:
        rates: What `measure_input` returned.
        limit: What `hardware_limit.measure_limit` returned.
        codec: How the folder stores frames.
        needed: Clips a second that the training step uses; None if unknown.

    Returns:
        Lines to print; the first is the verdict.
    """
    cpu = {rate.name: rate.cpu_ms_per_clip for rate in rates}
    arrives = {rate.name: rate.clips_per_second for rate in rates}
    if needed is not None and arrives["augment"] >= needed:
        spare = arrives["augment"] / needed
        return [
            f"the input keeps up: {arrives['augment']:.0f} clips/s arrive, a training "
            f"step takes {needed:.0f} ({spare:.1f} times as many)"
        ]
    if needed is None:
        lines = [
            f"the input keeps up with steps of up to {arrives['augment']:.0f} clips/s"
        ]
    else:
        lines = [
            f"the input is the limit: {arrives['augment']:.0f} clips/s arrive, "
            f"a training step takes {needed:.0f}"
        ]
    augmenting = max(cpu["augment"] - cpu["decode"], 0.0)
    decoding = max(cpu["decode"] - cpu["read"], 0.0)
    cores = num_cores()
    busy = cpu["read"] / 1e3 * arrives["read"] / cores
    if busy < 0.5 and arrives["read"] < 2 * arrives["augment"]:
        lines.append(
            "reading waits for the storage, not for a core: copy the folder to a local "
            f"disk, write it with --codec {SMALLEST_CODEC}, or use "
            'input_fn(order="sequential")'
        )
    if augmenting > max(decoding, cpu["read"]):
        lines.append(
            f"augmentation takes {augmenting:.1f} of {cpu['augment']:.1f} ms a clip: "
            "bin/train --no-augment leaves it out, and "
            "input_fn(augment=AugmentConfig(min_scale=1.0, max_stretch=1.0)) the crop, "
            "which the device can do (docs/input_fn.md)"
        )
    if codec_facts(codec).stores_images and decoding > cpu["read"]:
        lines.append(
            f"decoding takes {decoding:.1f} of {cpu['augment']:.1f} ms a clip: "
            f"bin/shard --codec {PLAIN_CODEC} needs none, for some 13 times the bytes"
        )
    if "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        lines.append(
            "glibc gives memory back after every clip: set MALLOC_MMAP_THRESHOLD_, "
            "MALLOC_TRIM_THRESHOLD_ and MALLOC_TOP_PAD_ (docs/input_fn.md)"
        )
    lines.append(
        f"{limit.name} on {cores} cores give {limit.clips_per_second:.0f} clips/s: "
        "this is the most that any input can give here"
    )
    return lines


def _measure(
    name: str, elements: tf.data.Dataset, clips_per_element: int, seconds: float
) -> Rate:
    """Measures a dataset for some seconds, after a start that does not count."""
    iterator = iter(elements)
    # The first elements include the time to build the pipeline and fill its buffers.
    for _ in range(max(1, 16 // clips_per_element)):
        next(iterator)
    clips = 0
    started, cpu_started = time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        next(iterator)
        clips += clips_per_element
    wall = time.perf_counter() - started
    cpu_ms = (time.process_time() - cpu_started) * 1e3
    return Rate(
        name=name, clips_per_second=clips / wall, cpu_ms_per_clip=cpu_ms / clips
    )

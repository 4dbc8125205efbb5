"""How fast a machine reads a shard folder, stage by stage, and what to change."""

import os
import time
from collections.abc import Callable, Iterable
from functools import partial

import tensorflow as tf

from wlasl_tfrecord.files import num_cores
from wlasl_tfrecord.input_pipeline import augment, dataset
from wlasl_tfrecord.input_pipeline.damaged_records import damaged_records_by_name
from wlasl_tfrecord.input_pipeline.hardware_limit import Rate
from wlasl_tfrecord.shard_format.codecs import (
    PLAIN_CODEC,
    SMALLEST_CODEC,
    Codec,
    codec_facts,
)
from wlasl_tfrecord.shard_format.decode_frames import decode_encoded
from wlasl_tfrecord.shard_format.parsing import parse_frames, read_record
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_records

__all__ = ["advise", "measure_input"]


def measure_input(
    folder: ShardFolder, split: str, batch_size: int, *, seconds: float
) -> list[Rate]:
    """Measures the input up to each of its stages, in the shuffled order.

    Args:
        folder: The shard folder.
        split: The split.
        batch_size: Clips in a batch.
        seconds: How long to measure each stage.

    Returns:
        A rate for "read", "parse", "decode" and "augment", each with the stages before
        it, and for "batch", which is `input_fn` as training calls it. "decode" is
        `input_fn` without augmentation.

    Raises:
        RecordError: If a record is damaged.
        ShardFolderError: If the split is not there or its table cannot be read.
        ValueError: If the batch does not fit into the split.
    """
    records = load_records(folder, split)
    batches = partial(
        dataset.input_fn,
        folder,
        split,
        batch_size,
        training=True,
        num_epochs=None,
    )
    paths = tf.constant([folder.shard_path(s) for s in folder.split_shards(split)])
    shard_indices, offsets = records.shard_indices, records.offsets
    # As many clips at once as `input_fn` reads.
    calls = num_cores() + 2

    def read(key):
        path = tf.gather(paths, tf.gather(shard_indices, key["record"]))
        # `input_fn`, below, names a damaged one.
        return read_record(path, tf.gather(offsets, key["record"]), or_empty=True)

    def parse(key):
        return parse_frames(read(key), folder.clip, folder.codec)[0]

    def change(key):
        frames = decode_encoded(parse(key), folder.clip, folder.codec)
        return augment.augment_clip(frames, key["seed"], augment.AugmentConfig())

    keys = (
        batches(element="keys")
        .unbatch()
        .map(lambda key: {"record": key["record"], "seed": key["seed"]})
    )

    def measure(name: str, stages: Callable) -> Rate:
        clips = keys.map(stages, num_parallel_calls=calls)
        return _measure(name, clips.prefetch(batch_size), 1, seconds)

    with damaged_records_by_name():
        return [
            measure("read", read),
            measure("parse", parse),
            _measure("decode", batches(augment=False), batch_size, seconds),
            measure("augment", change),
            _measure("batch", batches(), batch_size, seconds),
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
    if needed is not None and arrives["batch"] >= needed:
        spare = arrives["batch"] / needed
        return [
            f"the input keeps up: {arrives['batch']:.0f} clips/s arrive, a training "
            f"step takes {needed:.0f} ({spare:.1f} times as many)"
        ]
    if needed is None:
        lines = [
            f"the input keeps up with steps of up to {arrives['batch']:.0f} clips/s"
        ]
    else:
        lines = [
            f"the input is the limit: {arrives['batch']:.0f} clips/s arrive, "
            f"a training step takes {needed:.0f}"
        ]
    augmenting = max(cpu["augment"] - cpu["decode"], 0.0)
    decoding = max(cpu["decode"] - cpu["parse"], 0.0)
    cores = num_cores()
    busy = cpu["read"] / 1e3 * arrives["read"] / cores
    if busy < 0.5 and arrives["read"] < 2 * arrives["batch"]:
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
        "beyond that, only more cores or more machines help"
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

"""Reads one record at an offset, and says of a damaged one which it is.

Everything here works eagerly and inside `Dataset.map`. A damaged record cannot raise
there without ending the whole input, so it is told by a flag.
"""

import threading
from collections.abc import Callable

import tensorflow as tf
from absl import logging

from wlasl_tfrecord.clips import ClipSpec
from wlasl_tfrecord.examples import FRAMES_KEY, IMAGES_KEY, encode_black
from wlasl_tfrecord.index import Codec, Records, ShardFolder
from wlasl_tfrecord.records import read_record

__all__ = ["make_reader", "parse_frames"]

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
        max_bad_records: How many different damaged records to pass over. The next one
            ends the input with an error that names it.
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
    # At least one record has to be whole, or there is nothing to put in its place.
    budget = min(max_bad_records, len(records) - 1)
    way_out = (
        f"more than max_bad_records={max_bad_records}: run bin/shard again, copy the "
        "file again, or allow more"
    )
    names = tf.constant(_names(folder, split, records))
    failures = tf.strings.join([names, f"; {way_out}"])

    def read(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        path = tf.gather(paths, tf.gather(shard_indices, record))
        serialized = read_record(path, tf.gather(offsets, record), or_empty=True)
        return parse_frames(serialized, folder.clip, folder.codec)

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


def parse_frames(
    serialized: tf.Tensor, clip: ClipSpec, codec: Codec
) -> tuple[tf.Tensor, tf.Tensor]:
    """Takes the encoded frames out of a record, which may be damaged.

    Args:
        serialized: string [], a record; empty if it could not be read.
        clip: The shape of the clips in the folder.
        codec: How the folder stores frames.

    Returns:
        The frames, string [] for `raw` and string [T] otherwise, and bool [] whether
        they are as many bytes, or images, as a clip has.
    """
    if codec == "raw":
        feature = tf.io.FixedLenFeature([], tf.string, default_value="")
        encoded = tf.io.parse_single_example(serialized, {FRAMES_KEY: feature})
        frames = encoded[FRAMES_KEY]
        return frames, tf.equal(tf.strings.length(frames), clip.num_bytes)
    size = tf.io.FixedLenFeature([], tf.int64, default_value=0)
    lists = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
    context, parsed = tf.io.parse_single_sequence_example(
        serialized,
        context_features={"image/height": size, "image/width": size},
        sequence_features={IMAGES_KEY: lists},
    )
    images = parsed[IMAGES_KEY]
    whole = (
        tf.equal(tf.size(images), clip.num_frames)
        & tf.equal(context["image/height"], clip.height)
        & tf.equal(context["image/width"], clip.width)
    )
    padding = tf.maximum(clip.num_frames - tf.size(images), 0)
    images = tf.pad(images, [[0, padding]], constant_values="")[: clip.num_frames]
    return tf.ensure_shape(images, [clip.num_frames]), whole


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
            f"video_id {video_id}, is damaged or of another shape"
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

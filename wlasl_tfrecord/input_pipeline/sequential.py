"""The sequential order: records are read in file order, one window after the other.

For spinning disks and object stores, where reading in order costs far less than jumping
about. A window is held in memory still encoded, and its clips leave it shuffled.
"""

from collections.abc import Callable, Mapping
from typing import cast

import tensorflow as tf

from wlasl_tfrecord.input_pipeline.order import Order, WorkerPositions

__all__ = ["read_window", "window_positions", "window_range"]

Clip = Mapping[str, tf.Tensor]


def window_range(order: Order, positions: WorkerPositions) -> range:
    """Returns the numbers of the windows of a run, counted over all epochs."""

    def window_at(position: int) -> int:
        epoch, place = divmod(position, order.clips_per_epoch)
        return epoch * order.windows_per_epoch + place // order.window_size

    if positions.stop is None:
        return range(window_at(positions.start), 2**40)
    if positions.stop <= positions.start:
        return range(0)
    return range(window_at(positions.start), window_at(positions.stop - 1) + 1)


def window_positions(
    order: Order, positions: WorkerPositions, window: tf.Tensor
) -> tf.Tensor:
    """Returns one worker's positions in a window.

    Args:
        order: The order, with windows.
        positions: What this worker reads.
        window: int64 [], the window's number.

    Returns:
        int64 [n], increasing.
    """
    epoch_start = window // order.windows_per_epoch * order.clips_per_epoch
    window_in_epoch = tf.math.floormod(window, order.windows_per_epoch)
    start = epoch_start + window_in_epoch * order.window_size
    stop = tf.minimum(start + order.window_size, epoch_start + order.clips_per_epoch)
    start = tf.maximum(start, tf.constant(positions.start, tf.int64))
    if positions.stop is not None:
        stop = tf.minimum(stop, tf.constant(positions.stop, tf.int64))
    # To the next position of this worker.
    start += tf.math.floormod(positions.worker_index - start, positions.num_workers)
    return tf.range(start, stop, positions.num_workers)


def read_window(
    places: Clip,
    read: Callable[[Clip], Clip],
    *,
    window_size: int,
    num_parallel_calls: int = tf.data.AUTOTUNE,
) -> tf.data.Dataset:
    """Reads the clips of a window in file order and returns them in their own order.

    Args:
        places: Where the clips are, [n] each; "record" decides when one is read.
        read: Reads the clip at a place, still encoded.
        window_size: The largest n.
        num_parallel_calls: Clips that are read at once.

    Returns:
        A dataset of what `read` returned, in the order of `places`.
    """
    file_order = tf.argsort(places["record"], stable=True)
    own_order = tf.argsort(file_order)
    clips = tf.data.Dataset.from_tensor_slices(
        _gather(places, file_order)  # pyright: ignore[reportArgumentType]
    ).map(read, num_parallel_calls=num_parallel_calls)
    specs = cast(dict[str, tf.TensorSpec], clips.element_spec)
    # Boxed: frames that are collected, reordered and taken apart would be copied each
    # time, 4.5 MB a clip (docs/decisions/0006-copies-of-a-clip.md).
    return (
        clips.map(_box)
        .batch(window_size)
        .map(lambda boxes: _gather(boxes, own_order))
        .unbatch()
        .map(lambda boxes: _unbox(boxes, specs))
    )


def _gather(clips: Clip, indices: tf.Tensor) -> dict[str, tf.Tensor]:
    return {key: tf.gather(values, indices) for key, values in clips.items()}


def _box(clip: Clip) -> dict[str, tf.Tensor]:
    """Puts each tensor into a TensorList of one; a copy of that only points at it."""
    return {
        key: tf.raw_ops.TensorListPushBack(
            input_handle=tf.raw_ops.EmptyTensorList(
                element_dtype=value.dtype,
                element_shape=tf.shape(value),
                max_num_elements=1,
            ),
            tensor=value,
        )
        for key, value in clip.items()
    }


def _unbox(boxes: Clip, specs: Mapping[str, tf.TensorSpec]) -> dict[str, tf.Tensor]:
    """Takes each tensor out of its TensorList."""
    return {
        key: tf.ensure_shape(
            tf.raw_ops.TensorListGetItem(
                input_handle=boxes[key],
                index=0,
                element_shape=tuple(spec.shape),
                element_dtype=spec.dtype,
            ),
            spec.shape,
        )
        for key, spec in specs.items()
    }

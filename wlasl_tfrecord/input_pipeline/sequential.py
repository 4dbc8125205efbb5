"""The sequential order: records are read in file order, a window of them at a time.

For spinning disks and object stores, where reading in order costs far less than jumping
about. A window is held in memory still encoded, and its clips leave it shuffled.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import tensorflow as tf

from wlasl_tfrecord.input_pipeline.order import Order

__all__ = ["Part", "read_window", "window_range"]

Clip = Mapping[str, tf.Tensor]


@dataclass(frozen=True, kw_only=True)
class Part:
    """The positions of a run that one worker reads.

    Attributes:
        start: First position, of all workers.
        stop: One past the last position; None for no end.
        pipeline: Which worker this is.
        num_pipelines: How many there are; every n-th position is this worker's.
    """

    start: int
    stop: int | None
    pipeline: int
    num_pipelines: int

    @property
    def positions(self) -> range:
        """This worker's positions; very many if there is no end."""
        stop = 2**62 if self.stop is None else self.stop
        return range(self.start + self.pipeline, stop, self.num_pipelines)


def window_range(order: Order, part: Part) -> range:
    """Numbers the windows that hold the positions of a part, over all epochs."""
    num_windows = -(-order.clips_per_epoch // order.window)

    def number(position: int) -> int:
        epoch, place = divmod(position, order.clips_per_epoch)
        return epoch * num_windows + place // order.window

    if part.stop is None:
        return range(number(part.start), 2**40)
    if part.stop <= part.start:
        return range(0)
    return range(number(part.start), number(part.stop - 1) + 1)


def read_window(
    order: Order,
    part: Part,
    window: tf.Tensor,
    find: Callable[[tf.Tensor], Clip],
    read: Callable[[Clip], Clip],
    *,
    num_parallel_calls: int = tf.data.AUTOTUNE,
) -> tf.data.Dataset:
    """Reads one worker's clips of a window in file order, and gives them in run order.

    Args:
        order: The order, with a window.
        part: What this worker reads.
        window: int64 [], its number.
        find: Gives the place of a position; its "record" decides when it is read.
        read: Reads the clip at a place, still encoded.
        num_parallel_calls: Clips that are read at once.

    Returns:
        What `read` gave, by position.
    """
    num_windows = -(-order.clips_per_epoch // order.window)
    epoch_start = window // num_windows * order.clips_per_epoch
    first = epoch_start + tf.math.floormod(window, num_windows) * order.window
    last = tf.minimum(first + order.window, epoch_start + order.clips_per_epoch)
    first = tf.maximum(first, tf.constant(part.start, tf.int64))
    if part.stop is not None:
        last = tf.minimum(last, tf.constant(part.stop, tf.int64))
    first += tf.math.floormod(part.pipeline - first, part.num_pipelines)
    positions = tf.range(first, last, part.num_pipelines)
    shape = find(tf.constant(0, tf.int64))
    places = tf.map_fn(
        find,
        positions,
        fn_output_signature={k: tf.TensorSpec([], v.dtype) for k, v in shape.items()},
    )
    by_file = tf.argsort(places["record"], stable=True)
    by_run = tf.argsort(by_file)
    clips = tf.data.Dataset.from_tensor_slices(
        _gather(places, by_file)  # pyright: ignore[reportArgumentType]
    ).map(read, num_parallel_calls=num_parallel_calls)
    specs = cast(dict[str, tf.TensorSpec], clips.element_spec)
    # In boxes: frames that are collected, reordered and taken apart again would be
    # copied each time, 4.5 MB a clip (docs/decisions/0006-copies-of-a-clip.md).
    return (
        clips.map(_box)
        # Room for more than there ever are takes its time: 0.6 s for 44,000 clips.
        .batch(min(order.window, order.clips_per_epoch))
        .map(lambda boxes: _gather(boxes, by_run))
        .unbatch()
        .map(lambda boxes: _unbox(boxes, specs))
    )


def _gather(clips: Clip, indices: tf.Tensor) -> dict[str, tf.Tensor]:
    return {key: tf.gather(values, indices) for key, values in clips.items()}


def _box(clip: Clip) -> dict[str, tf.Tensor]:
    """Puts each tensor into a list of one, of which a copy only points at it."""
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
    """Takes each tensor out of its list."""
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

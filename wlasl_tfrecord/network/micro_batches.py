"""Micro-batches, computed one after the other to save memory."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

__all__ = ["clips_at_once", "few_at_once"]

# Clips that a GPU computes at once where nothing is kept for gradients; MobileNetV2 of
# width 1 takes some 0.4 GB for each. A CPU is busy with the frames of one.
_GPU_CLIPS = 8


def few_at_once(
    compute: Callable[..., tf.Tensor],
    inputs: Sequence[Any],
    row: tf.TensorSpec,
) -> tf.Tensor:
    """Computes something clip by clip, or a few clips at a time on a GPU.

    Without gradients, the batch size matters only for how well the device is used. The
    features of 16 augmented clips took 4.6 GB on a CPU at once, and take 0.9 GB so, in
    the same time.

    Args:
        compute: Function of micro-batches of the inputs, [b, ...] each -> [b, ...].
        inputs: [B, ...] each, or a dict of such, with B known.
        row: Shape and dtype of one clip's result.

    Returns:
        [B, ...].
    """
    num_clips = int(tf.nest.flatten(inputs)[0].shape[0] or 0)
    at_once = clips_at_once(num_clips)
    if num_clips == at_once:
        return compute(*inputs)

    groups = tf.nest.map_structure(
        lambda one: tf.reshape(one, [-1, at_once, *one.shape[1:]]), list(inputs)
    )

    def compute_group(index: tf.Tensor) -> tf.Tensor:
        return compute(*tf.nest.map_structure(lambda group: group[index], groups))

    shape = row.shape.as_list()
    results = tf.map_fn(
        compute_group,
        tf.range(num_clips // at_once),
        # Not several at once, TensorFlow's default: each takes memory.
        parallel_iterations=1,
        fn_output_signature=tf.TensorSpec([at_once, *shape], row.dtype),
    )
    return tf.reshape(results, [num_clips, *shape])


def clips_at_once(num_clips: int) -> int:
    """Returns how many clips of a batch `few_at_once` computes at once."""
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    return math.gcd(num_clips, _GPU_CLIPS) if on_gpu else 1

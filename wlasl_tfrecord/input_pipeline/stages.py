"""What the ways from a position to a batch share: positions, and their places."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from wlasl_tfrecord.input_pipeline.order import locate, with_first_epoch
from wlasl_tfrecord.input_pipeline.plan import InputPlan

__all__ = [
    "Stages",
    "Tensors",
    "batch_clips",
    "batch_positions",
    "find_places",
    "run_batches",
    "run_positions",
]

Tensors = Mapping[str, tf.Tensor]


class Stages(NamedTuple):
    """One way from a position to a batch.

    Attributes:
        batches: A dataset with an element for each batch.
        complete: Turns such an element into "record" and "epoch" (int64 [B]), "weight"
            (float32 [B]), and "frames" (uint8 [B, T, H, W, 3]) and "landmarks"
            (float32 [B, T, K, 3]) as the plan has them.
        close: To be called when the dataset is gone: lets go of memory and files.
    """

    batches: tf.data.Dataset
    complete: Callable[..., Any]
    close: Callable[[], None] = lambda: None


def run_positions(plan: InputPlan) -> tf.data.Dataset:
    """Makes a dataset of a worker's positions.

    Returns:
        A dataset of (int64 [] position, int64 [] first epoch); see `find_places`.
    """
    return with_first_epoch(
        plan.positions.numbers,
        plan.order.seed,
        reshuffle_each_iteration=plan.reshuffles,
    )


def run_batches(plan: InputPlan) -> tf.data.Dataset:
    """Makes a dataset of a worker's batches, without an element for each clip.

    Returns:
        A dataset of (int64 [] position of the first clip, int64 [] first epoch); see
        `batch_positions`.
    """
    numbers, size = plan.positions.numbers, plan.local_batch_size
    return with_first_epoch(
        numbers[: len(numbers) // size * size : size],
        plan.order.seed,
        reshuffle_each_iteration=plan.reshuffles,
    )


def batch_positions(plan: InputPlan, start: tf.Tensor) -> tf.Tensor:
    """Returns the positions of the batch that begins at a position, int64 [B]."""
    step = plan.positions.numbers.step
    return start + tf.range(plan.local_batch_size, dtype=tf.int64) * step


def batch_clips(plan: InputPlan, clips: tf.data.Dataset) -> tf.data.Dataset:
    """Makes batches of a dataset that has an element for each clip of a worker."""
    return clips.apply(tf.data.experimental.assert_cardinality(plan.num_clips)).batch(
        plan.local_batch_size, drop_remainder=True
    )


def find_places(
    plan: InputPlan, position: tf.Tensor, first_epoch: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Finds the clips at positions: their "record", "epoch" and "weight".

    Args:
        plan: The plan.
        position: int64 [...].
        first_epoch: int64 [...], the epoch that the iteration begins with.
    """
    epoch, record, weight = locate(plan.order, position, first_epoch)
    return {"record": record, "epoch": epoch, "weight": weight}

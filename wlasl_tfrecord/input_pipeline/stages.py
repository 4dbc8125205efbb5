"""What the ways from a position to a batch share: positions, and their places."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from wlasl_tfrecord.input_pipeline.order import locate, with_first_epoch
from wlasl_tfrecord.input_pipeline.plan import InputPlan

__all__ = ["Stages", "Tensors", "find_places", "run_positions"]

Tensors = Mapping[str, tf.Tensor]


class Stages(NamedTuple):
    """One way from a position to a batch.

    Attributes:
        clips: A dataset with an element for each clip.
        complete: Turns a batch of these elements into "record" and "epoch" (int64 [B]),
            "weight" (float32 [B]) and "frames" (uint8 [B, T, H, W, 3]).
    """

    clips: tf.data.Dataset
    complete: Callable[..., Any]


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

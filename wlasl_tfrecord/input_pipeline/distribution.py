"""Batches for every replica of a `tf.distribute` strategy."""

from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

__all__ = [
    "MakeBatches",
    "distributed",
    "per_replica_batch_size",
]

MakeBatches = Callable[[tf.distribute.InputContext | None], tf.data.Dataset]


def distributed(
    strategy: tf.distribute.Strategy,
    batches: MakeBatches,
    device: str | None = None,
) -> Iterable[Any]:
    """Returns the batches of every replica, prefetched to its device.

    Args:
        strategy: The strategy whose replicas use them.
        batches: Makes the batches of one worker.
        device: Without a strategy, the device to prefetch to; by default the GPU, if
            there is one.
    """
    if tf.distribute.has_strategy() or strategy is not tf.distribute.get_strategy():
        return strategy.distribute_datasets_from_function(batches)
    # TensorFlow's default strategy would leave the batches in the host's memory.
    gpus = tf.config.list_logical_devices("GPU")
    device = device or (gpus[0].name if gpus else None)
    dataset = batches(tf.distribute.InputContext())
    if device is None:
        return dataset
    return dataset.apply(tf.data.experimental.prefetch_to_device(device))


def per_replica_batch_size(batch_size: int, strategy: tf.distribute.Strategy) -> int:
    """Returns the batch size of one replica.

    Raises:
        ValueError: If it is below 1, or does not divide.
    """
    if batch_size < 1:
        raise ValueError(f"--batch-size must be at least 1, got {batch_size}")
    num_replicas = strategy.num_replicas_in_sync
    if batch_size % num_replicas:
        nearest = max(1, round(batch_size / num_replicas)) * num_replicas
        raise ValueError(
            f"--batch-size {batch_size} does not divide among {num_replicas} replicas; "
            f"take {nearest}"
        )
    return batch_size // num_replicas

"""Devices that share a batch, and the precision that they compute in."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Literal

import tensorflow as tf

from wlasl_tfrecord.training.cluster import join_workers
from wlasl_tfrecord.training.config import Precision

__all__ = [
    "StrategyName",
    "dtype_policy",
    "is_chief",
    "is_one_of_several",
    "make_strategy",
]

StrategyName = Literal["none", "mirrored", "multi_worker"]

# The first compute capability with bfloat16 tensor cores (Ampere).
_BFLOAT16_CAPABILITY = (8, 0)


def make_strategy(
    name: StrategyName | None = None,
    workers: Sequence[str] = (),
    worker_index: int | None = None,
    say: Callable[[str], None] | None = None,
    *,
    facts: Mapping[str, str] | None = None,
    connect_timeout: float = 600.0,
) -> tf.distribute.Strategy:
    """Makes the strategy; call it before any other TensorFlow operation runs.

    Args:
        name: None picks "mirrored" if there is more than one GPU, else "none".
            "mirrored" without GPUs shares the batch among the logical CPU devices.
        workers: For "multi_worker": host:port of every worker. Without them TF_CONFIG,
            the variable that cluster schedulers set, names them.
        worker_index: Index of this process in `workers`.
        say: Takes the line that names the workers that "multi_worker" waits for; by
            default stderr does.

        facts: Everything that must be the same on all workers of "multi_worker".
        connect_timeout: Longest time that "multi_worker" waits, in seconds.

    Raises:
        TrainingError: If "multi_worker" is not given its workers, cannot join them, or
            they differ.
    """
    if name is None:
        gpus = tf.config.list_logical_devices("GPU")
        name = "mirrored" if len(gpus) > 1 else "none"
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU")
        devices = devices or tf.config.list_logical_devices("CPU")
        return _mirrored(tuple(device.name for device in devices))
    say = say or partial(print, file=sys.stderr, flush=True)
    return join_workers(
        workers, worker_index, say, facts=facts or {}, connect_timeout=connect_timeout
    )


# TensorFlow tells collective operations apart by numbers that each strategy counts from
# the same start, in one space for the process: those of a second strategy on the same
# devices met the first one's, and a training failed with "Shape mismatch".
@cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    return tf.distribute.MirroredStrategy(list(devices))


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process is the one that writes the run folder."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec().as_dict():
        return True
    return resolver.task_type == "chief" or (
        "chief" not in resolver.cluster_spec().jobs and resolver.task_id == 0
    )


def is_one_of_several(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether other processes train with this one."""
    resolver = strategy.cluster_resolver
    if resolver is None:
        return False
    jobs = resolver.cluster_spec().as_dict().values()
    return sum(len(tasks) for tasks in jobs) > 1


def dtype_policy(precision: Precision) -> str:
    """Returns the Keras dtype policy of a precision.

    "auto" is 16 bits where the GPUs have units for them. On a CPU bfloat16 was 1.3
    times slower than float32.
    """
    if precision != "auto":
        return precision
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "float32"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    lowest = min(one.get("compute_capability", (0, 0)) for one in details)
    return "mixed_bfloat16" if lowest >= _BFLOAT16_CAPABILITY else "mixed_float16"

"""Where a training runs: which devices share a batch, and in which precision."""

import json
import os
from collections.abc import Sequence
from typing import Literal, get_args

import tensorflow as tf

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.train_config import Precision

__all__ = [
    "STRATEGIES",
    "StrategyName",
    "dtype_policy",
    "is_chief",
    "make_strategy",
    "per_replica_batch_size",
]

StrategyName = Literal["none", "mirrored", "multi_worker"]
STRATEGIES: tuple[StrategyName, ...] = get_args(StrategyName)

# The first compute capability with bfloat16 tensor cores (Ampere).
_BFLOAT16_CAPABILITY = (8, 0)


def make_strategy(
    name: StrategyName | None = None,
    workers: Sequence[str] = (),
    worker_index: int | None = None,
) -> tf.distribute.Strategy:
    """Makes the strategy; call it before any other TensorFlow operation runs.

    Args:
        name: None picks "mirrored" if there is more than one GPU, else "none".
            "mirrored" without GPUs shares the batch among the logical CPU devices.
        workers: For "multi_worker": host:port of every worker. Without them TF_CONFIG,
            the variable that cluster schedulers set, says who takes part.
        worker_index: Which of `workers` this process is.

    Raises:
        TrainingError: If "multi_worker" is not told who the workers are.
    """
    if name is None:
        gpus = tf.config.list_logical_devices("GPU")
        name = "mirrored" if len(gpus) > 1 else "none"
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU")
        devices = devices or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if workers:
        if worker_index is None or not 0 <= worker_index < len(workers):
            raise TrainingError(
                f"--worker-index must be from 0 to {len(workers) - 1} for "
                f"{len(workers)} workers, got {worker_index}"
            )
        task = {"type": "worker", "index": worker_index}
        os.environ["TF_CONFIG"] = json.dumps(
            {"cluster": {"worker": list(workers)}, "task": task}
        )
    elif "TF_CONFIG" not in os.environ:
        raise TrainingError(
            "--strategy multi_worker does not know its workers; give --workers "
            "host:port,host:port and --worker-index, or set TF_CONFIG"
        )
    return tf.distribute.MultiWorkerMirroredStrategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Says whether this process is the one that writes the run folder."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec().as_dict():
        return True
    return resolver.task_type == "chief" or (
        "chief" not in resolver.cluster_spec().jobs and resolver.task_id == 0
    )


def per_replica_batch_size(batch_size: int, strategy: tf.distribute.Strategy) -> int:
    """Shares the global batch among the replicas.

    Raises:
        ValueError: If it does not divide.
    """
    num_replicas = strategy.num_replicas_in_sync
    if batch_size < 1 or batch_size % num_replicas:
        nearest = max(1, round(batch_size / num_replicas)) * num_replicas
        raise ValueError(
            f"--batch-size {batch_size} does not divide among {num_replicas} replicas; "
            f"take {nearest}"
        )
    return batch_size // num_replicas


def dtype_policy(precision: Precision) -> str:
    """Gives the Keras dtype policy for a precision.

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

"""The workers of a training on several machines: joining them, and losing one."""

import json
import os
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.training.connect_limit import connect_limit
from wlasl_tfrecord.training.rendezvous import Worker, meet

__all__ = ["differs", "join_workers", "lost_worker", "sum_over_replicas"]

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/]+):([0-9]{1,5})")
# The last worker may come when the time is almost over.
_LEAST_CONNECT_SECONDS = 30.0
# What this process did itself, not what reached it from another one.
_OWN_ERRORS = (
    tf.errors.InvalidArgumentError,
    tf.errors.ResourceExhaustedError,
    tf.errors.DataLossError,
)


def join_workers(
    workers: Sequence[str],
    worker_index: int | None,
    say: Callable[[str], None],
    *,
    facts: Mapping[str, str],
    connect_timeout: float,
) -> tf.distribute.Strategy:
    """Waits for the other workers and makes the strategy over all of them.

    Args:
        workers: host:port of every worker. Without them TF_CONFIG, the variable that
            cluster schedulers set, names them.
        worker_index: Index of this process in `workers`.
        say: Takes a line with the workers to wait for, before a wait that may be long.
        facts: Everything that must be the same on all workers; see `rendezvous`.
        connect_timeout: Longest time to wait, in seconds.

    Raises:
        TrainingError: If the workers are not known, cannot be joined in time, or
            differ.
    """
    if workers:
        _check_addresses(workers, "--workers")
        if worker_index is None or not 0 <= worker_index < len(workers):
            raise TrainingError(
                f"--worker-index must be from 0 to {len(workers) - 1} for "
                f"{len(workers)} workers, got {worker_index}"
            )
        _check_names(workers)
        task = {"type": "worker", "index": worker_index}
        os.environ["TF_CONFIG"] = json.dumps(
            {"cluster": {"worker": list(workers)}, "task": task}
        )
    elif "TF_CONFIG" not in os.environ:
        raise TrainingError(
            "--strategy multi_worker does not know its workers; give --workers "
            "host:port,host:port and --worker-index, or set TF_CONFIG"
        )
    addresses, index = _read_tf_config(os.environ["TF_CONFIG"])
    worker = Worker(addresses=addresses, index=index, facts=facts)
    deadline = time.monotonic() + connect_timeout
    meet(worker, connect_timeout, say)
    seconds = max(
        deadline - time.monotonic(), min(connect_timeout, _LEAST_CONNECT_SECONDS)
    )
    try:
        with connect_limit(seconds, _late(worker, connect_timeout)):
            return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        raise TrainingError(
            f"cannot join the workers as {worker.address} ({_reason(error)}); check "
            "the addresses and that its port is free, and start all of them again"
        ) from error


def _late(worker: Worker, connect_timeout: float) -> str:
    """Returns a line on workers that met, and then were not connected."""
    return (
        f"{worker.address} met the other workers, and TensorFlow did not connect them "
        f"within --connect-timeout {connect_timeout:g} seconds: one of them has ended, "
        "or a firewall is between them; start all of them again"
    )


def lost_worker(strategy: tf.distribute.Strategy, error: Exception) -> str | None:
    """Returns a line that another worker is gone, if an error means that."""
    shared = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    if not (shared and isinstance(error, tf.errors.OpError)) or isinstance(
        error, _OWN_ERRORS
    ):
        return None
    return f"another worker is gone ({_reason(error)}); start all of them again"


def sum_over_replicas(
    strategy: tf.distribute.Strategy, values: Sequence[float]
) -> NDArray[np.float64]:
    """Adds up the values of all workers, once for each of its replicas.

    All workers meet here: none continues before the last one has come.
    """
    if strategy.num_replicas_in_sync == 1:
        return np.array(values, np.float64)

    @tf.function
    def meet() -> tf.Tensor:
        mine = strategy.run(lambda: tf.constant(values, tf.float64))
        return strategy.reduce("SUM", mine, axis=None)

    return meet().numpy()


def differs(strategy: tf.distribute.Strategy, value: int) -> bool:
    """Returns whether the workers hold different values, the same on all of them."""
    total, squares = sum_over_replicas(strategy, [value, value**2])
    # Cauchy and Schwarz: equal only if all are. Exact for steps up to 10 ** 7.
    return strategy.num_replicas_in_sync * squares != total**2


def _read_tf_config(text: str) -> tuple[tuple[str, ...], int]:
    """Returns the addresses of all workers, the chief's first, and this one's index."""
    try:
        value: Any = json.loads(text)
    except ValueError as error:
        raise _bad_tf_config(f"it is not JSON: {error}", text) from error
    cluster = value.get("cluster") if isinstance(value, dict) else None
    task = value.get("task") if isinstance(value, dict) else None
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise _bad_tf_config("it names no cluster and task", text)
    for job, addresses in cluster.items():
        if job not in ("chief", "worker") or not isinstance(addresses, list):
            raise _bad_tf_config(f"{job!r} is not a list of chief or worker", text)
    jobs = sorted(cluster)  # "chief" before "worker"
    every = tuple(str(one) for job in jobs for one in cluster[job])
    _check_addresses(every, "TF_CONFIG")
    own = _task_address(cluster, task)
    if own is None:
        raise _bad_tf_config("its task is not one of its cluster", text)
    return every, every.index(own)


def _task_address(
    cluster: Mapping[str, Sequence[str]], task: Mapping[str, Any]
) -> str | None:
    addresses = cluster.get(str(task.get("type")), ())
    index = str(task.get("index"))
    if not index.isdecimal() or int(index) >= len(addresses):
        return None
    return addresses[int(index)]


def _bad_tf_config(why: str, text: str) -> TrainingError:
    return TrainingError(
        f"cannot use TF_CONFIG={text!r}: {why}; it wants "
        '{"cluster": {"worker": ["host:port", "host:port"]}, '
        '"task": {"type": "worker", "index": 0}}'
    )


def _check_addresses(addresses: Sequence[str], where: str) -> None:
    for address in addresses:
        found = _ADDRESS.fullmatch(address)
        if found is None or not 0 < int(found[2]) < 2**16:
            raise TrainingError(f"{where}: a worker must be host:port, got {address!r}")
    if len(set(addresses)) < len(addresses):
        raise TrainingError(
            f"{where}: two workers have one address in {', '.join(addresses)}"
        )


def _check_names(addresses: Sequence[str]) -> None:
    """Refuses hosts that do not exist; only typed ones.

    A scheduler that sets TF_CONFIG may give a name its address when its worker starts.
    """
    for address in addresses:
        host = address.rpartition(":")[0].strip("[]")
        try:
            socket.getaddrinfo(host, None)
        except OSError as error:
            raise TrainingError(
                f"--workers: no host {host!r} of the worker {address} "
                f"({error.strerror}); check the name, or give its number"
            ) from error


def _reason(error: Exception) -> str:
    """Returns the first line of an error, without the name of the operation."""
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    return text.splitlines()[0].split("}} ")[-1]

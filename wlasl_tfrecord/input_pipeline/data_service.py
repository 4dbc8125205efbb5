"""Batches that a tf.data service makes, in their order: none twice, none lost.

The service alone promises less. Its workers take the next number each, so batches come
in any order; what a worker had taken when it was killed never comes; and the stream
then never ends (docs/decisions/0024-batches-of-a-data-service.md). But a batch is a
function of its number. So each batch carries its number: those that come early wait
here, and one that does not come is made here.
"""

import contextlib
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import tensorflow as tf

from wlasl_tfrecord.errors import DataServiceError
from wlasl_tfrecord.input_pipeline.graph_stages import make_batch
from wlasl_tfrecord.input_pipeline.order import with_first_epoch
from wlasl_tfrecord.input_pipeline.plan import InputPlan
from wlasl_tfrecord.input_pipeline.stages import Stages, Tensors
from wlasl_tfrecord.shard_format.landmarks import NUM_LANDMARKS

__all__ = [
    "check_service",
    "served_errors_by_name",
    "served_stages",
    "wait_for_service",
]

_ADDRESS = re.compile(r"grpc://(\[[0-9A-Fa-f:.]+\]|[^\s:/]+):([0-9]{1,5})")
# Before the first batch: the workers may be starting, and import TensorFlow.
_START_SECONDS = 120.0
# After it: a batch that is late by so much, while no other one comes, is made here.
_LATE_SECONDS = 10.0
# Memory for the batches that came early.
_EARLY_BYTES = 2**30
# Batches that a worker makes at once: one is sent while another one is made.
_BATCHES_AT_ONCE = 2

# The number of a batch, and its tensors in the order of `_spec`.
_Numbered = tuple[int, tuple[tf.Tensor, ...]]
_END = object()
# An error of TensorFlow is text around the message that it was given.
_START, _STOP = "data service: ", " [end of message]"


def check_service(address: str) -> tuple[str, int]:
    """Returns host and port of a data service's address.

    Raises:
        ValueError: If it is not grpc://host:port.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found[2]) < 2**16:
        raise ValueError(f"a data service is grpc://host:port, got {address!r}")
    return found[1].strip("[]"), int(found[2])


def wait_for_service(address: str, timeout_seconds: float) -> None:
    """Waits until the dispatcher of a data service listens.

    TensorFlow's own wait for it has no limit, and prints nothing.

    Args:
        address: grpc://host:port.
        timeout_seconds: Longest time to wait.

    Raises:
        ValueError: If it is no address.
        DataServiceError: If nobody listens there in time.
    """
    place = check_service(address)
    deadline = time.monotonic() + timeout_seconds
    while True:
        left = deadline - time.monotonic()
        try:
            socket.create_connection(place, timeout=max(left, 0.1)).close()
            return
        except OSError as error:
            if time.monotonic() + 0.2 >= deadline:
                reason = error.strerror or str(error)
                raise DataServiceError(
                    f"no dispatcher at {address} ({reason}) within --connect-timeout "
                    f"{timeout_seconds:g} seconds; start `bin/dataserver dispatcher` "
                    "there, and check the address and firewalls"
                ) from error
            time.sleep(0.2)


def served_stages(plan: InputPlan, address: str) -> Stages:
    """Makes the stages of a plan whose batches a data service makes."""

    def batches_of_iteration(_: tf.Tensor, first_epoch: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_generator(
            partial(_in_order, plan, address),
            args=(first_epoch,),
            output_signature=tuple(_spec(plan).values()),
        )

    # One number, so that each iteration of the dataset asks the service once.
    iterations = with_first_epoch(
        range(1), plan.order.seed, reshuffle_each_iteration=plan.reshuffles
    )
    return Stages(
        batches=iterations.flat_map(batches_of_iteration),  # pyright: ignore[reportArgumentType]
        complete=lambda *tensors: dict(zip(_spec(plan), tensors)),
    )


@contextlib.contextmanager
def served_errors_by_name() -> Iterator[None]:
    """Turns the error of an input whose data service does not work into one line.

    Raises:
        DataServiceError: Names the service, and what to look at.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        _, found, rest = error.message.partition(_START)
        if not found:
            raise
        raise DataServiceError(rest.partition(_STOP)[0]) from error


def _spec(plan: InputPlan) -> dict[str, tf.TensorSpec]:
    """Returns what a batch has, before the index's columns are added to it."""
    size, clip = plan.local_batch_size, plan.folder.clip
    read: dict[str, tf.TensorSpec] = {}
    if plan.has_frames:
        read["frames"] = tf.TensorSpec([size, *clip.shape], tf.uint8)
    if plan.has_landmarks:
        shape = [size, clip.num_frames, NUM_LANDMARKS, 3]
        read["landmarks"] = tf.TensorSpec(shape, tf.float32)
    return {
        **read,
        "record": tf.TensorSpec([size], tf.int64),
        "epoch": tf.TensorSpec([size], tf.int64),
        "weight": tf.TensorSpec([size], tf.float32),
    }


def _in_order(
    plan: InputPlan, address: str, first_epoch: Any
) -> Iterator[tuple[tf.Tensor, ...]]:
    """Yields the batches of one iteration in their order.

    Raises:
        ValueError: If the service delivers no batch at all, or fails before the first
            one; `served_errors_by_name` makes one line of it.
    """
    make = partial(make_batch, plan, first_epoch=tf.constant(first_epoch, tf.int64))

    def tensors(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        batch: Tensors = make(number)
        return tuple(batch[name] for name in _spec(plan))

    # The range of an endless run is one of 2**62 positions.
    num_batches = len(plan.positions.numbers) // plan.local_batch_size
    batch_bytes = plan.local_batch_size * plan.folder.clip.num_bytes
    make_here = tf.function(
        tensors, input_signature=[tf.TensorSpec([], tf.int64)], autograph=False
    )
    arrivals = _Arrivals(address, num_batches, tensors)
    try:
        yield from _ordered(
            arrivals,
            num_batches,
            lambda number: _with_its_message(make_here, tf.constant(number, tf.int64)),
            most_early=max(2, _EARLY_BYTES // batch_bytes),
        )
    finally:
        arrivals.close()


def _with_its_message(
    make: Callable[[tf.Tensor], tuple[tf.Tensor, ...]], number: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    """Makes a batch; an error becomes one that TensorFlow shows with its message.

    Raises:
        ValueError: If a record is damaged.
    """
    try:
        return make(number)
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(error.message) from error


def _ordered(
    arrivals: "_Arrivals",
    num_batches: int,
    make_here: Callable[[int], tuple[tf.Tensor, ...]],
    most_early: int,
) -> Iterator[tuple[tf.Tensor, ...]]:
    """Yields what arrives by number, and makes here what does not arrive."""
    early: dict[int, tuple[tf.Tensor, ...]] = {}
    num_made = 0
    for number in range(num_batches):
        while number not in early and len(early) < most_early:
            arrived = arrivals.next()
            if arrived is None:
                break
            if arrived[0] >= number:  # else it is late, and was made here
                early[arrived[0]] = arrived[1]
        if number in early:
            yield early.pop(number)
            continue
        num_made += 1
        if num_made & (num_made - 1) == 0:  # 1, 2, 4, 8 …: few lines if it is gone
            arrivals.warn(number, num_made)
        yield make_here(number)


class _Arrivals:
    """What comes from the service, in any order.

    A thread waits for it: TensorFlow's wait has no limit, and does not end when a
    worker is killed. Then the thread stays in it until the worker is back or the
    process ends.
    """

    def __init__(
        self,
        address: str,
        num_batches: int,
        tensors: Callable[[tf.Tensor], tuple[tf.Tensor, ...]],
    ) -> None:
        self._address = address
        self._num_batches = num_batches
        self._tensors = tensors
        # Two, so that memory is bounded where the training is slower than the service.
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=2)
        self._closed = threading.Event()
        self._ended = False
        self._has_begun = False
        self._last_arrival = time.monotonic()
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> _Numbered | None:
        """Waits for the next batch; None if it is late, or none will come.

        Raises:
            ValueError: If the service fails before its first batch, or sends none.
        """
        if self._ended:
            return None
        limit = _LATE_SECONDS if self._has_begun else _START_SECONDS
        left = self._last_arrival + limit - time.monotonic()
        try:
            arrived = self._queue.get(timeout=max(left, 0.001))
        except queue.Empty:
            if self._has_begun:
                return None
            raise ValueError(
                f"{_START}{self._address} has sent no batch within {limit:g} seconds; "
                "is a `bin/dataserver worker` running, which reaches it, sees the "
                "shards under the same path, and has an address that this machine "
                "reaches?"
                f"{_STOP}"
            ) from None
        if arrived is _END or isinstance(arrived, Exception):
            self._end(None if arrived is _END else arrived)
            return None
        self._has_begun = True
        self._last_arrival = time.monotonic()
        return arrived

    def warn(self, number: int, num_made: int) -> None:
        """Logs that a batch was not delivered."""
        from absl import logging

        logging.warning(
            "%s has not sent batch %d: made here, as %d so far; is a worker gone?",
            self._address,
            number,
            num_made,
        )

    def close(self) -> None:
        """Lets the thread end with the next batch that arrives."""
        self._closed.set()

    def _end(self, error: Exception | None) -> None:
        """Notes that no more will come.

        Raises:
            ValueError: If it failed before the first batch.
        """
        self._ended = True
        if error is None:
            return
        # TensorFlow's messages have many lines.
        reason = re.sub(r"\s*\n\s*", " ", str(getattr(error, "message", error)))
        if not self._has_begun:
            raise ValueError(
                f"{_START}{self._address} failed: {reason}; have its workers this "
                f"release of TensorFlow?{_STOP}"
            ) from error
        from absl import logging

        logging.warning(
            "%s failed: %s; what is left is made here", self._address, reason
        )

    def _read(self) -> None:
        try:
            # Clips hardly get smaller, and a worker would spend its cores on it.
            served = tf.data.experimental.service.distribute(
                tf.data.experimental.service.ShardingPolicy.DYNAMIC,
                self._address,
                compression=None,
            )
            with tf.device("CPU:0"):
                batches = (
                    tf.data.Dataset.range(self._num_batches)
                    .map(
                        lambda number: (number, self._tensors(number)),
                        num_parallel_calls=_BATCHES_AT_ONCE,
                    )
                    .apply(served)
                )
                for number, tensors in batches:
                    self._put((int(number), tensors))
                    if self._closed.is_set():
                        return
            self._put(_END)
        except Exception as error:  # raised in the thread that waits for it
            self._put(error)

    def _put(self, arrived: object) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(arrived, timeout=0.5)
                return

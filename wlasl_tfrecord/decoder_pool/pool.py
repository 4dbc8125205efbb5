"""The pool: processes that turn many videos into clips, each of which may fail."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection

from wlasl_tfrecord.decoder_pool.jobs import (
    Answer,
    Decoded,
    Job,
    Task,
    Undecoded,
    VideoLimits,
)
from wlasl_tfrecord.decoder_pool.worker import (
    Worker,
    can_take,
    receive,
    record_of,
    release,
    send,
    start,
    stop,
)
from wlasl_tfrecord.shard_format.shard_options import ShardOptions, record_bytes

__all__ = ["decode_in_order"]

# How many records may wait for their turn, so that the other workers go on while one
# decodes a long video; and how many bytes of them.
_NUM_AHEAD = 8
_BYTES_AHEAD = 2**28


def decode_in_order(
    tasks: Iterable[Task],
    *,
    options: ShardOptions,
    limits: VideoLimits,
    num_workers: int,
) -> Generator[tuple[Task, Decoded | Undecoded], None, None]:
    """Decodes in processes, and yields the results in the order of the tasks.

    What goes wrong in a process costs one video. Records wait for their turn in the
    memory in which they were made, a bounded number of them.

    Args:
        tasks: What to decode; a task is taken when there is room for it.
        options: How the clips are made and stored.
        limits: What one video may cost.
        num_workers: How many processes.

    Yields:
        Each task with its clip, or with the reason why there is none. The clip's bytes
        are valid until the next result is asked for.

    Raises:
        WlaslError: If no worker can be started.
    """
    num_waiting = min(_NUM_AHEAD, _BYTES_AHEAD // record_bytes(options))
    pool = _Pool(
        tasks=iter(tasks),
        options=options,
        limits=limits,
        num_workers=num_workers,
        num_ahead=2 * num_workers + num_waiting,
        # A worker with few others beside it may have to be far ahead of the next one.
        num_buffers=2 + -(-num_waiting // max(num_workers - 1, 1)),
    )
    try:
        number = 0
        while True:
            _send_jobs(pool, number)
            if number == pool.num_sent:
                return
            # The consumer writes each result before it asks for the next one. So look
            # at the workers first: none of them should wait for that.
            _receive_answers(pool, may_wait=number not in pool.results)
            if number in pool.results:
                worker, job, answer = pool.results.pop(number)
                number += 1
                if isinstance(answer, Undecoded):
                    yield job.task, answer
                else:
                    with record_of(worker, job, answer) as record:
                        decoded = Decoded(
                            record=record, crc=answer.crc, facts=answer.facts
                        )
                        yield job.task, decoded
                release(worker, job)
    finally:
        for worker in pool.workers:
            stop(worker)


@dataclass(kw_only=True)
class _Pool:
    """The workers, what is still to be sent, and what has come back.

    Attributes:
        tasks: What is not sent yet, in the order of the results.
        options: How the clips are made and stored.
        limits: What one video may cost.
        num_workers: How many processes there may be.
        num_ahead: How many jobs may be sent whose results were not yet yielded.
        num_buffers: How many records each worker has room for.
        workers: The processes that were started.
        num_sent: How many tasks were sent.
        next_task: The one to send next; None if it is to be taken from `tasks`.
        results: By number, the jobs that are finished and not yet yielded.
    """

    tasks: Iterator[Task]
    options: ShardOptions
    limits: VideoLimits
    num_workers: int
    num_ahead: int
    num_buffers: int
    workers: list[Worker] = field(default_factory=list)
    num_sent: int = 0
    next_task: Task | None = None
    results: dict[int, tuple[Worker, Job, Answer | Undecoded]] = field(
        default_factory=dict
    )


def _send_jobs(pool: _Pool, num_yielded: int) -> None:
    """Sends as many jobs as there is room for, and starts workers as needed."""
    while pool.num_sent < num_yielded + pool.num_ahead:
        pool.next_task = pool.next_task or next(pool.tasks, None)
        if pool.next_task is None:
            return
        worker = _least_busy(pool.workers)
        if worker is None or worker.jobs:
            if len(pool.workers) < pool.num_workers:
                worker = start(pool.options, pool.limits, pool.num_buffers)
                pool.workers.append(worker)
            elif worker is None:
                return
        send(worker, Job(number=pool.num_sent, task=pool.next_task))
        pool.next_task = None
        pool.num_sent += 1


def _least_busy(workers: Sequence[Worker]) -> Worker | None:
    """Returns a worker that can take one more job; None if there is none."""
    return min(
        filter(can_take, workers), key=lambda worker: len(worker.jobs), default=None
    )


def _receive_answers(pool: _Pool, *, may_wait: bool) -> None:
    """Takes what the workers have finished, and waits for some of it if it may."""
    busy = [worker for worker in pool.workers if worker.jobs]
    if may_wait:
        # A second is soon enough to see that one is out of time.
        connection.wait([worker.results.fileno() for worker in busy], timeout=1.0)
    for worker in busy:
        for job, answer in receive(worker, pool.options, pool.limits):
            pool.results[job.number] = worker, job, answer

"""A worker: the handle of one process that decodes."""

import contextlib
import dataclasses
import io
import mmap
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wlasl_tfrecord.decoder_pool.awake_clock import awake_clock
from wlasl_tfrecord.decoder_pool.jobs import (
    Answer,
    Job,
    Undecoded,
    VideoLimits,
    job_line,
    read_answer,
)
from wlasl_tfrecord.decoder_pool.launch import start_program
from wlasl_tfrecord.decoder_pool.shared_memory import buffer_bytes
from wlasl_tfrecord.errors import VideoError, WlaslError
from wlasl_tfrecord.files import nameless_file
from wlasl_tfrecord.shard_format.shard_options import ShardOptions

__all__ = [
    "Worker",
    "can_take",
    "receive",
    "record_of",
    "release",
    "send",
    "start",
    "stop",
]

# One that it decodes and one that waits, so that no worker waits for its parent.
_JOBS_EACH = 2

# The video that a worker was decoding when it died is to blame, unless something else
# killed it: no memory elsewhere, an impatient person. So each video has a second try.
_MAX_ATTEMPTS = 2

_MAX_STARTS = 3
_START_SECONDS = 120.0


@dataclass(kw_only=True)
class Worker:
    """A process, its pipes, and the memory that it shares with its parent.

    Attributes:
        process: The process; jobs go to its standard input, a line each.
        results: Where its answers arrive, a line each.
        memory: Its buffers; they outlive the process.
        memory_fd: The same as a file.
        buffer_bytes: The size of one buffer.
        free_buffers: The buffers that hold no record.
        jobs: The jobs that it was sent and has not answered; it decodes the first.
        clock: Returns the time in seconds; its timeout counts by this.
        started: When it began with the first job.
        is_ready: Whether the process has answered that it runs.
        num_failed_starts: How many processes in a row died before that.
        received: The beginning of an answer.
    """

    process: subprocess.Popen[bytes]
    results: io.FileIO
    memory: mmap.mmap
    memory_fd: int
    buffer_bytes: int
    free_buffers: set[int]
    jobs: deque[Job] = dataclasses.field(default_factory=deque)
    clock: Callable[[], float] = dataclasses.field(default_factory=awake_clock)
    started: float = 0.0
    is_ready: bool = False
    num_failed_starts: int = 0
    received: bytearray = dataclasses.field(default_factory=bytearray)


def start(options: ShardOptions, limits: VideoLimits, num_buffers: int) -> Worker:
    """Starts a worker, and does not wait for it.

    Args:
        options: How the clips are made and stored.
        limits: What one video may cost.
        num_buffers: How many records its memory holds, those that it is making
            included.

    Raises:
        WlaslError: If the system starts no process.
    """
    size = buffer_bytes(options.clip, options.codec)
    with _starting():
        memory_fd = nameless_file(num_buffers * size)
        try:
            memory = mmap.mmap(memory_fd, num_buffers * size)
            process, results = start_program(options, limits, memory_fd, size)
        except OSError:
            os.close(memory_fd)
            raise
    return Worker(
        process=process,
        results=results,
        memory=memory,
        memory_fd=memory_fd,
        buffer_bytes=size,
        free_buffers=set(range(num_buffers)),
    )


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    """Names the process in an OSError, so that nobody suspects the output folder."""
    try:
        yield
    except OSError as error:
        raise WlaslError(
            f"cannot start a worker process: {error}; try fewer --workers"
        ) from error


def can_take(worker: Worker) -> bool:
    """Whether a worker has use and room for one more job."""
    return len(worker.jobs) < _JOBS_EACH and bool(worker.free_buffers)


def send(worker: Worker, job: Job) -> None:
    """Sends a worker one more job; `can_take` must be true."""
    # The lowest: memory that was used before costs no page faults.
    job.buffer = min(worker.free_buffers)
    worker.free_buffers.remove(job.buffer)
    if not worker.jobs and worker.is_ready:
        worker.started = worker.clock()
    worker.jobs.append(job)
    _write_job(worker, job)


def _write_job(worker: Worker, job: Job) -> None:
    assert worker.process.stdin is not None
    # A worker that died reads nothing; its results end, which `receive` will see.
    with contextlib.suppress(BrokenPipeError):
        worker.process.stdin.write(job_line(job))


def receive(
    worker: Worker, options: ShardOptions, limits: VideoLimits
) -> list[tuple[Job, Answer | Undecoded]]:
    """Takes what a worker has finished, and restarts it if it died or hangs.

    Returns:
        Jobs with their answers. The buffer of each one is taken until `release`.

    Raises:
        WlaslError: If no process can be started.
    """
    finished, has_ended = _read_answers(worker)
    if not has_ended and not _is_late(worker, limits):
        return finished
    if not worker.is_ready:
        worker.num_failed_starts += 1
        if worker.num_failed_starts == _MAX_STARTS:
            raise WlaslError(
                "a worker process does not start; its own message, if it had one, is "
                "above"
            )
    elif worker.jobs:
        # Without a job it exited after its last answer, and no video is to blame.
        worker.num_failed_starts = 0
        job = worker.jobs[0]
        job.num_attempts += 1
        if not has_ended or job.num_attempts == _MAX_ATTEMPTS:
            worker.jobs.popleft()
            finished.append((job, _cause(worker, limits, has_ended)))
    _restart(worker, options, limits)
    return finished


def record_of(worker: Worker, job: Job, answer: Answer) -> memoryview:
    """Returns the bytes of a record, valid until its buffer is released."""
    start = job.buffer * worker.buffer_bytes
    return memoryview(worker.memory)[start + answer.start : start + answer.stop]


def release(worker: Worker, job: Job) -> None:
    """Lets a worker use the buffer of a finished job again."""
    worker.free_buffers.add(job.buffer)


def stop(worker: Worker) -> None:
    """Ends a worker at once. It has nothing to tidy up."""
    _end_process(worker)
    worker.memory.close()
    os.close(worker.memory_fd)


def _read_answers(worker: Worker) -> tuple[list[tuple[Job, Answer | Undecoded]], bool]:
    """Returns the jobs that were answered, and whether the answers have ended."""
    # None where there is nothing yet, no bytes where there will never be any.
    while data := worker.results.read(2**16):
        worker.received += data
    *lines, rest = worker.received.split(b"\n")
    worker.received = bytearray(rest)
    finished: list[tuple[Job, Answer | Undecoded]] = []
    for line in lines:
        answer = read_answer(line)
        worker.started = worker.clock()
        if answer is None:
            worker.is_ready = True
        else:
            finished.append((worker.jobs.popleft(), answer))
    return finished, data is not None


def _is_late(worker: Worker, limits: VideoLimits) -> bool:
    """Whether a worker takes longer for its job than it may."""
    seconds = limits.timeout_seconds if worker.is_ready else _START_SECONDS
    return bool(worker.jobs) and worker.clock() - worker.started > seconds


def _cause(worker: Worker, limits: VideoLimits, has_ended: bool) -> Undecoded:
    """Returns what a video did to its worker, which did not answer."""
    if not has_ended:
        seconds = f"{limits.timeout_seconds:g}"
        error = VideoError("timeout", f"not decoded within {seconds} seconds")
    elif (status := worker.process.wait()) < 0:
        name = signal.Signals(-status).name
        error = VideoError("crash", f"its decoder was ended by {name}")
    else:
        error = VideoError("crash", f"its decoder ended with status {status}")
    return Undecoded.of(error)


def _restart(worker: Worker, options: ShardOptions, limits: VideoLimits) -> None:
    """Replaces a worker's process, and sends the new one the same jobs."""
    _end_process(worker)
    with _starting():
        worker.process, worker.results = start_program(
            options, limits, worker.memory_fd, worker.buffer_bytes
        )
    worker.started, worker.is_ready = worker.clock(), False
    worker.received.clear()
    for job in worker.jobs:
        _write_job(worker, job)


def _end_process(worker: Worker) -> None:
    worker.process.kill()
    worker.process.wait()
    if worker.process.stdin is not None:
        worker.process.stdin.close()
    worker.results.close()

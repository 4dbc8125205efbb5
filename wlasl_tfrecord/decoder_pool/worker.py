"""A decoder: the handle of one process that decodes."""

import contextlib
import dataclasses
import io
import json
import mmap
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from wlasl_tfrecord.decoder_pool.awake_clock import awake_clock
from wlasl_tfrecord.decoder_pool.jobs import DecoderLimits, Job, Undecoded, job_line
from wlasl_tfrecord.decoder_pool.launch import start_program
from wlasl_tfrecord.decoder_pool.shared_memory import slot_bytes
from wlasl_tfrecord.errors import WlaslError
from wlasl_tfrecord.files import nameless_file
from wlasl_tfrecord.shard_format.shard_options import ShardOptions

__all__ = [
    "Answer",
    "Decoder",
    "can_take",
    "receive",
    "record_of",
    "release",
    "send",
    "start",
    "stop",
]

# What `worker_main` says of a record that it has made.
Answer = dict[str, Any]

# One that it decodes and one that waits, so that no decoder waits for us.
_JOBS_EACH = 2

# A decoder that dies took its video with it, unless something else killed it: out of
# memory elsewhere, an impatient person. So each video has a second chance.
_MAX_ATTEMPTS = 2

_MAX_STARTS = 3
_START_SECONDS = 120.0


@dataclass(kw_only=True)
class Decoder:
    """A process, its pipes, and the memory that it shares with us.

    Attributes:
        process: The process; tasks go to its standard input, a line each.
        results: Where its answers arrive, a line each.
        payload: Its slots; the memory outlives the process.
        payload_fd: The same as a file.
        slot_bytes: The size of one of them.
        free_slots: Those that hold nothing.
        jobs: What it has been sent; it is at the first.
        clock: Gives the time, in seconds, by which it may be late.
        started: When it began with that.
        is_ready: Whether it has said that it runs.
        num_failed_starts: How often its like has died before that.
        received: The beginning of an answer.
    """

    process: subprocess.Popen[bytes]
    results: io.FileIO
    payload: mmap.mmap
    payload_fd: int
    slot_bytes: int
    free_slots: set[int]
    jobs: deque[Job] = dataclasses.field(default_factory=deque)
    clock: Callable[[], float] = dataclasses.field(default_factory=awake_clock)
    started: float = 0.0
    is_ready: bool = False
    num_failed_starts: int = 0
    received: bytearray = dataclasses.field(default_factory=bytearray)


def start(options: ShardOptions, limits: DecoderLimits, num_slots: int) -> Decoder:
    """Starts a decoder, and does not wait for it.

    Args:
        options: What the clips shall be.
        limits: What one video may cost.
        num_slots: How many records may lie in its memory, those that it works at
            included.

    Raises:
        WlaslError: If the system starts no process.
    """
    size = slot_bytes(options.clip, is_raw=options.codec == "raw")
    with _starting():
        payload_fd = nameless_file(num_slots * size)
        try:
            payload = mmap.mmap(payload_fd, num_slots * size)
            process, results = start_program(options, limits, payload_fd, size)
        except OSError:
            os.close(payload_fd)
            raise
    return Decoder(
        process=process,
        results=results,
        payload=payload,
        payload_fd=payload_fd,
        slot_bytes=size,
        free_slots=set(range(num_slots)),
    )


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    """Says that it is a process that the system has no room for, not the output."""
    try:
        yield
    except OSError as error:
        raise WlaslError(
            f"cannot start a decoder process: {error}; try fewer --workers"
        ) from error


def can_take(decoder: Decoder) -> bool:
    """Says whether a decoder has use and room for a further job."""
    return len(decoder.jobs) < _JOBS_EACH and bool(decoder.free_slots)


def send(decoder: Decoder, job: Job) -> None:
    """Gives a decoder one more job, which `can_take` has allowed."""
    # The lowest: memory that was used before is there already.
    job.slot = min(decoder.free_slots)
    decoder.free_slots.remove(job.slot)
    if not decoder.jobs and decoder.is_ready:
        decoder.started = decoder.clock()
    decoder.jobs.append(job)
    _tell(decoder, job)


def _tell(decoder: Decoder, job: Job) -> None:
    assert decoder.process.stdin is not None
    try:
        decoder.process.stdin.write(job_line(job))
    except BrokenPipeError:
        # It died; its results end, which `receive` will see.
        return


def receive(
    decoder: Decoder, options: ShardOptions, limits: DecoderLimits
) -> list[tuple[Job, Answer | Undecoded]]:
    """Takes what a decoder has finished, and starts it again if it died or hangs.

    Returns:
        Jobs with what came of them. The slot of each one is taken until `release`.

    Raises:
        WlaslError: If no process can be started.
    """
    # None where there is nothing yet, no bytes where there will never be any.
    while data := decoder.results.read(2**16):
        decoder.received += data
    has_ended = data is not None
    finished: list[tuple[Job, Answer | Undecoded]] = []
    *lines, rest = decoder.received.split(b"\n")
    decoder.received = bytearray(rest)
    for line in lines:
        answer = json.loads(line)
        decoder.started = decoder.clock()
        if "ready" in answer:
            decoder.is_ready = True
        else:
            job = decoder.jobs.popleft()
            failed = Undecoded(reason=answer["error"]) if "error" in answer else None
            finished.append((job, failed or answer))
    if not has_ended and not _is_late(decoder, limits):
        return finished
    if not decoder.is_ready:
        decoder.num_failed_starts += 1
        if decoder.num_failed_starts == _MAX_STARTS:
            raise WlaslError(
                "a decoder process does not start; its own message, if it had one, is "
                "above"
            )
        _restart(decoder, options, limits)
        return finished
    if not decoder.jobs:
        # It died behind its last answer.
        _restart(decoder, options, limits)
        return finished
    job, reason = decoder.jobs[0], _death(decoder, limits, has_ended)
    job.num_attempts += 1
    if not has_ended or job.num_attempts == _MAX_ATTEMPTS:
        decoder.jobs.popleft()
        finished.append((job, Undecoded(reason=reason)))
    decoder.num_failed_starts = 0
    _restart(decoder, options, limits)
    return finished


def record_of(decoder: Decoder, job: Job, answer: Answer) -> memoryview:
    """Gives the bytes of a record, good until its slot is released."""
    at = job.slot * decoder.slot_bytes
    return memoryview(decoder.payload)[at + answer["start"] : at + answer["stop"]]


def release(decoder: Decoder, job: Job) -> None:
    """Lets a decoder use the slot of a finished job again."""
    decoder.free_slots.add(job.slot)


def _is_late(decoder: Decoder, limits: DecoderLimits) -> bool:
    """Says whether a decoder is longer at its job than it may."""
    seconds = limits.timeout_seconds if decoder.is_ready else _START_SECONDS
    return bool(decoder.jobs) and decoder.clock() - decoder.started > seconds


def _death(decoder: Decoder, limits: DecoderLimits, has_ended: bool) -> str:
    """Says why a decoder had to be started again."""
    if not has_ended:
        return f"timeout: not decoded within {limits.timeout_seconds:g} seconds"
    status = decoder.process.wait()
    if status < 0:
        return f"crash: its decoder was ended by {signal.Signals(-status).name}"
    return f"crash: its decoder ended with status {status}"


def _restart(decoder: Decoder, options: ShardOptions, limits: DecoderLimits) -> None:
    """Puts a new process in the place of one, and gives it the same jobs."""
    _end_process(decoder)
    with _starting():
        decoder.process, decoder.results = start_program(
            options, limits, decoder.payload_fd, decoder.slot_bytes
        )
    decoder.started, decoder.is_ready = decoder.clock(), False
    decoder.received.clear()
    for job in decoder.jobs:
        _tell(decoder, job)


def stop(decoder: Decoder) -> None:
    """Ends a decoder at once. It has nothing to tidy up."""
    _end_process(decoder)
    decoder.payload.close()
    os.close(decoder.payload_fd)


def _end_process(decoder: Decoder) -> None:
    decoder.process.kill()
    decoder.process.wait()
    if decoder.process.stdin is not None:
        decoder.process.stdin.close()
    decoder.results.close()

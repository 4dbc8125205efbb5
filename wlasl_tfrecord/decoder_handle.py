"""A decoder: the handle of one process that decodes, and what it gave back."""

import dataclasses
import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from wlasl_tfrecord.clips import ClipSource, SignRange
from wlasl_tfrecord.errors import WlaslError
from wlasl_tfrecord.plan import ShardOptions, Task

__all__ = [
    "JOBS_EACH",
    "Decoded",
    "Decoder",
    "DecoderLimits",
    "Job",
    "Undecoded",
    "receive",
    "send",
    "start",
    "stop",
]


@dataclass(frozen=True, kw_only=True)
class DecoderLimits:
    """What one video may cost.

    Attributes:
        timeout_seconds: How long it may take.
        memory_mib: How much memory a decoder may take, in MiB.

    Raises:
        ValueError: If nothing could be decoded under a limit.
    """

    timeout_seconds: float = 120.0
    memory_mib: int = 2048

    def __post_init__(self) -> None:
        """Reject limits under which nothing works."""
        if not 0 < self.timeout_seconds < 1e6:
            raise ValueError(
                f"timeout must be above 0 and below 1e6 seconds, "
                f"got {self.timeout_seconds}"
            )
        # A decoder takes 100 MiB before it has opened a video.
        if self.memory_mib < 200:
            raise ValueError(f"memory must be at least 200 MiB, got {self.memory_mib}")


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A clip.

    Attributes:
        frames: T * H * W * 3 bytes of RGB for raw, otherwise T encoded images.
        source: Where they lie in the video.
    """

    frames: bytes | list[bytes]
    source: ClipSource


@dataclass(frozen=True, kw_only=True)
class Undecoded:
    """Why there is no clip.

    Attributes:
        reason: `kind: details`; see `decode.decode_clip`, and besides them the kinds
            "timeout", "crash" and "out of memory".
    """

    reason: str


# One that it decodes and one that waits, so that no decoder waits for us.
JOBS_EACH = 2

# A decoder that dies took its video with it, unless something else killed it: out of
# memory elsewhere, an impatient person. So each video has a second chance.
_MAX_ATTEMPTS = 2

_MAX_STARTS = 3
_START_SECONDS = 120.0


@dataclass(kw_only=True)
class Job:
    """A task on its way."""

    number: int
    task: Task
    num_attempts: int = 0
    slot: int = 0


@dataclass(kw_only=True)
class Decoder:
    """A process, its pipes, and the memory that it shares with us.

    Attributes:
        process: The process; tasks go to its standard input, a line each.
        results_fd: Where its answers arrive, a line each.
        payload: Room for the frames of as many clips as it may have jobs.
        jobs: What it has been sent; it is at the first.
        started: When it began with that, in monotonic seconds.
        is_ready: Whether it has said that it runs.
        num_failed_starts: How often its like has died before that.
        received: The beginning of an answer.
    """

    process: subprocess.Popen[bytes]
    results_fd: int
    payload: mmap.mmap
    jobs: deque[Job] = dataclasses.field(default_factory=deque)
    started: float = 0.0
    is_ready: bool = False
    num_failed_starts: int = 0
    received: bytearray = dataclasses.field(default_factory=bytearray)


def start(options: ShardOptions, limits: DecoderLimits) -> Decoder:
    """Starts a process, and does not wait for it."""
    slot_bytes = _slot_bytes(options)
    payload_fd = _anonymous_file(slot_bytes * JOBS_EACH)
    results_fd, child_results_fd = os.pipe()
    settings = {
        "clip": dataclasses.asdict(options.clip),
        "framing": options.framing,
        "codec": options.codec,
        "jpeg_quality": options.jpeg_quality,
        "memory_bytes": limits.memory_mib * 2**20,
        "slot_bytes": slot_bytes,
        "payload_fd": payload_fd,
        "results_fd": child_results_fd,
        "parent": os.getpid(),
    }
    program = (
        f"import sys; sys.path[:] = {sys.path!r}; "
        "from wlasl_tfrecord.decoder_process import main; sys.exit(main(sys.argv[1:]))"
    )
    environment = {
        **os.environ,
        # Else each process starts a thread a core for matrices that it never has.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        # Frames of some megabytes come and go; giving them back to the kernel each
        # time costs more than the resizing.
        "MALLOC_MMAP_THRESHOLD_": str(2**26),
        "MALLOC_TRIM_THRESHOLD_": str(2**26),
        "MALLOC_TOP_PAD_": str(2**20),
    }
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", program, json.dumps(settings)],
            stdin=subprocess.PIPE,
            pass_fds=(payload_fd, child_results_fd),
            env=environment,
            bufsize=0,
            # Ctrl-C goes to a whole group of processes; what it means, we decide.
            start_new_session=True,
        )
        payload = mmap.mmap(payload_fd, slot_bytes * JOBS_EACH)
    except OSError as error:
        raise WlaslError(
            f"cannot start a decoder process: {error}; try fewer --workers"
        ) from error
    finally:
        os.close(payload_fd)
        os.close(child_results_fd)
    os.set_blocking(results_fd, False)
    return Decoder(
        process=process,
        results_fd=results_fd,
        payload=payload,
        started=time.monotonic(),
    )


def _slot_bytes(options: ShardOptions) -> int:
    """Gives room for one clip, encoded in whatever way, in whole pages."""
    clip = options.clip
    # Noise becomes a little larger as a PNG, and every image has a header.
    num_bytes = clip.num_bytes + clip.num_bytes // 64
    num_bytes += clip.num_frames * (clip.height + 4096)
    return -(-num_bytes // mmap.PAGESIZE) * mmap.PAGESIZE


def _anonymous_file(num_bytes: int) -> int:
    """Makes a file that has no name, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("wlasl-clips")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.truncate(descriptor, num_bytes)
    return descriptor


def send(decoder: Decoder, job: Job) -> None:
    """Gives a decoder one more job."""
    taken = {other.slot for other in decoder.jobs}
    job.slot = next(slot for slot in range(JOBS_EACH) if slot not in taken)
    if not decoder.jobs and decoder.is_ready:
        decoder.started = time.monotonic()
    decoder.jobs.append(job)
    instance = job.task.instance
    line = {
        "path": instance.path,
        "start": instance.start,
        "stop": instance.stop,
        "annotation_fps": instance.annotation_fps,
        "slot": job.slot,
    }
    assert decoder.process.stdin is not None
    try:
        decoder.process.stdin.write(json.dumps(line).encode() + b"\n")
    except BrokenPipeError:
        # It died; its results end, which `receive` will see.
        return


def receive(
    decoder: Decoder, options: ShardOptions, limits: DecoderLimits
) -> list[tuple[Job, Decoded | Undecoded]]:
    """Takes what a decoder has finished, and starts it again if it died or hangs."""
    has_ended = False
    try:
        while data := os.read(decoder.results_fd, 2**16):
            decoder.received += data
        has_ended = True
    except BlockingIOError:
        pass
    finished: list[tuple[Job, Decoded | Undecoded]] = []
    *lines, rest = decoder.received.split(b"\n")
    decoder.received = bytearray(rest)
    for line in lines:
        answer = json.loads(line)
        decoder.started = time.monotonic()
        if "ready" in answer:
            decoder.is_ready = True
        else:
            job = decoder.jobs.popleft()
            finished.append((job, _result(answer, decoder, job, options)))
    if not has_ended and not _is_late(decoder, limits):
        return finished
    if not decoder.is_ready:
        num_failed_starts = decoder.num_failed_starts + 1
        if num_failed_starts == _MAX_STARTS:
            raise WlaslError(
                "a decoder process does not start; its own message, if it had one, is "
                "above"
            )
        _restart(decoder, options, limits)
        decoder.num_failed_starts = num_failed_starts
        return finished
    job, reason = decoder.jobs[0], _death(decoder, limits, has_ended)
    job.num_attempts += 1
    if not has_ended or job.num_attempts == _MAX_ATTEMPTS:
        decoder.jobs.popleft()
        finished.append((job, Undecoded(reason=reason)))
    _restart(decoder, options, limits)
    return finished


def _result(
    answer: dict[str, Any], decoder: Decoder, job: Job, options: ShardOptions
) -> Decoded | Undecoded:
    """Reads an answer, and copies its frames out of the shared memory."""
    if "error" in answer:
        return Undecoded(reason=answer["error"])
    source = answer["source"]
    if source["sha256"] != job.task.sha256:
        return Undecoded(reason="unreadable: it was changed during the run; run again")
    images: list[bytes] = []
    end = job.slot * _slot_bytes(options)
    for num_bytes in answer["sizes"]:
        images.append(decoder.payload[end : end + num_bytes])
        end += num_bytes
    source["sign"] = SignRange(*source["sign"])
    source["frame_indices"] = tuple(source["frame_indices"])
    return Decoded(
        frames=images[0] if options.codec == "raw" else images,
        source=ClipSource(**source),
    )


def _is_late(decoder: Decoder, limits: DecoderLimits) -> bool:
    """Says whether a decoder is longer at its job than it may."""
    seconds = limits.timeout_seconds if decoder.is_ready else _START_SECONDS
    return bool(decoder.jobs) and time.monotonic() - decoder.started > seconds


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
    jobs = decoder.jobs
    stop(decoder)
    vars(decoder).update(vars(start(options, limits)))
    for job in jobs:
        send(decoder, job)


def stop(decoder: Decoder) -> None:
    """Ends a process at once. It has nothing to tidy up."""
    decoder.process.kill()
    decoder.process.wait()
    if decoder.process.stdin is not None:
        decoder.process.stdin.close()
    os.close(decoder.results_fd)
    decoder.payload.close()

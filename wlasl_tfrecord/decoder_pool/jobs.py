"""A worker's job: what is asked of it, what that may cost, and what it answers."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wlasl_tfrecord.annotations.manifest import Instance
from wlasl_tfrecord.errors import VIDEO_FAILURES, VideoError, VideoFailure
from wlasl_tfrecord.shard_format.clips import ClipFacts
from wlasl_tfrecord.shard_format.shard_options import ShardOptions

__all__ = [
    "Answer",
    "Decoded",
    "Job",
    "Task",
    "Undecoded",
    "VideoLimits",
    "answer_line",
    "check_memory",
    "job_line",
    "read_answer",
    "read_job",
]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One instance that is to be written.

    Attributes:
        instance: The instance; its path is not None.
        sha256: Hex SHA-256 of its video's content; empty if any content will do.
    """

    instance: Instance
    sha256: str


@dataclass(frozen=True, kw_only=True)
class VideoLimits:
    """What decoding one video may cost.

    Attributes:
        timeout_seconds: How long it may take.
        memory_mib: How much memory its worker may take, in MiB.

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
        # A worker takes 100 MiB before it has opened a video. The system counts bytes
        # in 63 bits.
        if not 200 <= self.memory_mib < 2**43:
            raise ValueError(
                f"memory must be at least 200 MiB and below 2**43, "
                f"got {self.memory_mib}"
            )


# The networks that find landmarks take 150 MiB more.
_LANDMARKS_MIB = 400


def check_memory(options: ShardOptions, limits: VideoLimits) -> None:
    """Refuses limits under which no worker starts with such options.

    Raises:
        ValueError: If a worker may take too little memory to find landmarks.
    """
    if options.landmark_models is not None and limits.memory_mib < _LANDMARKS_MIB:
        raise ValueError(
            f"with landmarks a worker needs at least {_LANDMARKS_MIB} MiB, got "
            f"{limits.memory_mib}"
        )


@dataclass(kw_only=True)
class Job:
    """A task that was sent to a worker.

    Attributes:
        number: Its position in the order of the tasks.
        task: The task.
        num_attempts: How many workers have died of it.
        buffer: Which of its worker's buffers holds its record.
    """

    number: int
    task: Task
    num_attempts: int = 0
    buffer: int = 0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A record that a worker has made in its shared memory.

    Attributes:
        start: First byte of the record in its buffer.
        stop: One past its last byte.
        crc: The masked CRC-32C of the proto.
        facts: What the report says of the clip.
    """

    start: int
    stop: int
    crc: int
    facts: ClipFacts


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A clip.

    Attributes:
        record: The clip as it is stored in a shard: its proto, framed as a TFRecord.
            The memory is the worker's, and valid until the next result is asked for.
        crc: The masked CRC-32C of the proto.
        facts: What the report says of the clip.
    """

    record: memoryview
    crc: int
    facts: ClipFacts


@dataclass(frozen=True, kw_only=True)
class Undecoded:
    """Why there is no clip.

    Attributes:
        kind: Which kind of failure it is; programs decide by it.
        reason: The kind and the details, for a person.

    Raises:
        ValueError: If there is no such kind, or the reason is no text.
    """

    kind: VideoFailure
    reason: str

    def __post_init__(self) -> None:
        """Reject a kind that a damaged file names."""
        if self.kind not in VIDEO_FAILURES:
            raise ValueError(f"no failure of a video is {self.kind!r}")
        if not isinstance(self.reason, str):
            raise ValueError(f"the reason of a failure is text, got {self.reason!r}")

    @classmethod
    def of(cls, error: VideoError) -> "Undecoded":
        """Returns the failure that an error describes."""
        return cls(kind=error.kind, reason=error.reason)


def job_line(job: Job) -> bytes:
    """Writes a job as `read_job` reads it."""
    # Without what the worker does not need, which may be long.
    instance = dataclasses.replace(job.task.instance, url=None, problem=None)
    values = {
        "instance": dataclasses.asdict(instance),
        "sha256": job.task.sha256,
        "buffer": job.buffer,
    }
    # Not in ASCII: two jobs with the longest names there are must fit into a pipe, or
    # sending one would wait for a worker that may hang.
    text = json.dumps(values, ensure_ascii=False)
    # A path may hold bytes that are no character to this locale: the worker has the
    # same locale.
    return text.encode("utf-8", "surrogatepass") + b"\n"


def read_job(line: bytes) -> tuple[Task, int]:
    """Reads a job: its task, and the number of the buffer for its record."""
    values = json.loads(line.decode("utf-8", "surrogatepass"))
    task = Task(instance=Instance(**values["instance"]), sha256=values["sha256"])
    return task, values["buffer"]


def answer_line(answer: Answer | Undecoded | None) -> bytes:
    """Writes what a worker answers; None means that it is ready for jobs."""
    values: Mapping[str, Any] = {}
    if isinstance(answer, Undecoded):
        values = dataclasses.asdict(answer)
    elif answer is not None:
        values = {**vars(answer), "facts": answer.facts.to_json()}
    return json.dumps(values).encode() + b"\n"


def read_answer(line: bytes | bytearray) -> Answer | Undecoded | None:
    """Reads what `answer_line` wrote."""
    values = json.loads(line)
    if not values:
        return None
    if "kind" in values:
        return Undecoded(**values)
    return Answer(**{**values, "facts": ClipFacts.from_json(values["facts"])})

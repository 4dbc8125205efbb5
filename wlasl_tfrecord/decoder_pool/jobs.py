"""A decoder's job: what it is asked for, what that may cost, and what comes of it."""

import json
from dataclasses import dataclass
from typing import Any

from wlasl_tfrecord.annotations.manifest import Instance

__all__ = [
    "Decoded",
    "DecoderLimits",
    "Job",
    "Task",
    "Undecoded",
    "job_line",
]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One instance that is to be written.

    Attributes:
        instance: The instance; its path is not None.
        sha256: The digest of its video's content, in hex.
    """

    instance: Instance
    sha256: str


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
        # A decoder takes 100 MiB before it has opened a video. The system counts bytes
        # in 63 bits.
        if not 200 <= self.memory_mib < 2**43:
            raise ValueError(
                f"memory must be at least 200 MiB and below 2**43, "
                f"got {self.memory_mib}"
            )


@dataclass(kw_only=True)
class Job:
    """A task on its way."""

    number: int
    task: Task
    num_attempts: int = 0
    slot: int = 0


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A clip.

    Attributes:
        record: The clip as it stands in a shard: its proto, framed as a TFRecord. The
            memory is the decoder's, and good until the next result is asked for.
        crc: The masked CRC-32C of the proto.
        num_distinct_frames: How many different frames it shows.
        range_rule: How its annotated range was understood.
        num_video_frames: Frames in its video.
        notes: What speaks for its video being damaged.
    """

    record: memoryview
    crc: int
    num_distinct_frames: int
    range_rule: str
    num_video_frames: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Undecoded:
    """Why there is no clip.

    Attributes:
        reason: `kind: details`; see `decode.decode_clip`, and besides them the kinds
            "timeout", "crash", "out of memory" and "changed".
    """

    reason: str


def job_line(job: Job) -> bytes:
    """Writes a job as `worker_main` reads it."""
    instance = job.task.instance
    values: dict[str, Any] = {
        name: getattr(instance, name)
        for name in (
            *("video_id", "gloss", "label", "signer_id"),
            *("path", "start", "stop", "annotation_fps"),
        )
    }
    values["sha256"], values["slot"] = job.task.sha256, job.slot
    # Not in ASCII: two jobs with the longest names there are must fit into a pipe, or
    # sending one would wait for a decoder that may hang.
    text = json.dumps(values, ensure_ascii=False)
    # A path keeps what is no character to this locale, as the decoder has the same.
    return text.encode("utf-8", "surrogatepass") + b"\n"

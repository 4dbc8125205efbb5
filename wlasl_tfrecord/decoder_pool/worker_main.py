"""A worker process: takes videos one by one, and answers with records.

It is started as a program of its own, not by `multiprocessing`: a child of that would
import its parent's main module again, and TensorFlow with it, 0.5 GB in every process.
It ends with its parent, and it may be killed at any time: nothing that a video does to
it reaches the parent.
"""

import ctypes
import json
import mmap
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.decoder_pool.jobs import (
    Answer,
    Task,
    Undecoded,
    answer_line,
    read_job,
)
from wlasl_tfrecord.decoder_pool.shared_memory import frames_in, put_record
from wlasl_tfrecord.errors import VideoError, VideoFailure
from wlasl_tfrecord.shard_format.clip_proto import ClipInfo, clip_pieces
from wlasl_tfrecord.shard_format.clips import ClipFacts, ClipSpec
from wlasl_tfrecord.shard_format.encode_frames import encode_frames
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.video.content_hash import sha256_of
from wlasl_tfrecord.video.decode import decode_clip
from wlasl_tfrecord.video.ffmpeg_log import (
    check_remarks,
    damage_notes,
    listen,
    take_remarks,
)

if TYPE_CHECKING:
    from wlasl_tfrecord.landmarks.clip_landmarks import ClipLandmarks

__all__ = ["end_with_parent", "limit_memory", "main"]


def main(argv: list[str]) -> int:
    """Decodes until its input ends.

    Args:
        argv: Its settings as JSON; see `launch.start_program`.
    """
    settings = json.loads(argv[0])
    limit_memory(settings["memory_bytes"])
    end_with_parent(settings["parent"])
    options = _options(settings["options"])
    shared = memoryview(mmap.mmap(settings["memory_fd"], 0))
    buffer_bytes = settings["buffer_bytes"]
    results = os.fdopen(settings["results_fd"], "wb")
    cv2.setNumThreads(1)
    make_landmarks = _landmark_maker(options)
    _send(results, None)
    # From here on, FFmpeg's and OpenCV's remarks are part of the answers.
    log = listen()
    for line in sys.stdin.buffer:
        task, number = read_job(line)
        start = number * buffer_bytes
        buffer = shared[start : start + buffer_bytes]
        _send(results, _answer(task, options, buffer, log, make_landmarks))
    return 0


def _options(values: dict[str, Any]) -> ShardOptions:
    return ShardOptions(**{**values, "clip": ClipSpec(**values["clip"])})


def _landmark_maker(options: ShardOptions) -> "Callable[[], ClipLandmarks] | None":
    """Returns what makes the finder of a clip's landmarks; None if none are stored."""
    if options.landmark_models is None:
        return None
    # Only now: without landmarks a worker needs neither the interpreter nor its memory.
    from wlasl_tfrecord.landmarks.clip_landmarks import ClipLandmarks
    from wlasl_tfrecord.landmarks.networks import Networks

    networks = Networks(options.landmark_models)
    return lambda: ClipLandmarks(networks, options.clip, options.framing)


def _answer(
    task: Task,
    options: ShardOptions,
    buffer: memoryview,
    log: int,
    make_landmarks: "Callable[[], ClipLandmarks] | None" = None,
) -> Answer | Undecoded:
    """Makes the record of one clip in a buffer, and describes it."""
    instance, clip = task.instance, options.clip
    assert instance.path is not None
    # Those on a video that failed are no remarks on the next one.
    take_remarks(log)
    passes: list[ClipLandmarks] = []

    def observe() -> Callable[[int, NDArray[np.uint8]], None]:
        assert make_landmarks is not None
        passes.append(make_landmarks())
        return passes[-1].see

    try:
        frames, source = decode_clip(
            instance.path,
            clip=clip,
            framing=options.framing,
            start=instance.start,
            stop=instance.stop,
            annotation_fps=instance.annotation_fps,
            out=frames_in(buffer, clip),
            observe=None if make_landmarks is None else observe,
        )
        remarks = take_remarks(log)
        check_remarks(remarks)
        stored = encode_frames(
            frames, source.frame_indices, options.codec, options.jpeg_quality
        )
    except VideoError as error:
        change = _change(instance.path, task.sha256) if task.sha256 else None
        return change or Undecoded.of(error)
    except MemoryError:
        return _failure("out of memory", "it needs more than a decoder may take")
    if task.sha256 not in ("", source.sha256):
        return _replaced()
    info = ClipInfo(
        video_id=instance.video_id,
        gloss=instance.gloss,
        label=instance.label,
        signer_id=instance.signer_id,
        source=source,
    )
    landmarks, seen = None, ()
    if passes:
        # Of the last pass: those before had other frames.
        landmarks = passes[-1].landmarks(source.frame_indices)
        seen = passes[-1].num_seen(source.frame_indices)
    proto = clip_pieces(info, stored, clip, options.codec, landmarks)
    start, stop, crc = put_record(buffer, proto)
    facts = ClipFacts.of(source, damage_notes(source, remarks), seen)
    return Answer(start=start, stop=stop, crc=crc, facts=facts)


def _change(path: str, sha256: str) -> Undecoded | None:
    """Returns why a video that failed is not the one that was planned; else None.

    The failure then says nothing about the planned content: where a disk or a network
    is out of reach for a while, the next run tries again.
    """
    try:
        is_same = sha256_of(path) == sha256
    except VideoError as error:
        return _failure("changed", f"it could not be read again: {error.reason}")
    except OSError as error:
        return _failure(
            "changed", f"it could not be read again: {error.strerror or error}"
        )
    except MemoryError:
        # What took all memory is the video's own failure.
        return None
    return None if is_same else _replaced()


def _replaced() -> Undecoded:
    return _failure("changed", "it was replaced during the run")


def _failure(kind: VideoFailure, details: str) -> Undecoded:
    return Undecoded.of(VideoError(kind, details))


def _send(results: BinaryIO, answer: Answer | Undecoded | None) -> None:
    results.write(answer_line(answer))
    results.flush()


def limit_memory(memory_bytes: int) -> None:
    """Limits this process's memory, so that a video cannot take the machine's."""
    # Data, where the system counts it (Linux): address space would count every library.
    for limit in ("RLIMIT_DATA", "RLIMIT_AS"):
        if hasattr(resource, limit):
            number = getattr(resource, limit)
            most = resource.getrlimit(number)[1]
            if most != resource.RLIM_INFINITY:
                # Set by an administrator, or by a batch system: nobody may raise it.
                memory_bytes = min(memory_bytes, most)
            resource.setrlimit(number, (memory_bytes, memory_bytes))
            return


def end_with_parent(parent: int) -> None:
    """Ends this process when its parent ends, however that ends."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:
            raise SystemExit(1)

"""A long video as a stream of frames, decoded in a process with limits."""

import contextlib
import dataclasses
import fcntl
import io
import json
import os
import signal
import subprocess
from collections.abc import Generator
from multiprocessing import connection

import numpy as np

from wlasl_tfrecord.decoder_pool.awake_clock import awake_clock
from wlasl_tfrecord.decoder_pool.jobs import VideoLimits
from wlasl_tfrecord.decoder_pool.launch import start_process
from wlasl_tfrecord.decoder_pool.stream_main import END, FAILURE, FRAME, HEADER
from wlasl_tfrecord.errors import VideoError, WlaslError
from wlasl_tfrecord.shard_format.clips import ClipSpec, Framing
from wlasl_tfrecord.text import text_of
from wlasl_tfrecord.video.long_video import GridFrame

__all__ = ["stream_frames"]

# As much as Linux lets everybody have: some frames, which are decoded ahead.
_PIPE_BYTES = 2**20


def stream_frames(
    path: str | os.PathLike[str],
    *,
    clip: ClipSpec,
    framing: Framing,
    window_seconds: float,
    start: int | None = None,
    stop: int | None = None,
    limits: VideoLimits | None = None,
) -> Generator[GridFrame, None, float]:
    """Decodes a long video in a process of its own, a few frames ahead.

    Args:
        path: A video file, or a folder of numbered images.
        clip: The shape of a window's clip.
        framing: How frames are made to fit.
        window_seconds: How long a window is.
        start: First frame to look at, from 0; None for the first.
        stop: One past the last frame; None for the end.
        limits: The memory of the process, and how long its next answer may take: a
            long video takes longer as a whole.

    Yields:
        The frames of the grid, in order; see `video.long_video`.

    Returns:
        How long the video is, in seconds.

    Raises:
        VideoError: If the video cannot be decoded, or exceeds a limit.
        WlaslError: If no process can be started.
    """
    limits = limits or VideoLimits()
    name = text_of(os.path.basename(os.path.normpath(os.fspath(path))))
    settings = {
        "path": os.fsencode(path).hex(),
        "clip": dataclasses.asdict(clip),
        "framing": framing,
        "window_seconds": window_seconds,
        "start": start,
        "stop": stop,
        "memory_bytes": limits.memory_mib * 2**20,
    }
    try:
        process, results = start_process("stream_main", settings)
    except OSError as error:
        raise WlaslError(f"cannot start a process to decode in: {error}") from error
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        # A user who has many pipes gets no larger ones.
        with contextlib.suppress(OSError):
            fcntl.fcntl(results.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    try:
        return (yield from _frames(process, results, clip, limits, name))
    finally:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
        results.close()


def _frames(
    process: subprocess.Popen[bytes],
    results: io.FileIO,
    clip: ClipSpec,
    limits: VideoLimits,
    name: str,
) -> Generator[GridFrame, None, float]:
    """Yields the frames that a process sends, and returns how long the video is."""
    while True:
        kind, seconds, num_places, num_bytes = HEADER.unpack(
            _read(process, results, HEADER.size, limits, name)
        )
        content = _read(process, results, num_bytes, limits, name)
        if kind == FRAME:
            frame = np.frombuffer(content, np.uint8).reshape(clip.shape[1:])
            yield GridFrame(frame=frame, seconds=seconds, num_places=num_places)
        elif kind == FAILURE:
            failure, details = json.loads(bytes(content))
            raise VideoError(failure, details, name)
        elif kind == END:
            return seconds


def _read(
    process: subprocess.Popen[bytes],
    results: io.FileIO,
    num_bytes: int,
    limits: VideoLimits,
    name: str,
) -> bytearray:
    """Reads so many bytes, which may take as long as the limits say.

    Raises:
        VideoError: If the process does not send them.
    """
    clock = awake_clock()
    content = bytearray(num_bytes)
    view, have = memoryview(content), 0
    while have < num_bytes:
        more = results.readinto(view[have:])
        if more is not None and more > 0:
            have += more
        elif more == 0:
            raise VideoError("crash", _end_of(process), name)
        elif clock() > limits.timeout_seconds:
            seconds = f"{limits.timeout_seconds:g}"
            raise VideoError("timeout", f"no frame within {seconds} seconds", name)
        else:
            # A second is soon enough to see that it is out of time.
            connection.wait([results.fileno()], timeout=1.0)
    return content


def _end_of(process: subprocess.Popen[bytes]) -> str:
    """Returns how a process ended."""
    status = process.wait()
    if status < 0:
        return f"its decoder was ended by {signal.Signals(-status).name}"
    return f"its decoder ended with status {status}"

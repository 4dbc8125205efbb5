"""PyAV's containers: a video file that it has opened, its streams and their packets.

PyAV is imported only when a video needs it: 45 ms and 15 MB in each process.
"""

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.video.file_kind import FFMPEG_FORMATS, NO_VIDEO

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

__all__ = [
    "is_installed",
    "one_line",
    "open_pyav",
    "packets_of",
    "video_stream",
]

# FFmpeg's AV_LOG_QUIET.
_SILENT = "-8"


def is_installed() -> bool:
    """Returns whether PyAV can be imported, without importing it."""
    return importlib.util.find_spec("av") is not None


@contextlib.contextmanager
def open_pyav(location: str) -> "Iterator[InputContainer]":
    """Opens a video file.

    Raises:
        VideoError: If it is no video that FFmpeg knows.
    """
    try:
        import av
        import av.error
    except ImportError as error:
        # Of hundreds of libraries the one for which there was no memory.
        if "failed to map" in str(error) or "cannot allocate" in str(error).lower():
            raise MemoryError from error
        raise VideoError(
            "unreadable",
            f"PyAV, which decodes it, cannot be imported ({one_line(error)}); "
            "pip install --force-reinstall av",
        ) from error
    _set_log_level()
    options = {"format_whitelist": FFMPEG_FORMATS, "protocol_whitelist": "file"}
    try:
        # Of its metadata nothing is used, and some is no UTF-8.
        container = av.open(location, options=options, metadata_errors="ignore")
    except (MemoryError, OSError):
        raise
    except av.error.FFmpegError as error:
        raise VideoError("unreadable", NO_VIDEO) from error
    with container:
        yield container


def _set_log_level() -> None:
    """Makes PyAV's FFmpeg log as much as OpenCV's, and to the same place."""
    import av.logging

    level = int(os.environ.get("OPENCV_FFMPEG_LOGLEVEL", _SILENT))
    av.logging.restore_default_callback()
    av.logging.set_libav_level(level)


def video_stream(container: "InputContainer") -> "av.VideoStream":
    """Returns the largest video stream that is no picture of a cover.

    Of several FFmpeg's own program takes the one with the most pixels, too.
    """
    from av.stream import Disposition

    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    decoded = [stream for stream in streams if stream.codec_context is not None]
    if decoded:
        # Of streams of the same size it is the first.
        stream = max(
            decoded, key=lambda s: s.codec_context.width * s.codec_context.height
        )
        # Workers are as many as cores already.
        stream.codec_context.thread_count = 1
        return stream
    if streams:
        raise VideoError(
            "unreadable", "FFmpeg has no decoder for it; convert it to H.264"
        )
    if not container.streams.audio:
        raise VideoError("unreadable", NO_VIDEO)
    raise VideoError(
        "unreadable", "no video in it, only sound; find the file with the picture"
    )


def packets_of(container: "InputContainer", *streams: Any) -> Iterator[Any]:
    """Yields the packets of streams, up to where the file is damaged."""
    import av.error

    try:
        yield from container.demux(*streams)
    except av.error.FFmpegError as error:
        if isinstance(error, MemoryError | OSError):
            raise


def one_line(error: Exception) -> str:
    """Returns the message of an error in one line."""
    return " ".join(str(error).split())

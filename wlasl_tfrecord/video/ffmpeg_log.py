"""FFmpeg's log: what it reports about a damaged video that still becomes a clip.

FFmpeg conceals what it cannot read and continues, so that a video with flipped bits has
as many frames as a whole one. Its log tells them apart: none of 212 real clips makes it
report an error, and one flipped bit in most of them does.
"""

import ctypes
import fcntl
import os
import re
import resource

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.files import nameless_file
from wlasl_tfrecord.shard_format.clips import ClipSource

__all__ = ["LOG_LEVEL", "check_remarks", "damage_notes", "listen", "take_remarks"]

# FFmpeg's AV_LOG_ERROR, as OpenCV takes it from OPENCV_FFMPEG_LOGLEVEL at its start.
LOG_LEVEL = "16"

# FFmpeg did not convert a frame: whatever is in its place was never in the video.
_WRONG_PIXELS = re.compile(r"Cannot convert|swscaler|scaling graph|-> fmt:")
# Remarks on files that are whole and decoded right: on parts of an edit list that start
# between key frames, on what OpenCV tries before PyAV decodes, and on sound.
_HARMLESS = re.compile(
    r"edit list|Missing key frame while searching for timestamp|"
    r"Cannot find an index entry before timestamp|hardware accelerated|"
    r"Failed to get pixel format|Get current frame error|timescale not set|"
    r"QT chapter track|co located POCs unavailable|Unsupported codec with id"
)

# More of them say nothing more.
_MAX_BYTES = 1 << 16

# Headers count up to 3 frames too many.
_MAX_EXTRA_FRAMES = 3


def listen() -> int:
    """Redirects standard output and error of this process to a file of its own.

    FFmpeg is a part of OpenCV's library and logs to standard error only.

    Returns:
        The descriptor of that file, for `take_remarks`.
    """
    log = nameless_file(0)
    # Whatever was taken out of it before, the next remark comes to its end.
    fcntl.fcntl(log, fcntl.F_SETFL, os.O_APPEND)
    # Python ignores the signal for files that may not grow; then nothing is written.
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_BYTES, _MAX_BYTES))
    os.dup2(log, 1)
    os.dup2(log, 2)
    return log


def take_remarks(log: int) -> list[str]:
    """Returns the lines that were printed since the last call."""
    # C's own buffer comes first: what is printed to a file waits in it.
    ctypes.CDLL(None).fflush(None)
    text = os.pread(log, _MAX_BYTES, 0).decode("utf-8", "replace")
    os.ftruncate(log, 0)
    # `[OPENCV:FFMPEG:16] ` or `[h264 @ 0x55d0c0] `; addresses differ from run to run.
    lines = [re.sub(r"^(\[[^\]]*\] *)+", "", line) for line in text.splitlines()]
    return [" ".join(line.split()) for line in lines if line.strip()]


def check_remarks(remarks: list[str]) -> None:
    """Checks that FFmpeg converted all frames.

    OpenCV reports success for a frame that was not converted, and what it returns is
    memory that nobody wrote, or the frame before.

    Args:
        remarks: The lines that FFmpeg logged while a video was decoded.

    Raises:
        VideoError: If a frame was not converted.
    """
    for remark in remarks:
        if _WRONG_PIXELS.search(remark):
            raise VideoError(
                "unreadable",
                f"FFmpeg did not convert its frames: {remark[:100]}; convert it with "
                "ffmpeg -i IN -vf bwdif=deint=interlaced -c:v libx264 -crf 17 -pix_fmt "
                "yuv420p OUT.mp4",
            )


def damage_notes(source: ClipSource, remarks: list[str]) -> list[str]:
    """Returns the signs of damage in a video that became a clip.

    Args:
        source: Where the clip's frames lie in the video.
        remarks: The lines that FFmpeg logged while it was decoded.

    Returns:
        A line each; none for a video that is probably whole.
    """
    notes = []
    decoded, promised = source.num_video_frames, source.num_promised_frames
    if promised - decoded > max(_MAX_EXTRA_FRAMES, promised // 10):
        notes.append(f"decoded {decoded:,} of {promised:,} promised frames")
    errors = [remark for remark in remarks if not _HARMLESS.search(remark)]
    if errors:
        first = errors[0][:100]
        notes.append(f"{len(errors):,} errors while decoding, the first: {first}")
    return notes

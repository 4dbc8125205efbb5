"""A capture: one open video file, whose frames are decoded in order."""

import math
import os
import threading
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.video.sampling import ANNOTATION_FPS

__all__ = [
    "check_room",
    "count_packets",
    "frames_per_second",
    "grab_frames",
    "open_capture",
]

# What FFmpeg may take a file for. Without the list a text named .mp4 can be a playlist
# that opens other files, and a picture a video of one frame.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg"
)

# The same by the first bytes of the file, for OpenCV 4, which ignores the list. ISO
# media (mov, mp4) starts with the size of a box and its name.
_ISO_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid")
_SIGNATURES = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"RIFF",  # AVI
    b"FLV",
    b"0&\xb2u",  # ASF
    b"OggS",
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG video
)
# An MPEG transport stream is packets of this size, each with this first byte.
_TS_PACKET_BYTES, _TS_SYNC = 188, b"G"

# Above this it is no camera's rate but the time base of a container that names none
# (1000 in WebM, 90000 in MPEG).
_MAX_FPS = 960.0

_NO_VIDEO = "not a video, or one that is cut off or damaged"


def open_capture(location: str, *, packets_only: bool = False) -> cv2.VideoCapture:
    """Opens a video file for one thread.

    Args:
        location: The file's path.
        packets_only: Whether to read the compressed packets instead of frames.

    Raises:
        OSError: If the file cannot be read.
        VideoError: If it is no video that FFmpeg knows, or holds none.
    """
    with open(location, "rb") as file:
        if not _is_container(file.read(_TS_PACKET_BYTES + 1)):
            raise VideoError("unreadable", _NO_VIDEO)
    # OpenCV has no argument for these two and asks the environment at each opening.
    # A user's own value stays.
    os.environ.setdefault(
        "OPENCV_FFMPEG_CAPTURE_OPTIONS",
        f"format_whitelist;{_CONTAINERS}|protocol_whitelist;file",
    )
    # FFmpeg's remarks on each damaged macroblock are no use without the file's name.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if packets_only:
        parameters = [cv2.CAP_PROP_FORMAT, -1]
    else:
        parameters = [
            # Workers are as many as cores already.
            *(cv2.CAP_PROP_N_THREADS, 1),
            # A graphics card would decode to other pixels than the next machine.
            *(cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_NONE),
        ]
    # It would print several lines that name neither the file nor the reason.
    with _LOG_LEVEL_LOCK:
        log_level = _set_log_level(_SILENT)
        try:
            capture = cv2.VideoCapture(location, cv2.CAP_FFMPEG, parameters)
        except cv2.error as error:
            raise VideoError("unreadable", " ".join(str(error).split())) from error
        finally:
            _set_log_level(log_level)
    if not capture.isOpened():
        raise VideoError("unreadable", _NO_VIDEO)
    # Phones store how they were held: apply it, whatever this build's default is.
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


def _is_container(start: bytes) -> bool:
    """Returns whether a file with these first bytes can hold a video."""
    if start[4:8] in _ISO_BOXES or start.startswith(_SIGNATURES):
        return True
    return start[:1] == start[_TS_PACKET_BYTES:] == _TS_SYNC


# cv2.utils.logging.LOG_LEVEL_SILENT, which OpenCV 4 does not name.
_SILENT = 0
# The level is the process's; a thread must not end the silence of another.
_LOG_LEVEL_LOCK = threading.Lock()


def _set_log_level(level: int) -> int:
    """Sets how much OpenCV prints, and returns the level before."""
    in_opencv_4 = getattr(cv2, "setLogLevel", None)
    return (in_opencv_4 or cv2.utils.logging.setLogLevel)(level)


def frames_per_second(capture: cv2.VideoCapture) -> float:
    """Returns the rate of a video; that of WLASL if it names none that can be right."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if math.isfinite(fps) and 0 < fps <= _MAX_FPS else ANNOTATION_FPS


def check_room(capture: cv2.VideoCapture) -> None:
    """Checks that some frames of a video fit into memory.

    FFmpeg says the same of a frame that is damaged and of one that found no memory.

    Raises:
        MemoryError: If they do not.
    """
    width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
    height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    # What it decodes into, what it refers to, and the converted frame.
    np.empty((6, max(height, 0), max(width, 0), 3), np.uint8)


def count_packets(location: str) -> int:
    """Counts the compressed frames of a video: 20 times cheaper than decoding it.

    Some of them may never be shown, so that this is a better guess than the header's
    count, not the truth.

    Raises:
        OSError: If the file cannot be read.
        VideoError: If it is no video that FFmpeg knows, or holds none.
    """
    capture = open_capture(location, packets_only=True)
    count = 0
    while capture.grab():
        count += 1
    return count


def grab_frames(
    capture: cv2.VideoCapture,
    wanted: set[int],
    stop: int | None,
    keep: Callable[[int, NDArray[np.uint8]], None],
) -> int:
    """Decodes a video, and converts only the frames that are wanted.

    Args:
        capture: A capture at its first frame.
        wanted: Numbers of the frames to convert, from 0.
        stop: Where to stop decoding; None for the end of the file.
        keep: Called with each wanted number and its frame, uint8 [height, width, 3],
            BGR, which is valid only during the call.

    Returns:
        How many frames were decoded.
    """
    number = 0
    # One buffer for all frames: a new one for each would cost its page faults.
    frame: NDArray[np.uint8] | None = None
    while (stop is None or number < stop) and capture.grab():
        if number in wanted:
            converted, image = capture.retrieve(frame)
            if not converted:
                check_room(capture)
                raise VideoError("unreadable", f"frame {number} cannot be converted")
            frame = image.astype(np.uint8, copy=False)
            keep(number, frame)
        number += 1
    return number

"""The first decoder: OpenCV, for every video that it decodes right.

What it does not decode right, `open_video` finds before the first frame.
"""

import contextlib
import math
import os
import threading
from collections.abc import Callable, Container, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.text import text_of
from wlasl_tfrecord.video.file_kind import FFMPEG_FORMATS, NO_VIDEO

__all__ = [
    "MAX_FPS",
    "MAX_FRAMES",
    "OpenCVCapture",
    "count_packets",
    "silent_opencv",
]

# Above this it is no camera's rate but the time base of a container that names none
# (1000 in WebM, 90000 in MPEG).
MAX_FPS = 960.0

# More is a damaged header: this is a year of video.
MAX_FRAMES = 1e9


class OpenCVCapture:
    """A video that OpenCV decodes.

    Attributes:
        fps: Frames per second, as the file says; 0 if it does not, or nonsense.
        num_promised_frames: How many frames the file says it has; 0 if it does not.
        frame_times: None: OpenCV does not know them before it has decoded.
        codec_name: Four characters for the codec.
        extradata: The decoder's configuration, as the container stores it.
        pixel_format: Four characters for the pixel format that is decoded.
        pixel_aspect: Width over height of a pixel; 1 if the file does not say.
    """

    def __init__(self, location: str) -> None:
        """Opens a container of video, and decodes nothing.

        Raises:
            VideoError: If it is no video that FFmpeg knows, or holds none.
        """
        self._location = location
        self._capture: cv2.VideoCapture | None = _open(location)
        get = self._capture.get
        fps = get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and 0 < fps <= MAX_FPS else 0.0
        promised = get(cv2.CAP_PROP_FRAME_COUNT)
        self.num_promised_frames = int(promised) if 0 < promised < MAX_FRAMES else 0
        self.frame_times: NDArray[np.float64] | None = None
        self.codec_name = _four_characters(get(cv2.CAP_PROP_FOURCC))
        self.pixel_format = _four_characters(get(cv2.CAP_PROP_CODEC_PIXEL_FORMAT))
        width, height = get(cv2.CAP_PROP_SAR_NUM), get(cv2.CAP_PROP_SAR_DEN)
        self.pixel_aspect = width / height if width > 0 and height > 0 else 1.0
        self.extradata = _extradata(self._capture)

    def grab_frames(
        self,
        wanted: Container[int],
        stop: int | None,
        keep: Callable[[int, NDArray[np.uint8]], None],
    ) -> int:
        """Decodes the video from its first frame on, and converts the wanted frames.

        Args:
            wanted: Numbers of the frames to convert, from 0; each is asked for once, in
                order.
            stop: Where to stop decoding; None for the end of the file.
            keep: Called with each wanted number and its frame, uint8 [height, width,
                3], BGR, which is valid only during the call.

        Returns:
            How many frames were decoded.

        Raises:
            VideoError: If a frame cannot be converted.
            MemoryError: If the frames do not fit into memory.
        """
        capture = self._capture or _open(self._location)
        # The next call starts at the first frame again.
        self._capture = None
        number = 0
        # One buffer for all frames: a new one for each would cost its page faults.
        frame: NDArray[np.uint8] | None = None
        while (stop is None or number < stop) and capture.grab():
            if number in wanted:
                converted, image = capture.retrieve(frame)
                if not converted:
                    _check_room(capture)
                    raise VideoError(
                        "unreadable", f"frame {number} cannot be converted"
                    )
                frame = image.astype(np.uint8, copy=False)
                keep(number, frame)
            number += 1
        if not number:
            _check_room(capture)
        return number


def count_packets(location: str) -> int:
    """Counts the compressed frames of a video: 20 times cheaper than decoding it.

    Some of them may never be shown, so that this is a better guess than the header's
    count, not the truth.

    Raises:
        VideoError: If it is no video that FFmpeg knows, or holds none.
    """
    capture = _open(location, packets_only=True)
    count = 0
    while capture.grab():
        count += 1
    return count


def _open(location: str, *, packets_only: bool = False) -> cv2.VideoCapture:
    """Opens a container of video for one thread.

    Args:
        location: The file's path.
        packets_only: Whether to read the compressed packets instead of frames.

    Raises:
        VideoError: If it is no video that FFmpeg knows, or holds none.
    """
    # OpenCV has no argument for these two and asks the environment at each opening.
    # A user's own value stays.
    os.environ.setdefault(
        "OPENCV_FFMPEG_CAPTURE_OPTIONS",
        f"format_whitelist;{FFMPEG_FORMATS}|protocol_whitelist;file",
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
    with silent_opencv():
        try:
            capture = cv2.VideoCapture(location, cv2.CAP_FFMPEG, parameters)
        except cv2.error as error:
            raise VideoError("unreadable", f"{' '.join(str(error).split())}") from error
    if not capture.isOpened():
        raise VideoError("unreadable", NO_VIDEO)
    # Phones store how they were held: apply it, whatever this build's default is.
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


# cv2.utils.logging.LOG_LEVEL_SILENT, which OpenCV 4 does not name.
_SILENT = 0
# The level is the process's; a thread must not end the silence of another.
_LOG_LEVEL_LOCK = threading.Lock()


@contextlib.contextmanager
def silent_opencv() -> Iterator[None]:
    """Keeps OpenCV from printing, in all threads."""
    with _LOG_LEVEL_LOCK:
        log_level = _set_log_level(_SILENT)
        try:
            yield
        finally:
            _set_log_level(log_level)


def _set_log_level(level: int) -> int:
    """Sets how much OpenCV prints, and returns the level before."""
    in_opencv_4 = getattr(cv2, "setLogLevel", None)
    return (in_opencv_4 or cv2.utils.logging.setLogLevel)(level)


def _four_characters(code: float) -> str:
    return text_of((int(code) % 2**32).to_bytes(4, "little").decode("latin-1"))


def _extradata(capture: cv2.VideoCapture) -> bytes:
    """Reads the decoder's configuration; nothing if there is none."""
    # OpenCV would turn it like a frame.
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
    place = int(capture.get(cv2.CAP_PROP_CODEC_EXTRADATA_INDEX))
    found, data = capture.retrieve(flag=place)
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return data.tobytes() if found and data is not None else b""


def _check_room(capture: cv2.VideoCapture) -> None:
    """Checks that some frames of a video fit into memory.

    FFmpeg says the same of a frame that is damaged and of one that found no memory.

    Raises:
        MemoryError: If they do not.
    """
    width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
    height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    # What it decodes into, what it refers to, and the converted frame.
    np.empty((6, max(height, 0), max(width, 0), 3), np.uint8)

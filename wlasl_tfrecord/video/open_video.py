"""An open video: the file is looked at, and the decoder chosen that decodes it right.

OpenCV decodes most videos right, and some wrong, and reports success for both. An
interlaced frame becomes memory that nobody wrote, a mirror image is turned as if it
were none, pixels that are wider than high are taken as square. So what a file says of
itself is read first, from its headers, and OpenCV is taken only where they rule all
that out. Everything else goes to PyAV.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.video import pyav_capture
from wlasl_tfrecord.video.capture import OpenCVCapture
from wlasl_tfrecord.video.codec_headers import is_progressive, turns_pictures
from wlasl_tfrecord.video.file_kind import FileKind, file_kind
from wlasl_tfrecord.video.mp4_boxes import VideoTrack, read_video_track
from wlasl_tfrecord.video.orientation import is_square, is_turn

__all__ = ["OpenVideo", "open_video"]


class OpenVideo(Protocol):
    """A video that one of the decoders has opened.

    Attributes:
        fps: Frames per second, as the file says; 0 if it does not.
        num_promised_frames: How many frames the file says it has; 0 if it does not.
        frame_times: float64 [N], the seconds from the first frame to each, never
            decreasing; None if they are not known.
        codec_name: What the decoder calls the codec.
    """

    fps: float
    num_promised_frames: int
    frame_times: NDArray[np.float64] | None
    codec_name: str

    def grab_frames(
        self,
        wanted: set[int],
        stop: int | None,
        keep: Callable[[int, NDArray[np.uint8]], None],
    ) -> int:
        """Decodes the video from its first frame on, and converts the wanted frames."""
        ...


# What a video has that OpenCV does not decode right, and the options of `ffmpeg` that
# make one of it that OpenCV does.
_MENDED_BY = {
    "interlaced, or not known to be progressive": "-vf bwdif=deint=interlaced ",
    "mirrored by its display matrix, or by its codec": "",
    "of pixels that are not square": "-vf scale=trunc(iw*sar/2)*2:ih,setsar=1 ",
    "partly transparent": "",
    "AV1": "",
    "a GIF": "",
    "an MP4 whose tables cannot be read": "",
    "one of several videos in its file": "",
}
_CODER = "-c:v libx264 -crf 17 -pix_fmt yuv420p"

# OpenCV's names of pixel formats with transparency; those of Matroska's elements for
# the same, for projections, and for where its frames begin.
_ALPHA_FORMATS = frozenset(("RGBA", "BGRA", "ARGB", "ABGR", "PAL8"))
_ALPHA_MODE, _PROJECTION, _CLUSTER = b"\x53\xc0", b"\x76\x70", b"\x1f\x43\xb6\x75"


def open_video(location: str) -> OpenVideo:
    """Opens a video file with the decoder that decodes it right.

    Args:
        location: The file's path.

    Raises:
        OSError: If the file cannot be read.
        VideoError: If it is no video, or one that needs PyAV where there is none.
    """
    kind = file_kind(location)
    if kind.container == "gif":
        return _with_pyav(location, "a GIF")
    track = read_video_track(location) if kind.container == "mp4" else None
    try:
        capture = OpenCVCapture(location)
    except VideoError:
        if not pyav_capture.is_installed():
            raise
        # It opens it after all, or finds a better reason.
        return pyav_capture.PyavCapture(location)
    if track is not None and track.frame_times is not None:
        first_packet, is_first = track.first_sample, track.is_only_one
        capture.frame_times = track.frame_times
        capture.num_promised_frames = len(track.frame_times)
    elif kind.container != "avi" and pyav_capture.is_installed():
        packets = pyav_capture.read_packets(location)
        first_packet, is_first = packets.first_packet, packets.is_first
        capture.frame_times = packets.frame_times
        capture.num_promised_frames = packets.num_promised_frames
    else:
        # An AVI has neither times nor matrices.
        first_packet, is_first = b"", True
    reason = _why_not_opencv(capture, kind, track, first_packet)
    if not is_first:
        # OpenCV takes the first, which may be a small picture of another.
        reason = "one of several videos in its file"
    return _with_pyav(location, reason) if reason else capture


def _with_pyav(location: str, reason: str) -> OpenVideo:
    """Opens a video with the second decoder.

    Raises:
        VideoError: If it is not installed; the message has the command that mends the
            file.
    """
    if pyav_capture.is_installed():
        return pyav_capture.PyavCapture(location)
    raise VideoError(
        "unreadable",
        f"it is {reason}, and PyAV, which decodes that, is not installed; "
        f"pip install av, or convert it: ffmpeg -i IN {_MENDED_BY[reason]}{_CODER} "
        "OUT.mp4",
    )


def _why_not_opencv(
    capture: OpenCVCapture,
    kind: FileKind,
    track: VideoTrack | None,
    first_packet: bytes,
) -> str | None:
    """Returns what a video has that OpenCV does not decode right; None if nothing.

    Args:
        capture: The video, opened by OpenCV.
        kind: The file's kind and first bytes.
        track: The tables of an MP4.
        first_packet: The first compressed frame, or its beginning.
    """
    is_matroska = kind.container == "matroska"
    header = kind.head.partition(_CLUSTER)[0] if is_matroska else b""
    codec, extradata = capture.codec_name.lower(), capture.extradata
    if codec == "av01":
        return "AV1"
    if not is_progressive(codec, extradata, first_packet):
        return "interlaced, or not known to be progressive"
    if kind.container == "mp4" and track is None:
        return "an MP4 whose tables cannot be read"
    if (
        (track is not None and not is_turn(track.matrix))
        or _PROJECTION in header
        or turns_pictures(codec, extradata, first_packet)
    ):
        return "mirrored by its display matrix, or by its codec"
    if not is_square(capture.pixel_aspect):
        return "of pixels that are not square"
    if capture.pixel_format in _ALPHA_FORMATS or _ALPHA_MODE in header:
        return "partly transparent"
    return None

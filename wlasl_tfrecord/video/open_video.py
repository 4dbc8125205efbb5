"""An open video: the file is looked at, and the decoder chosen that decodes it right.

OpenCV decodes most videos right, and some wrong, and reports success for both. An
interlaced frame becomes memory that nobody wrote, a mirror image is turned as if it
were none, pixels that are wider than high are taken as square, colours of a wide gamut
or a high dynamic range depend on its release. So what a file says of itself is read
first, from its headers, and OpenCV is taken only where they rule all that out.
Everything else goes to PyAV.
"""

from collections.abc import Callable, Container, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.video import pyav_container
from wlasl_tfrecord.video.capture import OpenCVCapture
from wlasl_tfrecord.video.codec_headers import is_progressive, turns_pictures
from wlasl_tfrecord.video.colours import (
    are_plain,
    colours_of_boxes,
    colours_of_matroska,
    colours_of_stream,
    is_only_for_dolby,
)
from wlasl_tfrecord.video.file_kind import FileKind, file_kind
from wlasl_tfrecord.video.mp4_boxes import VideoTrack, read_video_track
from wlasl_tfrecord.video.orientation import is_square, is_turn
from wlasl_tfrecord.video.packets import read_packets
from wlasl_tfrecord.video.pyav_capture import PyavCapture

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
        wanted: Container[int],
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
    "of other colours than those of BT.709 (HDR or a wide gamut)": (
        "-vf zscale=t=linear:npl=203,format=gbrpf32le,tonemap=mobius,"
        "zscale=p=bt709:t=bt709:m=bt709:r=tv "
    ),
    "of frames that are described in several ways": "",
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
    if is_only_for_dolby(track.boxes if track else {}, _matroska_header(kind)):
        raise VideoError(
            "unreadable",
            "Dolby Vision of profile 5, whose colours only a player of Dolby Vision "
            "shows; convert it with ffmpeg -i IN -vf libplacebo=colorspace=bt709:"
            "color_primaries=bt709:color_trc=bt709 -c:v libx264 -crf 17 -pix_fmt "
            "yuv420p OUT.mp4",
        )
    try:
        capture = OpenCVCapture(location)
    except VideoError:
        if not pyav_container.is_installed():
            raise
        # It opens it after all, or finds a better reason.
        return PyavCapture(location)
    if track is not None and track.frame_times is not None:
        key_packets, is_first = track.key_samples, track.is_only_one
        capture.frame_times = track.frame_times
        capture.num_promised_frames = len(track.frame_times)
    elif kind.container != "avi" and pyav_container.is_installed():
        packets = read_packets(location)
        key_packets, is_first = packets.key_packets, packets.is_first
        capture.frame_times = packets.frame_times
        capture.num_promised_frames = packets.num_promised_frames
    else:
        # An AVI has neither times nor matrices.
        key_packets, is_first = (), True
    reason = _why_not_opencv(capture, kind, track, key_packets)
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
    if pyav_container.is_installed():
        return PyavCapture(location)
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
    key_packets: Sequence[bytes],
) -> str | None:
    """Returns what a video has that OpenCV does not decode right; None if nothing.

    Args:
        capture: The video, opened by OpenCV.
        kind: The file's kind and first bytes.
        track: The tables of an MP4.
        key_packets: The compressed key frames, or their beginnings.
    """
    header = _matroska_header(kind)
    codec, extradata = capture.codec_name.lower(), capture.extradata
    if codec == "av01":
        return "AV1"
    if not is_progressive(codec, extradata, key_packets):
        return "interlaced, or not known to be progressive"
    if kind.container == "mp4" and track is None:
        return "an MP4 whose tables cannot be read"
    if track is not None and not track.has_one_entry:
        return "of frames that are described in several ways"
    if (
        (track is not None and not is_turn(track.matrix))
        or _PROJECTION in header
        or turns_pictures(codec, extradata, key_packets)
    ):
        return "mirrored by its display matrix, or by its codec"
    if not is_square(capture.pixel_aspect):
        return "of pixels that are not square"
    if capture.pixel_format in _ALPHA_FORMATS or _ALPHA_MODE in header:
        return "partly transparent"
    if not _has_plain_colours(codec, extradata, track, header, key_packets):
        return "of other colours than those of BT.709 (HDR or a wide gamut)"
    return None


def _has_plain_colours(
    codec: str,
    extradata: bytes,
    track: VideoTrack | None,
    header: bytes,
    key_packets: Sequence[bytes],
) -> bool:
    """Returns whether all colours that a file names are plain."""
    named = colours_of_matroska(header)
    named += colours_of_boxes(track.boxes) if track is not None else []
    try:
        named += colours_of_stream(codec, extradata, key_packets)
    except (IndexError, ValueError):
        # Nobody knows: PyAV asks each frame.
        return False
    return all(map(are_plain, named))


def _matroska_header(kind: FileKind) -> bytes:
    """Returns what a Matroska file has before its first frame; nothing of others."""
    return kind.head.partition(_CLUSTER)[0] if kind.container == "matroska" else b""

"""The second decoder: PyAV, for the videos that OpenCV does not decode right.

Its FFmpeg decodes AV1, deinterlaces, and reports transparency, display matrices and the
time of each frame. Of a video that both decode, their pixels are the same, bit by bit.
PyAV is imported only when a video needs it: 45 ms and 15 MB in each process.
"""

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.video.capture import MAX_FPS, MAX_FRAMES
from wlasl_tfrecord.video.file_kind import FFMPEG_FORMATS, NO_VIDEO
from wlasl_tfrecord.video.orientation import Orientation, orientation_of, shown_frame

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

__all__ = ["Packets", "PyavCapture", "is_installed", "open_pyav", "read_packets"]

Frame = NDArray[np.uint8]

# FFmpeg's AV_LOG_QUIET.
_SILENT = "-8"
# The decoders that FFmpeg does not choose by itself: its own know no transparency.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# One frame a frame, whose other field is found from the frames around it; a frame that
# is not marked as interlaced is left as it is.
_DEINTERLACER = ("bwdif", "mode=send_frame:parity=auto:deint=interlaced")


def is_installed() -> bool:
    """Returns whether PyAV can be imported, without importing it."""
    return importlib.util.find_spec("av") is not None


@dataclass(frozen=True, kw_only=True)
class Packets:
    """What the compressed frames of a video say, none of them decoded.

    Attributes:
        frame_times: float64 [N], the seconds from the first frame to each, never
            decreasing; None if the container does not tell.
        num_promised_frames: How many there are; or, where the file ends before the
            time that its header names, how many there would be by then.
        first_packet: The first of them.
        is_first: Whether they are of the file's first video stream.
    """

    frame_times: NDArray[np.float64] | None
    num_promised_frames: int
    first_packet: bytes
    is_first: bool


def read_packets(location: str) -> Packets:
    """Reads the compressed frames of a video: 20 times cheaper than decoding them.

    Args:
        location: The file's path.

    Raises:
        VideoError: If it is no video that FFmpeg knows, or holds none.
    """
    with open_pyav(location) as container:
        stream = _video_stream(container)
        is_vp8 = stream.codec_context.name in ("vp8", "libvpx")
        unit = float(stream.time_base or 0)
        times: list[int | None] = []
        first, end_seconds = b"", 0.0
        # Of sound, too: its end may be the one that the header means.
        for packet in _packets(container, *container.streams):
            if packet.pts is not None:
                seconds = float(packet.pts * packet.time_base)
                end_seconds = max(end_seconds, seconds)
            # VP8 has frames that are only referred to, in packets of their own.
            if (
                packet.stream is not stream
                or not packet.size
                or packet.is_discard
                or (is_vp8 and not bytes(packet)[0] & 0x10)
            ):
                continue
            first = first or bytes(packet)
            times.append(packet.pts)
        frame_times = _seconds(times, unit)
        return Packets(
            frame_times=frame_times,
            num_promised_frames=_promised(container, frame_times, end_seconds)
            or len(times),
            first_packet=first,
            is_first=stream is container.streams.video[0],
        )


def _promised(
    container: "InputContainer",
    frame_times: NDArray[np.float64] | None,
    end_seconds: float,
) -> int:
    """Returns how many frames a file that was cut off would have; 0 if it is whole."""
    import av

    if frame_times is None or len(frame_times) < 2 or not container.duration:
        return 0
    seconds = container.duration / av.time_base
    step = frame_times[-1] / (len(frame_times) - 1)
    # Files end a few frames earlier than their headers say.
    if not step or seconds - end_seconds <= 5 * step:
        return 0
    count = round(seconds / step)
    return count if count < MAX_FRAMES else 0


class PyavCapture:
    """A video that PyAV decodes.

    Attributes:
        fps: Frames per second, as the file says; 0 if it does not.
        num_promised_frames: See `Packets`.
        frame_times: float64 [N], the seconds from the first frame to each; after a
            video was decoded to its end, those of the decoded frames. None if the
            container does not tell.
        codec_name: FFmpeg's name of the codec.
    """

    def __init__(self, location: str) -> None:
        """Reads what the file says, and decodes nothing.

        Raises:
            VideoError: If it is no video that FFmpeg knows, or holds none.
        """
        packets = read_packets(location)
        self.num_promised_frames = packets.num_promised_frames
        self.frame_times = packets.frame_times
        self._location = location
        with open_pyav(location) as container:
            stream = _video_stream(container)
            fps = float(stream.average_rate or stream.guessed_rate or 0)
            self.fps = fps if fps <= MAX_FPS else 0.0
            self.codec_name = stream.codec_context.codec.canonical_name

    def grab_frames(
        self,
        wanted: set[int],
        stop: int | None,
        keep: Callable[[int, Frame], None],
    ) -> int:
        """Decodes the video from its first frame on; see `capture.grab_frames`.

        Frames are kept as they are shown: deinterlaced, turned, with square pixels, on
        black where they are transparent.
        """
        import av.error
        from av.video.reformatter import VideoReformatter

        number = 0
        times: list[int | None] = []
        try:
            with open_pyav(self._location) as container:
                stream = _video_stream(container)
                pixel_aspect = float(stream.sample_aspect_ratio or 1) or 1.0
                # An interlaced frame of HEVC is one of its fields, half as high.
                has_fields = stream.codec_context.codec.canonical_name == "hevc"
                decoded = _decoded(container, stream)
                frames = decoded if has_fields else _deinterlaced(decoded)
                orientation, reformatter = Orientation(), VideoReformatter()
                for frame in frames:
                    # A codec says it with its key frames only.
                    orientation = _orientation(frame) or orientation
                    if stop is not None and number >= stop:
                        return number
                    if number in wanted:
                        is_field = has_fields and frame.interlaced_frame
                        turned = shown_frame(
                            _pixels(frame, reformatter),
                            orientation,
                            pixel_aspect / 2 if is_field else pixel_aspect,
                        )
                        keep(number, turned)
                    times.append(frame.pts)
                    number += 1
                if stop is None:
                    base = float(stream.time_base or 0)
                    self.frame_times = _seconds(times, base)
        except (MemoryError, OSError):
            raise
        except (av.error.FFmpegError, ValueError) as error:
            raise VideoError(
                "unreadable", f"frame {number} cannot be converted: {_reason(error)}"
            ) from error
        return number


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
            f"PyAV, which decodes it, cannot be imported ({_reason(error)}); "
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


def _video_stream(container: "InputContainer") -> "av.VideoStream":
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


def _packets(container: "InputContainer", *streams: Any) -> Iterator[Any]:
    """Yields the packets of streams, up to where the file is damaged."""
    import av.error

    try:
        yield from container.demux(*streams)
    except av.error.FFmpegError as error:
        if isinstance(error, MemoryError | OSError):
            raise


def _decoded(container: "InputContainer", stream: "av.VideoStream") -> Iterator[Any]:
    """Yields the frames that can be decoded, in the order in which they are shown."""
    import av

    context: Any = stream.codec_context
    name = _ALPHA_DECODERS.get(context.name)
    if name is not None and stream.metadata.get("alpha_mode") == "1":
        context = av.CodecContext.create(name, "r")
        context.thread_count = 1
        context.extradata = stream.codec_context.extradata
    for packet in _packets(container, stream):
        yield from _frames_of(context, packet)


def _frames_of(context: Any, packet: Any) -> Iterator[Any]:
    """Yields the frames that a packet finishes; none if it is damaged."""
    import av.error

    try:
        yield from context.decode(packet if packet.size else None)
    except av.error.FFmpegError as error:
        # A damaged packet is not the end: OpenCV takes the next one, too.
        if isinstance(error, MemoryError | OSError):
            raise


def _deinterlaced(frames: Iterator[Any]) -> Iterator[Any]:
    """Yields as many frames, none of them interlaced."""
    graph: Any = None
    kind: tuple[int, int, str] | None = None
    for frame in frames:
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        now = (frame.width, frame.height, frame.format.name)
        if graph is None or now != kind:
            if graph is not None:
                graph.push(None)
                yield from _pulled(graph)
            graph, kind = _deinterlacer(frame), now
        graph.push(frame)
        yield from _pulled(graph)
    if graph is not None:
        graph.push(None)
        yield from _pulled(graph)


def _deinterlacer(frame: Any) -> Any:
    """Builds a graph of filters for frames like this one."""
    import av.filter

    graph = av.filter.Graph()
    # Workers are as many as cores already.
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base,
    )
    deinterlacer, sink = graph.add(*_DEINTERLACER), graph.add("buffersink")
    source.link_to(deinterlacer)
    deinterlacer.link_to(sink)
    graph.configure()
    return graph


def _pulled(graph: Any) -> Iterator[Any]:
    """Yields the frames that a graph has finished."""
    import av.error

    with contextlib.suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            yield graph.pull()


def _pixels(frame: Any, reformatter: Any) -> Frame:
    """Converts a decoded frame to uint8 [height, width, 3], BGR.

    Args:
        frame: The frame.
        reformatter: What has converted those before: its tables fit the next one, too.
    """
    has_alpha = any(component.is_alpha for component in frame.format.components)
    if not (has_alpha or frame.format.has_palette):
        return _converted(frame, reformatter, "bgr24")
    pixels = _converted(frame, reformatter, "bgra")
    alpha = pixels[..., 3:].astype(np.uint16)
    return ((pixels[..., :3] * alpha + 127) // 255).astype(np.uint8)


def _converted(frame: Any, reformatter: Any, pixel_format: str) -> Frame:
    """Converts a frame as OpenCV does, to the bit: colour in between is bicubic."""
    converted = reformatter.reformat(
        frame, format=pixel_format, interpolation="BICUBIC", threads=1
    )
    return converted.to_ndarray()


def _orientation(frame: Any) -> Orientation | None:
    """Returns how its container or codec turns a frame; None if they do not say."""
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return None
    a, b, _, c, d = np.frombuffer(bytes(side_data), "=i4", 5) / 65536
    return orientation_of((float(a), float(b), float(c), float(d)))


def _seconds(times: list[int | None], unit: float) -> NDArray[np.float64] | None:
    """Converts times in units of the stream to seconds from the first, in order."""
    if not times or None in times or not unit:
        return None
    known = np.sort(np.array(times, np.float64))
    return (known - known[0]) * unit


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())

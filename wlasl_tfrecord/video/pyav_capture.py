"""The second decoder: PyAV, for the videos that OpenCV does not decode right.

Its FFmpeg decodes AV1, deinterlaces, converts colours, and reports transparency,
display matrices and the time of each frame. Of a video that both decode, their pixels
are the same, bit by bit.
"""

from collections.abc import Callable, Container, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.video.capture import MAX_FPS
from wlasl_tfrecord.video.colour_conversion import to_bt709
from wlasl_tfrecord.video.colours import Colours, need_conversion
from wlasl_tfrecord.video.deinterlacing import deinterlaced
from wlasl_tfrecord.video.orientation import Orientation, orientation_of, shown_frame
from wlasl_tfrecord.video.packets import read_packets, seconds_of
from wlasl_tfrecord.video.pyav_container import (
    one_line,
    open_pyav,
    packets_of,
    video_stream,
)

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

__all__ = ["PyavCapture"]

Frame = NDArray[np.uint8]

# The decoders that FFmpeg does not choose by itself: its own know no transparency.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


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
            stream = video_stream(container)
            fps = float(stream.average_rate or stream.guessed_rate or 0)
            self.fps = fps if fps <= MAX_FPS else 0.0
            self.codec_name = stream.codec_context.codec.canonical_name

    def grab_frames(
        self,
        wanted: Container[int],
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
                stream = video_stream(container)
                pixel_aspect = float(stream.sample_aspect_ratio or 1) or 1.0
                # An interlaced frame of HEVC is one of its fields, half as high.
                has_fields = stream.codec_context.codec.canonical_name == "hevc"
                decoded = _decoded(container, stream)
                frames = decoded if has_fields else deinterlaced(decoded)
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
                    self.frame_times = seconds_of(times, base)
        except (MemoryError, OSError):
            raise
        except (av.error.FFmpegError, ValueError) as error:
            raise VideoError(
                "unreadable", f"frame {number} cannot be converted: {one_line(error)}"
            ) from error
        return number


def _decoded(container: "InputContainer", stream: "av.VideoStream") -> Iterator[Any]:
    """Yields the frames that can be decoded, in the order in which they are shown."""
    import av

    context: Any = stream.codec_context
    name = _ALPHA_DECODERS.get(context.name)
    if name is not None and stream.metadata.get("alpha_mode") == "1":
        context = av.CodecContext.create(name, "r")
        context.thread_count = 1
        context.extradata = stream.codec_context.extradata
    for packet in packets_of(container, stream):
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


def _pixels(frame: Any, reformatter: Any) -> Frame:
    """Converts a decoded frame to uint8 [height, width, 3], BGR of BT.709.

    Args:
        frame: The frame.
        reformatter: What has converted those before: its tables fit the next one, too.
    """
    colours = Colours(int(frame.color_primaries), int(frame.color_trc))
    is_converted = need_conversion(colours)
    has_alpha = any(component.is_alpha for component in frame.format.components)
    if has_alpha or frame.format.has_palette:
        pixels = _converted(frame, reformatter, "bgra")
        shown = pixels[..., :3]
        if is_converted:
            shown = to_bt709(shown.astype(np.uint16) * 257, colours)
        alpha = pixels[..., 3:].astype(np.uint16)
        return ((shown * alpha + 127) // 255).astype(np.uint8)
    if is_converted:
        return to_bt709(_converted(frame, reformatter, "bgr48le"), colours)
    return _converted(frame, reformatter, "bgr24")


def _converted(frame: Any, reformatter: Any, pixel_format: str) -> NDArray[Any]:
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

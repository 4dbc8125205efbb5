"""Videos of every kind, encoded by PyAV, for tests: cv2.VideoWriter knows but a few."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
from av.bitstream import BitStreamFilterContext
from numpy.typing import NDArray

CORNERS = {
    "red": (230, 30, 30),
    "green": (30, 230, 30),
    "blue": (30, 30, 230),
    "yellow": (230, 230, 30),
}


def draw_corners(
    number: int, height: int = 120, width: int = 160, step: int = 5
) -> NDArray[np.uint8]:
    """Draws a frame whose orientation and number can be read back, uint8 [H, W, 3] RGB.

    Top left is red, top right green, bottom left blue, bottom right yellow. The middle
    is grey, `step` levels brighter in each frame.
    """
    frame = np.zeros((height, width, 3), np.uint8)
    top, left = slice(0, height // 2), slice(0, width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    frame[top, left], frame[top, right] = CORNERS["red"], CORNERS["green"]
    frame[bottom, left], frame[bottom, right] = CORNERS["blue"], CORNERS["yellow"]
    rows = slice(3 * height // 10, 7 * height // 10)
    frame[rows, 3 * width // 10 : 7 * width // 10] = 20 + step * number
    return frame


def read_corners(frame: NDArray[np.uint8]) -> str:
    """Names the corners of a frame, uint8 [H, W, 3] RGB: TL, TR, BL, BR, by letter."""
    height, width = frame.shape[:2]
    names = []
    for row in (height // 8, height - height // 8):
        for column in (width // 8, width - width // 8):
            colour = frame[row, column].astype(int)
            name, away = min(
                (
                    (name, np.abs(colour - wanted).max())
                    for name, wanted in CORNERS.items()
                ),
                key=lambda pair: pair[1],
            )
            names.append(name[0].upper() if away < 40 else "?")
    return "".join(names)


def read_level(frame: NDArray[np.uint8]) -> float:
    """Returns the brightness of the middle of a frame, uint8 [H, W, 3]."""
    height, width = frame.shape[:2]
    middle = frame[
        height * 9 // 20 : height * 11 // 20, width * 9 // 20 : width * 11 // 20
    ]
    return float(middle.mean())


def encode_video(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    fps: int = 25,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    pixel_aspect: Fraction | None = None,
    matrix: Sequence[float] | None = None,
    times_ms: Sequence[int] | None = None,
    input_format: str = "rgb24",
    interlaced: bool = False,
    colours: dict[str, Any] | None = None,
) -> Path:
    """Writes a video file of any kind that FFmpeg can write, and returns its path.

    Args:
        path: The file; its suffix names the container.
        frames: uint8 [N, H, W, C] in `input_format`.
        codec: FFmpeg's name of the encoder.
        pix_fmt: The pixel format that is encoded.
        fps: Frames per second.
        options: Options of the encoder.
        container_options: Options of the container.
        pixel_aspect: Width over height of a pixel.
        matrix: a, b, c, d of the display matrix.
        times_ms: The instant of each frame, instead of a constant rate.
        input_format: FFmpeg's name of the format of `frames`.
        interlaced: Whether the frames are marked as interlaced, top field first.
        colours: Attributes of the codec's context that name its colours.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if times_ms is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for name, value in (colours or {}).items():
            setattr(stream.codec_context, name, value)
        if matrix is not None:
            stream.set_display_matrix(_nine(matrix))
        marking = _marking(stream, interlaced)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(pixels), format=input_format
            ).reformat(format=pix_fmt, **_reformat_colours(colours))
            frame.pts = number if times_ms is None else times_ms[number]
            frame.time_base = (
                Fraction(1, 1000) if times_ms is not None else Fraction(1, fps)
            )
            container.mux(stream.encode(marking(frame)))
        container.mux(stream.encode(None))
    return path


def _nine(matrix: Sequence[float]) -> list[int]:
    """Returns the display matrix in FFmpeg's layout: 16.16, the last column 2.30."""
    a, b, c, d = (round(65536 * number) for number in matrix)
    return [a, b, 0, c, d, 0, 0, 0, 1 << 30]


def _reformat_colours(colours: dict[str, Any] | None) -> dict[str, Any]:
    """Returns the colour space that frames are converted to, as `reformat` takes it."""
    return {"dst_colorspace": (colours or {}).get("colorspace")}


def _marking(stream: Any, interlaced: bool) -> Any:
    """Returns a function that marks frames as interlaced, or leaves them alone."""
    if not interlaced:
        return lambda frame: frame
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=stream.width,
        height=stream.height,
        format=stream.pix_fmt,
        time_base=Fraction(1, 25),
    )
    field = graph.add("setfield", "tff")
    sink = graph.add("buffersink")
    source.link_to(field)
    field.link_to(sink)
    graph.configure()

    def mark(frame: av.VideoFrame) -> av.VideoFrame:
        graph.push(frame)
        marked: Any = graph.pull()
        marked.pts, marked.time_base = frame.pts, frame.time_base
        return marked

    return mark


def add_display_orientation(source: Path, target: Path, turn: str) -> Path:
    """Copies a video of H.264, and adds SEI messages that turn its pictures.

    Args:
        source: The video.
        target: The copy, which is returned.
        turn: Options of FFmpeg's filter h264_metadata, such as "rotate=90".
    """
    options = f"h264_metadata=display_orientation=insert:{turn}"
    with av.open(str(source)) as opened, av.open(str(target), "w") as written:
        stream = opened.streams.video[0]
        copy = written.add_stream_from_template(stream)
        adding = BitStreamFilterContext(options, stream)
        for packet in opened.demux(stream):
            for changed in adding.filter(packet) if packet.size else []:
                changed.stream = copy
                written.mux(changed)
    return target


def put_before_first_frame(source: Path, target: Path, unit: bytes) -> Path:
    """Copies a video of H.264 or HEVC in an MP4, with a unit before its first frame."""
    with av.open(str(source)) as opened, av.open(str(target), "w") as written:
        stream = opened.streams.video[0]
        copy = written.add_stream_from_template(stream)
        prefix = len(unit).to_bytes(4, "big") + unit
        for packet in opened.demux(stream):
            if not packet.size:
                continue
            changed = av.Packet(prefix + bytes(packet))
            prefix = b""
            changed.pts, changed.dts = packet.pts, packet.dts
            changed.time_base, changed.duration = packet.time_base, packet.duration
            changed.is_keyframe = packet.is_keyframe
            changed.stream = copy
            written.mux(changed)
    return target

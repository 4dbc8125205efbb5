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


# Colours of patches that `encode_patches` draws, RGB.
PATCHES = np.array(
    [
        *((230, 30, 30), (30, 230, 30), (30, 30, 230), (230, 230, 30)),
        *((128, 128, 128), (16, 16, 16), (255, 255, 255), (0, 0, 0)),
        *((200, 120, 60), (60, 120, 200)),
    ],
    np.float64,
)
# Luma of red and of blue, by the number of the matrix in ITU-T H.273.
_LUMA = {1: (0.2126, 0.0722), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
_BT601_LUMA = (0.299, 0.114)
_LOSSLESS = {
    "libx264": {"qp": "0"},
    "libx265": {"x265-params": "log-level=none:lossless=1"},
    "libvpx-vp9": {"lossless": "1"},
}


def encode_patches(
    path: Path,
    *,
    values: NDArray[np.float64] | None = None,
    matrix: int = 2,
    full_range: bool = False,
    bits: int = 8,
    codec: str = "libx264",
    primaries: int = 2,
    transfer: int = 2,
    parameters: str = "",
    interlaced: bool = False,
) -> Path:
    """Writes patches of 32 x 32 pixels, their YCbCr by hand and without any loss.

    Args:
        path: The file; its suffix names the container.
        values: float64 [N, 3], R'G'B' from 0 to 1; by default those of `PATCHES`.
        matrix: The number of the matrix; 2, unspecified, is encoded by BT.601.
        full_range: Whether 0 is black, and the largest number white.
        bits: Of each number, 8 or 10.
        codec: FFmpeg's name of the encoder.
        primaries: The number of the primaries, which are only named.
        transfer: The number of the transfer function, which is only named.
        parameters: Further ones of x264 or x265.
        interlaced: Whether frames are coded as fields, and marked so.
    """
    signal = PATCHES / 255 if values is None else np.clip(values, 0, 1)
    planes = _ycbcr(signal, _LUMA.get(matrix, _BT601_LUMA), full_range, bits)
    pix_fmt = "yuv420p" if bits == 8 else "yuv420p10le"
    options = {**_LOSSLESS[codec]}
    if codec == "libx265":
        options["x265-params"] += f":{parameters}" if parameters else ""
    elif parameters or interlaced:
        options["x264-params"] = parameters or "interlaced=1:tff=1"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 32 * len(signal), 32, pix_fmt
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, 2 if full_range else 1
        context.color_primaries, context.color_trc = primaries, transfer
        marking = _marking(stream, interlaced)
        for number in range(3):
            frame: Any = av.VideoFrame(stream.width, stream.height, pix_fmt)
            for plane, row in zip(frame.planes, planes):
                shape = (plane.height, plane.line_size // row.itemsize)
                pixels = np.zeros(shape, row.dtype)
                width = 32 if plane.width == stream.width else 16
                pixels[:, : plane.width] = np.repeat(row, width)
                plane.update(pixels.tobytes())
            frame.pts, frame.time_base = number, Fraction(1, 25)
            frame.colorspace, frame.color_range = matrix, 2 if full_range else 1
            container.mux(stream.encode(marking(frame)))
        container.mux(stream.encode(None))
    return path


def _ycbcr(
    signal: NDArray[np.float64],
    luma: tuple[float, float],
    full_range: bool,
    bits: int,
) -> list[NDArray[Any]]:
    """Returns Y, Cb and Cr of R'G'B' from 0 to 1, each [N], by ITU-T H.273."""
    red, blue = luma
    y = signal @ [red, 1 - red - blue, blue]
    chroma = [
        (signal[:, channel] - y) / (2 * (1 - weight))
        for channel, weight in ((2, blue), (0, red))
    ]
    unit, largest = 1 << (bits - 8), (1 << bits) - 1
    if full_range:
        planes = [y * largest, *(c * largest + 128 * unit for c in chroma)]
    else:
        planes = [(16 + 219 * y) * unit, *((128 + 224 * c) * unit for c in chroma)]
    dtype = np.uint8 if bits == 8 else np.uint16
    return [np.clip(np.rint(plane), 0, largest).astype(dtype) for plane in planes]


def header_of(path: Path) -> tuple[bytes, bytes]:
    """Returns the decoder's configuration of a video, and its first packet."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packet = next(container.demux(stream))
        return bytes(stream.codec_context.extradata or b""), bytes(packet)


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

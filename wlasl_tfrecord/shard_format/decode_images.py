"""Encoded images decoded into NumPy arrays, without TensorFlow.

The pixels are those of `decode_frames`: the same inverse DCT and the same upsampling.
"""

import contextlib
import struct
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

__all__ = ["decode_image"]

# The chunks of an animated PNG.
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})


def decode_image(image: memoryview, codec: str, out: NDArray[np.uint8]) -> None:
    """Decodes one image of a record into memory that is there already.

    The size in the image's header is compared before anything is decoded: a small
    image can claim to be gigabytes large.

    Args:
        image: The encoded image.
        codec: "jpeg" or "png".
        out: uint8 [H, W, 3], contiguous; RGB afterwards.

    Raises:
        ValueError: If it is no such image, or of another size.
    """
    size = _jpeg_size(image) if codec == "jpeg" else _png_size(image)
    if size != out.shape[:2]:
        raise ValueError(f"an image is {size[1]} x {size[0]} pixels")
    if codec == "jpeg":
        # Twice as fast as TensorFlow's decoder, and the lock of Python is free.
        with _whole_jpeg():
            simplejpeg.decode_jpeg(image, "RGB", fastdct=False, buffer=out)
        return
    frame = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if frame is None:
        raise ValueError("an image cannot be decoded")
    cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=out)


def _jpeg_size(image: memoryview) -> tuple[int, int]:
    """Reads the height and width in the header of a JPEG."""
    with _whole_jpeg():
        header: tuple[Any, ...] = simplejpeg.decode_jpeg_header(image)
    return header[0], header[1]


@contextlib.contextmanager
def _whole_jpeg() -> Iterator[None]:
    """Starts every error of libjpeg-turbo in the same way: its words differ."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"an image is not a whole JPEG: {error}") from error


def _png_size(image: memoryview) -> tuple[int, int]:
    """Reads the height and width in the header of a PNG, and checks its chunks.

    OpenCV takes as much memory as a chunk says that it has bytes, up to 4 GiB. And it
    decodes animations, whose frames have sizes of their own.
    """
    if bytes(image[:8]) != b"\x89PNG\r\n\x1a\n":
        raise ValueError("an image is not a PNG")
    at, kinds = 8, []
    while at < len(image) and (not kinds or kinds[-1] != b"IEND"):
        if at + 12 > len(image):
            raise ValueError("an image ends within a chunk")
        num_bytes, kind = struct.unpack(">I4s", image[at : at + 8])
        at += 12 + num_bytes
        if at > len(image):
            raise ValueError(f"an image has a chunk of {num_bytes} bytes")
        kinds.append(kind)
    is_first = [kind == b"IHDR" for kind in kinds]
    if not kinds or is_first != [True] + [False] * (len(kinds) - 1):
        raise ValueError("an image does not have one header")
    if not _ANIMATION.isdisjoint(kinds):
        raise ValueError("an image is animated")
    width, height = struct.unpack(">II", image[16:24])
    return height, width

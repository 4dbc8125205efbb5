"""Encoded images decoded into NumPy arrays, without TensorFlow.

The pixels are those of `decode_frames`: the same inverse DCT and the same upsampling.
"""

import struct
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

__all__ = ["decode_image"]

# The chunks of an animated PNG.
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
# Chunks of text, all of which libpng expands, up to 8 MB each, and how many bytes of
# them an image may have: they expand to a thousand times as many.
_COMPRESSED_TEXT = frozenset({b"zTXt", b"iTXt"})
_MOST_TEXT_BYTES = 4096


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
    if codec == "jpeg":
        _decode_jpeg(image, out)
        return
    size = _png_size(image)
    if size != out.shape[:2]:
        raise _other_size(size)
    frame = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if frame is None:
        raise ValueError("an image cannot be decoded")
    cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=out)


def _decode_jpeg(image: memoryview, out: NDArray[np.uint8]) -> None:
    """Decodes a JPEG in a single call, which reads the size in the header first.

    The lock of Python is free meanwhile. What is done between two such calls is done
    under it, and threads that decode wait for each other: so there is little of it.
    """
    try:
        decoded = simplejpeg.decode_jpeg(image, "RGB", buffer=out)
    except ValueError as error:
        _check_jpeg_size(image, out)
        raise _no_jpeg(error) from error
    if decoded.shape != out.shape:
        raise _other_size(decoded.shape)


def _check_jpeg_size(image: memoryview, out: NDArray[np.uint8]) -> None:
    """Refuses a JPEG that is of another size by its header."""
    try:
        header: tuple[Any, ...] = simplejpeg.decode_jpeg_header(image)
    except ValueError as error:
        raise _no_jpeg(error) from error
    if header[:2] != out.shape[:2]:
        raise _other_size(header)


def _no_jpeg(error: ValueError) -> ValueError:
    """Starts every error of libjpeg-turbo in the same way: its words differ."""
    return ValueError(f"an image is not a whole JPEG: {error}")


def _other_size(size: tuple[Any, ...]) -> ValueError:
    """Returns the error for an image of another height and width."""
    return ValueError(f"an image is {size[1]} x {size[0]} pixels")


def _png_size(image: memoryview) -> tuple[int, int]:
    """Reads the height and width in the header of a PNG, and checks its chunks.

    OpenCV takes as much memory as a chunk says that it has bytes, up to 4 GiB. And it
    decodes animations, whose frames have sizes of their own, and expands all texts.
    """
    if bytes(image[:8]) != b"\x89PNG\r\n\x1a\n":
        raise ValueError("an image is not a PNG")
    at, kinds, text_bytes = 8, [], 0
    while at < len(image) and (not kinds or kinds[-1] != b"IEND"):
        if at + 12 > len(image):
            raise ValueError("an image ends within a chunk")
        num_bytes, kind = struct.unpack(">I4s", image[at : at + 8])
        at += 12 + num_bytes
        if at > len(image):
            raise ValueError(f"an image has a chunk of {num_bytes} bytes")
        kinds.append(kind)
        text_bytes += num_bytes if kind in _COMPRESSED_TEXT else 0
    is_first = [kind == b"IHDR" for kind in kinds]
    if not kinds or is_first != [True] + [False] * (len(kinds) - 1):
        raise ValueError("an image does not have one header")
    if text_bytes > _MOST_TEXT_BYTES:
        raise ValueError(f"an image has {text_bytes} bytes of compressed text")
    if not _ANIMATION.isdisjoint(kinds):
        raise ValueError("an image is animated")
    width, height = struct.unpack(">II", image[16:24])
    return height, width

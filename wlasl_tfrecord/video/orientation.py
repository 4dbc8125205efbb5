"""Orientation: how a decoded picture is turned and stretched to be shown upright.

A display matrix maps a pixel's place (x, y) to a x + c y, b x + d y. Phones write one
of eight: four quarter turns, each of them mirrored or not, as front cameras do.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import VideoError

__all__ = ["Orientation", "is_square", "is_turn", "orientation_of", "shown_frame"]

Matrix = tuple[float, float, float, float]

# Of the larger of two numbers of a matrix that is no turn.
_TOLERANCE = 0.01
# A pixel that is 1 % wider than high: encoders round sizes, and no eye sees it. Of 852
# real clips four have pixels of 370:369.
_SQUARE_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """One of eight orientations: first swapped, then mirrored.

    Attributes:
        swaps_axes: Whether rows become columns.
        flips_columns: Whether left becomes right, after that.
        flips_rows: Whether top becomes bottom, after that.
    """

    swaps_axes: bool = False
    flips_columns: bool = False
    flips_rows: bool = False


def orientation_of(matrix: Matrix) -> Orientation:
    """Reads an orientation from a display matrix.

    Args:
        matrix: a, b, c, d. All 0 is taken as upright: some programs write no matrix.

    Raises:
        VideoError: If it shears the picture, or turns it by no multiple of 90 degrees.
    """
    a, b, c, d = matrix
    limit = _TOLERANCE * max(map(abs, matrix))
    if limit == 0:
        return Orientation()
    if abs(b) <= limit and abs(c) <= limit < min(abs(a), abs(d)):
        return Orientation(flips_columns=a < 0, flips_rows=d < 0)
    if abs(a) <= limit and abs(d) <= limit < min(abs(b), abs(c)):
        return Orientation(swaps_axes=True, flips_columns=c < 0, flips_rows=b < 0)
    numbers = ", ".join(f"{number:g}" for number in matrix)
    raise VideoError(
        "unreadable",
        f"its display matrix ({numbers}) is not a quarter turn; write it again "
        "with ffmpeg -display_rotation 0 -i IN -c copy OUT.mp4",
    )


def is_turn(matrix: Matrix) -> bool:
    """Returns whether a matrix only turns by a multiple of 90 degrees, or scales."""
    a, b, c, d = matrix
    return a == d and b == -c and (a == 0) != (b == 0)


def is_square(pixel_aspect: float) -> bool:
    """Returns whether a pixel's width over its height is 1, as near as it matters."""
    return abs(pixel_aspect - 1) <= _SQUARE_TOLERANCE


def shown_frame(
    frame: NDArray[np.uint8], orientation: Orientation, pixel_aspect: float
) -> NDArray[np.uint8]:
    """Returns a decoded frame as it is shown.

    Args:
        frame: uint8 [height, width, 3].
        orientation: How it is turned.
        pixel_aspect: Width over height of a pixel, before it is turned.

    Returns:
        uint8 [shown height, shown width, 3]. Of a frame with pixels that are not square
        the shorter side grows, so that nothing is lost.
    """
    height, width = frame.shape[:2]
    if not is_square(pixel_aspect):
        if pixel_aspect > 1:
            width = round(width * pixel_aspect)
        else:
            height = round(height / pixel_aspect)
        # Whoever takes frames of any size needs no limit but that of memory.
        resized = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
        frame = resized.astype(np.uint8, copy=False)
    if orientation == Orientation():
        return frame
    if orientation.swaps_axes:
        frame = frame.swapaxes(0, 1)
    if orientation.flips_columns:
        frame = frame[:, ::-1]
    if orientation.flips_rows:
        frame = frame[::-1]
    # OpenCV takes no array that runs backwards.
    return np.ascontiguousarray(frame)

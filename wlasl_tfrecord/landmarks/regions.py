"""Regions: turned squares of a frame that a network looks at.

Reference:
    MediaPipe's `RectTransformationCalculator`, `ImageToTensorCalculator` and
    `LandmarkProjectionCalculator`: https://github.com/google-ai-edge/mediapipe.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Region", "crop", "grown", "project", "region_of_box", "whole_frame"]

Points = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Region:
    """A square of a frame, turned about its centre.

    Attributes:
        x: Centre in pixels from the left.
        y: Centre in pixels from the top.
        size: Side in pixels.
        angle: How far it is turned clockwise, in radians.
    """

    x: float
    y: float
    size: float
    angle: float


def whole_frame(height: int, width: int) -> Region:
    """Returns the smallest square around a frame, in its middle."""
    return Region(x=width / 2, y=height / 2, size=max(height, width), angle=0.0)


def region_of_box(
    width: float, height: float, *, x: float, y: float, angle: float
) -> Region:
    """Returns the square around a turned box, with the same centre.

    Args:
        width: Side of the box along its own x axis, in pixels.
        height: Its other side.
        x: Centre in pixels from the left.
        y: Centre in pixels from the top.
        angle: How far it is turned clockwise, in radians.
    """
    return Region(x=x, y=y, size=max(width, height), angle=angle)


def grown(region: Region, scale: float, shift: float = 0.0) -> Region:
    """Returns a larger region, moved along its own y axis.

    Args:
        region: The region.
        scale: How many times its size.
        shift: How far down, in sides of `region`; up if negative.
    """
    return Region(
        x=region.x - region.size * shift * math.sin(region.angle),
        y=region.y + region.size * shift * math.cos(region.angle),
        size=region.size * scale,
        angle=region.angle,
    )


def crop(
    frame: NDArray[np.uint8], region: Region, side: int, *, black_border: bool = False
) -> NDArray[np.uint8]:
    """Cuts a region out of a frame.

    Args:
        frame: uint8 [height, width, 3], BGR.
        region: What to cut out; may reach beyond the frame.
        side: Side of the result in pixels.
        black_border: Whether there is black beyond the frame; otherwise its outermost
            pixels repeat.

    Returns:
        uint8 [side, side, 3], RGB.
    """
    step = region.size / side
    along, across = step * math.cos(region.angle), step * math.sin(region.angle)
    # From a place in the result to one in the frame.
    matrix = np.array(
        [
            [along, -across, region.x - (along - across) * side / 2],
            [across, along, region.y - (across + along) * side / 2],
        ]
    )
    cut = cv2.warpAffine(
        frame,
        matrix,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT if black_border else cv2.BORDER_REPLICATE,
    )
    return cv2.cvtColor(cut, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def project(points: Points, region: Region) -> Points:
    """Returns where points of a region lie in the frame.

    Args:
        points: float32 [N, 2], x and y, from 0 to 1 within the region.
        region: The region.

    Returns:
        float32 [N, 2], pixels.
    """
    cos, sin = math.cos(region.angle), math.sin(region.angle)
    turn = region.size * np.array([[cos, sin], [-sin, cos]])
    placed = (points - 0.5) @ turn + np.array([region.x, region.y])
    return placed.astype(np.float32)

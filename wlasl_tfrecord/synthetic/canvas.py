"""An image that a signer is drawn on.

OpenCV's primitives with sub-pixel coordinates and antialiasing, so that a slow movement
moves smoothly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.synthetic.appearance import Color

__all__ = ["Canvas", "shade"]

# cv2 takes sub-pixel coordinates as integers with this many binary places.
_SHIFT = 4


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """An image that is drawn on in heads from the neck.

    Attributes:
        image: uint8 [H, W, 3], drawn on in place.
        head_pixels: Pixels of one head.
        neck: float64 [2], the origin in pixels.
    """

    image: NDArray[np.uint8]
    head_pixels: float
    neck: NDArray[np.float64]

    def pixels(self, points: Sequence[Sequence[float]]) -> NDArray[np.int32]:
        """Turns points in heads into cv2's sub-pixel integers, int32 [N, 2]."""
        exact = (np.asarray(points) * self.head_pixels + self.neck) * (1 << _SHIFT)
        return np.round(exact).astype(np.int32)

    def polygon(self, points: Sequence[Sequence[float]], color: Color) -> None:
        """Fills a polygon."""
        cv2.fillPoly(self.image, [self.pixels(points)], color, cv2.LINE_AA, _SHIFT)

    def disc(self, x: float, y: float, radius: float, color: Color) -> None:
        """Fills a circle."""
        center = self.pixels([(x, y)])[0].tolist()
        size = round(radius * self.head_pixels * (1 << _SHIFT))
        cv2.circle(self.image, center, size, color, cv2.FILLED, cv2.LINE_AA, _SHIFT)

    def ellipse(
        self, x: float, y: float, radius_x: float, radius_y: float, color: Color
    ) -> None:
        """Fills an upright ellipse."""
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        points = np.stack(
            [x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], axis=1
        )
        self.polygon(points.tolist(), color)

    def line(
        self, points: Sequence[Sequence[float]], width: float, color: Color
    ) -> None:
        """Draws a line of a width in heads, round at its ends."""
        thickness = max(1, round(width * self.head_pixels))
        line = [self.pixels(points)]
        cv2.polylines(self.image, line, False, color, thickness, cv2.LINE_AA, _SHIFT)

    def limb(
        self,
        start: NDArray[np.float64],
        stop: NDArray[np.float64],
        start_radius: float,
        stop_radius: float,
        color: Color,
    ) -> None:
        """Draws a tapered limb with a darker edge, to show before the body."""
        along = stop - start
        across = np.array([-along[1], along[0]]) / (np.hypot(*along) + 1e-9)
        for grow, factor in ((0.03, 0.72), (0.0, 1.0)):
            first, last = start_radius + grow, stop_radius + grow
            tone = shade(color, factor)
            outline = [
                start + across * first,
                stop + across * last,
                stop - across * last,
                start - across * first,
            ]
            self.polygon([point.tolist() for point in outline], tone)
            self.disc(start[0], start[1], first, tone)
            self.disc(stop[0], stop[1], last, tone)


def shade(color: Color, factor: float) -> Color:
    """Makes a colour darker or lighter."""
    red, green, blue = (min(round(channel * factor), 255) for channel in color)
    return red, green, blue

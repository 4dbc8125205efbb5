"""A drawn signer: how one looks, and one frame of one in a pose.

OpenCV's primitives with sub-pixel coordinates and antialiasing, so that a slow movement
moves smoothly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.poses import Hand, Pose

__all__ = ["Signer", "draw_background", "draw_frame"]

Color = tuple[int, int, int]

# cv2 takes sub-pixel coordinates as integers with this many binary places.
_SHIFT = 4

# Proportions of an adult in heads, about Loomis, "Figure Drawing", 1943.
_SHOULDER_X, _SHOULDER_Y = 0.86, 0.12
_UPPER_ARM, _FOREARM, _HAND = 1.4, 1.25, 0.86


@dataclass(frozen=True, kw_only=True)
class Signer:
    """How a signer, their room and their camera look.

    Attributes:
        signer_id: The number in the annotations.
        skin: RGB.
        hair: RGB.
        clothes: RGB.
        wall: RGB.
        furniture: RGB of what stands before the wall.
        room: What stands there: 0 nothing, 1 a window, 2 shelves, 3 stripes, 4 a door.
        long_hair: Whether the hair reaches the shoulders.
        long_sleeves: Whether the sleeves reach the wrists.
        glasses: Whether they wear glasses.
        width: Frame width in pixels.
        height: Frame height in pixels.
        fps: Frames per second of the camera.
        tempo: How fast they sign, 1 being usual.
        heads_high: Heads from the lower to the upper edge of the frame.
        center_x: Where the neck is, as a share of the width.
        light: Brightness, 1 being usual.
        noise: Standard deviation of the camera's noise, in grey levels.
    """

    signer_id: int
    skin: Color
    hair: Color
    clothes: Color
    wall: Color
    furniture: Color
    room: int
    long_hair: bool
    long_sleeves: bool
    glasses: bool
    width: int
    height: int
    fps: float
    tempo: float
    heads_high: float
    center_x: float
    light: float
    noise: float

    @property
    def head_pixels(self) -> float:
        """Pixels of one head."""
        return self.height / self.heads_high

    @property
    def neck(self) -> tuple[float, float]:
        """Where the origin of the poses is, in pixels."""
        # 1.5 heads from the origin to the crown, and a little air above it.
        return self.center_x * self.width, 1.62 * self.head_pixels


def draw_background(signer: Signer) -> NDArray[np.uint8]:
    """Draws the room behind a signer.

    Returns:
        uint8 [H, W, 3], RGB.
    """
    width, height = signer.width, signer.height
    # Lit from the upper left.
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    light = 1.06 - 0.1 * x - 0.12 * y
    image = np.clip(np.array(signer.wall) * light[..., None], 0, 255).astype(np.uint8)

    def box(left: float, top: float, right: float, bottom: float, color: Color) -> None:
        first = (round(left * width), round(top * height))
        last = (round(right * width), round(bottom * height))
        cv2.rectangle(image, first, last, color, cv2.FILLED)

    color = signer.furniture
    if signer.room == 1:
        box(0.68, 0.06, 0.97, 0.52, _shade(color, 0.6))
        box(0.70, 0.09, 0.815, 0.49, (206, 222, 236))
        box(0.835, 0.09, 0.95, 0.49, (198, 216, 232))
    elif signer.room == 2:
        for top in (0.18, 0.42, 0.66):
            box(0.0, top, 0.26, top + 0.025, _shade(color, 0.7))
            for book in range(6):
                left = 0.01 + 0.036 * book
                box(
                    left, top - 0.13, left + 0.03, top, _shade(color, 0.8 + 0.08 * book)
                )
    elif signer.room == 3:
        for stripe in range(0, 12, 2):
            box(stripe / 12, 0, (stripe + 1) / 12, 1, _shade(signer.wall, 0.9))
    elif signer.room == 4:
        box(0.03, 0.12, 0.27, 1.0, color)
        box(0.06, 0.17, 0.24, 0.5, _shade(color, 0.88))
        box(0.06, 0.56, 0.24, 0.95, _shade(color, 0.88))
    return image


def draw_frame(
    signer: Signer,
    pose: Pose,
    background: NDArray[np.uint8],
    *,
    shift: tuple[float, float] = (0.0, 0.0),
    noise: NDArray[np.int16] | None = None,
) -> NDArray[np.uint8]:
    """Draws a signer in a pose.

    Args:
        signer: How they look.
        pose: Where the hands are.
        background: uint8 [H, W, 3], RGB; what `draw_background` gave.
        shift: Pixels by which the body sways, right and down.
        noise: int16 [H, W, 3], added at the end.

    Returns:
        uint8 [H, W, 3], RGB.
    """
    image = background.copy()
    canvas = _Canvas(
        image=image,
        head_pixels=signer.head_pixels,
        neck=np.add(signer.neck, shift),
    )
    _draw_torso(canvas, signer)
    _draw_head(canvas, signer)
    # Both arms before the hands, which may touch the face or cross.
    for side, hand in ((-1, pose.right), (1, pose.left)):
        _draw_arm(canvas, signer, side, hand)
    for side, hand in ((-1, pose.right), (1, pose.left)):
        _draw_hand(canvas, signer, side, hand)
    if signer.light == 1 and noise is None:
        return image
    lit = image.astype(np.float32) * signer.light
    if noise is not None:
        lit += noise
    return np.clip(lit, 0, 255).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class _Canvas:
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
        for grow, shade in ((0.03, 0.72), (0.0, 1.0)):
            first, last = start_radius + grow, stop_radius + grow
            tone = _shade(color, shade)
            outline = [
                start + across * first,
                stop + across * last,
                stop - across * last,
                start - across * first,
            ]
            self.polygon([point.tolist() for point in outline], tone)
            self.disc(start[0], start[1], first, tone)
            self.disc(stop[0], stop[1], last, tone)


def _draw_torso(canvas: _Canvas, signer: Signer) -> None:
    """Draws neck, shoulders and chest."""
    canvas.limb(
        np.array([0.0, -0.35]),
        np.array([0.0, 0.1]),
        0.22,
        0.26,
        _shade(signer.skin, 0.9),
    )
    outline = [
        (-0.3, -0.08), (0.3, -0.08), (0.85, 0.02), (1.02, 0.3), (0.86, 1.3), (0.9, 3.6),
        (-0.9, 3.6), (-0.86, 1.3), (-1.02, 0.3), (-0.85, 0.02),
    ]  # fmt: skip
    canvas.polygon(outline, signer.clothes)
    canvas.polygon(
        [(-0.2, -0.09), (0.2, -0.09), (0.0, 0.16)], _shade(signer.skin, 0.95)
    )


def _draw_head(canvas: _Canvas, signer: Signer) -> None:
    """Draws hair, face and what is in it."""
    if signer.long_hair:
        canvas.ellipse(0, -0.72, 0.53, 0.74, signer.hair)
        canvas.polygon(
            [(-0.53, -0.7), (0.53, -0.7), (0.5, 0.1), (-0.5, 0.1)], signer.hair
        )
        canvas.limb(
            np.array([0.0, -0.3]), np.array([0.0, 0.0]), 0.21, 0.22, signer.skin
        )
    else:
        canvas.ellipse(0, -0.88, 0.45, 0.58, signer.hair)
    canvas.disc(-0.4, -0.68, 0.09, _shade(signer.skin, 0.9))
    canvas.disc(0.4, -0.68, 0.09, _shade(signer.skin, 0.9))
    canvas.ellipse(0, -0.68, 0.39, 0.5, signer.skin)
    # The fringe.
    canvas.polygon(
        [(-0.37, -0.88), (0.0, -1.22), (0.37, -0.88), (0.1, -1.0)], signer.hair
    )
    for x in (-0.15, 0.15):
        canvas.ellipse(x, -0.74, 0.065, 0.04, (245, 245, 240))
        canvas.disc(x, -0.74, 0.034, (50, 38, 30))
        canvas.line([(x - 0.08, -0.84), (x + 0.08, -0.85)], 0.035, signer.hair)
        if signer.glasses:
            ring = [
                (x + 0.12 * np.cos(a), -0.74 + 0.1 * np.sin(a))
                for a in np.linspace(0, 2 * np.pi, 17)
            ]
            canvas.line(ring, 0.025, (40, 40, 44))
    canvas.line(
        [(0.0, -0.7), (0.035, -0.57), (-0.02, -0.56)], 0.03, _shade(signer.skin, 0.8)
    )
    canvas.line([(-0.11, -0.43), (0.0, -0.41), (0.11, -0.43)], 0.045, (166, 84, 84))


def _draw_arm(canvas: _Canvas, signer: Signer, side: int, hand: Hand) -> None:
    """Draws an arm from the shoulder to the wrist."""
    shoulder = np.array([side * _SHOULDER_X, _SHOULDER_Y + 0.08])
    wrist = np.array([hand.x, hand.y])
    elbow = _elbow(shoulder, wrist, side)
    sleeve = _shade(signer.clothes, 0.93)
    forearm = sleeve if signer.long_sleeves else signer.skin
    canvas.limb(shoulder, elbow, 0.23, 0.17, sleeve)
    canvas.limb(elbow, wrist, 0.16, 0.11, forearm)


def _elbow(
    shoulder: NDArray[np.float64], wrist: NDArray[np.float64], side: int
) -> NDArray[np.float64]:
    """Finds the elbow of an arm whose ends are known.

    It hangs down, a little outwards, as far as the forearm's length allows; an arm that
    then looks too short is one that comes towards the camera.
    """
    hanging = shoulder + np.array([side * 0.28, 1.3])
    forearm = hanging - wrist
    elbow = wrist + forearm * min(1.0, _FOREARM / (np.hypot(*forearm) + 1e-9))
    upper = elbow - shoulder
    return shoulder + upper * min(1.0, _UPPER_ARM / (np.hypot(*upper) + 1e-9))


def _draw_hand(canvas: _Canvas, signer: Signer, side: int, hand: Hand) -> None:
    """Draws a palm, four fingers and a thumb, stretched or folded."""
    angle = np.deg2rad(hand.angle)
    along = np.array([np.cos(angle), -np.sin(angle)])
    # From the little finger to the thumb, which is on the inner side of both hands.
    across = np.array([-along[1], along[0]])
    if across[0] * side > 0:
        across = -across
    wrist = np.array([hand.x, hand.y])
    palm_stop = wrist + along * 0.3 * _HAND / 0.86
    canvas.limb(wrist, palm_stop, 0.13, 0.19, signer.skin)
    thumb_root = wrist + along * 0.12 + across * 0.14
    thumb_way = along * (0.35 + 0.35 * hand.thumb) + across * hand.thumb
    thumb_tip = thumb_root + thumb_way * 0.3
    canvas.limb(thumb_root, thumb_tip, 0.07, 0.055, signer.skin)
    for finger, stretched in enumerate(hand.fingers):
        place = 1.5 - finger  # the forefinger is next to the thumb
        turn = np.deg2rad(hand.spread) * place
        way = along * np.cos(turn) + across * np.sin(turn)
        root = palm_stop + across * place * 0.1
        length = (0.06 + 0.42 * stretched) * (1.0, 1.1, 1.03, 0.85)[finger]
        canvas.limb(root, root + way * length, 0.06, 0.048, signer.skin)


def _shade(color: Color, factor: float) -> Color:
    """Makes a colour darker or lighter."""
    red, green, blue = (min(round(channel * factor), 255) for channel in color)
    return red, green, blue

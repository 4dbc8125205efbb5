"""One frame of a drawn signer in a pose."""

import cv2
import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.synthetic.appearance import Color, Signer
from wlasl_tfrecord.synthetic.canvas import Canvas, shade
from wlasl_tfrecord.synthetic.poses import Hand, Pose

__all__ = ["arm_points", "draw_background", "draw_frame", "hand_points"]

# Proportions of an adult in heads, about Loomis, "Figure Drawing", 1943.
_SHOULDER_X, _SHOULDER_Y = 0.86, 0.12
_UPPER_ARM, _FOREARM, _HAND = 1.4, 1.25, 0.86


def draw_background(signer: Signer) -> NDArray[np.uint8]:
    """Draws the background of a signer.

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
        box(0.68, 0.06, 0.97, 0.52, shade(color, 0.6))
        box(0.70, 0.09, 0.815, 0.49, (206, 222, 236))
        box(0.835, 0.09, 0.95, 0.49, (198, 216, 232))
    elif signer.room == 2:
        for top in (0.18, 0.42, 0.66):
            box(0.0, top, 0.26, top + 0.025, shade(color, 0.7))
            for book in range(6):
                left = 0.01 + 0.036 * book
                box(left, top - 0.13, left + 0.03, top, shade(color, 0.8 + 0.08 * book))
    elif signer.room == 3:
        for stripe in range(0, 12, 2):
            box(stripe / 12, 0, (stripe + 1) / 12, 1, shade(signer.wall, 0.9))
    elif signer.room == 4:
        box(0.03, 0.12, 0.27, 1.0, color)
        box(0.06, 0.17, 0.24, 0.5, shade(color, 0.88))
        box(0.06, 0.56, 0.24, 0.95, shade(color, 0.88))
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
        background: uint8 [H, W, 3], RGB; the result of `draw_background`.
        shift: Pixels by which the body sways, right and down.
        noise: int16 [H, W, 3], added at the end.

    Returns:
        uint8 [H, W, 3], RGB.
    """
    image = background.copy()
    canvas = Canvas(
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


def _draw_torso(canvas: Canvas, signer: Signer) -> None:
    """Draws neck, shoulders and chest."""
    canvas.limb(
        np.array([0.0, -0.35]),
        np.array([0.0, 0.1]),
        0.22,
        0.26,
        shade(signer.skin, 0.9),
    )
    outline = [
        (-0.3, -0.08), (0.3, -0.08), (0.85, 0.02), (1.02, 0.3), (0.86, 1.3), (0.9, 3.6),
        (-0.9, 3.6), (-0.86, 1.3), (-1.02, 0.3), (-0.85, 0.02),
    ]  # fmt: skip
    canvas.polygon(outline, signer.clothes)
    canvas.polygon([(-0.2, -0.09), (0.2, -0.09), (0.0, 0.16)], shade(signer.skin, 0.95))


def _draw_head(canvas: Canvas, signer: Signer) -> None:
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
    canvas.disc(-0.4, -0.68, 0.09, shade(signer.skin, 0.9))
    canvas.disc(0.4, -0.68, 0.09, shade(signer.skin, 0.9))
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
        [(0.0, -0.7), (0.035, -0.57), (-0.02, -0.56)], 0.03, shade(signer.skin, 0.8)
    )
    canvas.line([(-0.11, -0.43), (0.0, -0.41), (0.11, -0.43)], 0.045, (166, 84, 84))


def _draw_arm(canvas: Canvas, signer: Signer, side: int, hand: Hand) -> None:
    """Draws an arm from the shoulder to the wrist."""
    shoulder, elbow, wrist = arm_points(side, hand)
    sleeve = shade(signer.clothes, 0.93)
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


def arm_points(
    side: int, hand: Hand
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Returns shoulder, elbow and wrist of an arm, float64 [2] in heads from the neck.

    Args:
        side: -1 for the signer's right, which is on the viewer's left; else 1.
        hand: Where the wrist is.
    """
    shoulder = np.array([side * _SHOULDER_X, _SHOULDER_Y + 0.08])
    wrist = np.array([hand.x, hand.y])
    return shoulder, _elbow(shoulder, wrist, side), wrist


def hand_points(side: int, hand: Hand) -> NDArray[np.float64]:
    """Returns the joints of a hand, float64 [21, 2] in heads from the neck.

    The wrist, then four of each finger, thumb to little finger, root to tip.

    Args:
        side: -1 for the signer's right, 1 for the left.
        hand: Place and shape.
    """
    wrist, _, fingers = _hand_lines(side, hand)
    joints = [wrist]
    for root, tip in fingers:
        joints += [root + (tip - root) * share for share in (0.0, 0.4, 0.7, 1.0)]
    return np.array(joints)


def _hand_lines(
    side: int, hand: Hand
) -> tuple[
    NDArray[np.float64],
    NDArray[np.float64],
    list[tuple[NDArray[np.float64], NDArray[np.float64]]],
]:
    """Returns wrist, end of the palm, and root and tip of five fingers, thumb first."""
    angle = np.deg2rad(hand.angle)
    along = np.array([np.cos(angle), -np.sin(angle)])
    # From the little finger to the thumb, which is on the inner side of both hands.
    across = np.array([-along[1], along[0]])
    if across[0] * side > 0:
        across = -across
    wrist = np.array([hand.x, hand.y])
    palm_stop = wrist + along * 0.3 * _HAND / 0.86
    thumb_root = wrist + along * 0.12 + across * 0.14
    thumb_way = along * (0.35 + 0.35 * hand.thumb) + across * hand.thumb
    thumb_tip = thumb_root + thumb_way * 0.3
    lines = [(thumb_root, thumb_tip)]
    for finger, stretched in enumerate(hand.fingers):
        place = 1.5 - finger  # the forefinger is next to the thumb
        turn = np.deg2rad(hand.spread) * place
        way = along * np.cos(turn) + across * np.sin(turn)
        root = palm_stop + across * place * 0.1
        length = (0.06 + 0.42 * stretched) * (1.0, 1.1, 1.03, 0.85)[finger]
        lines.append((root, root + way * length))
    return wrist, palm_stop, lines


def _draw_hand(canvas: Canvas, signer: Signer, side: int, hand: Hand) -> None:
    """Draws a palm, four fingers and a thumb, stretched or folded."""
    wrist, palm_stop, (thumb, *fingers) = _hand_lines(side, hand)
    canvas.limb(wrist, palm_stop, 0.13, 0.19, signer.skin)
    canvas.limb(*thumb, 0.07, 0.055, signer.skin)
    for root, tip in fingers:
        canvas.limb(root, tip, 0.06, 0.048, signer.skin)

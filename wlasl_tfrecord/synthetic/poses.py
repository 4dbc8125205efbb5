"""Poses of a drawn signer, and the eight signs that pass through them.

The signs are made up for the demo and the tests; they are no dictionary of any sign
language. Four are held (static) and four move (dynamic). `rise` and `fall` pass through
the same poses in opposite order, and so do `open` and `close`: a model that ignores the
order of frames cannot tell them apart.

Lengths are in heads (the height of the signer's head), from the point between the
shoulders, x to the viewer's right, y down. Angles are in degrees, 0 to the viewer's
right, 90 up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DYNAMIC_SIGNS",
    "SIGNS",
    "STATIC_SIGNS",
    "Hand",
    "Motion",
    "Pose",
    "pose_at",
]


@dataclass(frozen=True, kw_only=True)
class Hand:
    """The place and shape of a hand.

    Attributes:
        x: The wrist, in heads to the viewer's right of the neck.
        y: The wrist, in heads below the shoulders' line.
        angle: Where the fingers point, in degrees.
        thumb: How far the thumb is stretched, 0 (folded) to 1.
        fingers: How far index, middle, ring and little finger are stretched.
        spread: Degrees between neighbouring fingers.
    """

    x: float
    y: float
    angle: float
    thumb: float = 0.6
    fingers: tuple[float, float, float, float] = (0.7, 0.7, 0.7, 0.7)
    spread: float = 4.0


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Both hands at one instant.

    Attributes:
        right: The signer's right hand, on the viewer's left.
        left: The signer's left hand.
    """

    right: Hand
    left: Hand


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How one instance of a sign differs from another.

    Attributes:
        lead_in: Share of the video in which the hands come up from rest.
        lead_out: Share in which they go back.
        amplitude: Size of the movement, 1 as in `SIGNS`.
        offset_x: Heads by which the whole sign is shifted to the right.
        offset_y: Heads by which it is shifted down.
        tremor: Heads by which a held hand trembles.
        tremor_phase: Where the tremor starts, in radians.
    """

    lead_in: float = 0.24
    lead_out: float = 0.24
    amplitude: float = 1.0
    offset_x: float = 0.0
    offset_y: float = 0.0
    tremor: float = 0.0
    tremor_phase: float = 0.0


def pose_at(gloss: str, time: float, motion: Motion) -> Pose:
    """Returns the pose of a signer at one instant of a sign.

    The path is even in time: `rise` at `time` is `fall` at `1 - time`, when lead-in and
    lead-out are exchanged and nothing trembles.

    Args:
        gloss: One of `SIGNS`.
        time: From 0 (first frame of the video) to 1 (its last).
        motion: How this instance differs from others.
    """
    keys = [_vector(pose) for pose in SIGNS[gloss]]
    middle = (keys[0] + keys[-1]) / 2
    place = np.zeros_like(middle)
    for hand in range(2):
        # A hand that rests stays at rest, wherever the other one signs.
        if not np.array_equal(_split(middle)[hand], _split(_REST_VECTOR)[hand]):
            _split(place)[hand][:2] = motion.offset_x, motion.offset_y
    path = [
        _REST_VECTOR,
        *(middle + (key - middle) * motion.amplitude + place for key in keys),
        _REST_VECTOR,
    ]
    # Even spacing between the lead-in and the lead-out; each stretch starts and ends at
    # rest, as hands do.
    times = [0.0, *np.linspace(motion.lead_in, 1 - motion.lead_out, len(keys)), 1.0]
    stretch = int(np.clip(np.searchsorted(times, time) - 1, 0, len(path) - 2))
    share = (time - times[stretch]) / (times[stretch + 1] - times[stretch])
    eased = share * share * (3 - 2 * share)
    vector = path[stretch] + (path[stretch + 1] - path[stretch]) * eased
    tremble = motion.tremor * np.sin(
        motion.tremor_phase + np.array([23.0, 31.0]) * time
    )
    for hand in _split(vector):
        hand[:2] += tremble
    right, left = _split(vector)
    return Pose(right=_hand(right), left=_hand(left))


def _vector(pose: Pose) -> NDArray[np.float64]:
    """Returns a pose as numbers that can be interpolated: float64 [2 * 9]."""
    numbers: list[float] = []
    for hand in (pose.right, pose.left):
        for field in fields(hand):
            value = getattr(hand, field.name)
            numbers.extend(value if isinstance(value, tuple) else (value,))
    return np.array(numbers)


def _split(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Views a pose's numbers as float64 [2, 9], right hand first."""
    return vector.reshape(2, -1)


def _hand(numbers: NDArray[np.float64]) -> Hand:
    """Makes a hand of its numbers, float64 [9]."""
    x, y, angle, thumb, index, middle, ring, little, spread = map(float, numbers)
    return Hand(
        x=x,
        y=y,
        angle=angle,
        thumb=thumb,
        fingers=(index, middle, ring, little),
        spread=spread,
    )


def _mirrored(hand: Hand) -> Hand:
    """Returns the same hand on the other side of the body."""
    return Hand(
        x=-hand.x,
        y=hand.y,
        angle=180 - hand.angle,
        thumb=hand.thumb,
        fingers=hand.fingers,
        spread=hand.spread,
    )


def _both(right: Hand) -> Pose:
    """Makes a pose in which the left hand mirrors the right one."""
    return Pose(right=right, left=_mirrored(right))


def _one(right: Hand) -> Pose:
    """Makes a pose in which the left hand rests."""
    return Pose(right=right, left=_REST.left)


# In the lap, below the lower edge of most frames.
_REST = _both(Hand(x=-0.62, y=2.45, angle=-65))
_REST_VECTOR = _vector(_REST)

_OPEN = (1.0, 1.0, 1.0, 1.0)
_FIST = (0.0, 0.0, 0.0, 0.0)
_INDEX = (1.0, 0.0, 0.0, 0.0)

_LOW = _one(Hand(x=-1.15, y=1.75, angle=40, thumb=1, fingers=_OPEN))
_HIGH = _one(Hand(x=-1.15, y=-0.75, angle=40, thumb=1, fingers=_OPEN))
_TOGETHER = _both(Hand(x=-0.28, y=0.95, angle=85, thumb=0.8, fingers=_OPEN))
_APART = _both(Hand(x=-1.55, y=0.95, angle=85, thumb=0.8, fingers=_OPEN))

_HELD = {
    # An open palm well beside the shoulder.
    "stop": _one(Hand(x=-1.5, y=0.6, angle=95, thumb=1, fingers=_OPEN, spread=15)),
    # A fist before the chest.
    "hold": _one(Hand(x=-0.3, y=1.15, angle=100, thumb=0.2, fingers=_FIST)),
    # The forefinger at the temple.
    "think": _one(Hand(x=-0.8, y=-0.2, angle=60, thumb=0.2, fingers=_INDEX)),
    # Both hands flat on the chest, crossed.
    "love": _both(Hand(x=0.18, y=1.05, angle=140, thumb=0.3, fingers=_OPEN)),
}
_MOVED = {
    "rise": (_LOW, _HIGH),
    "fall": (_HIGH, _LOW),
    "open": (_TOGETHER, _APART),
    "close": (_APART, _TOGETHER),
}

STATIC_SIGNS = tuple(_HELD)
DYNAMIC_SIGNS = tuple(_MOVED)

# The poses that a sign passes through, first to last.
SIGNS: Mapping[str, tuple[Pose, Pose]] = MappingProxyType(
    {**{gloss: (pose, pose) for gloss, pose in _HELD.items()}, **_MOVED}
)

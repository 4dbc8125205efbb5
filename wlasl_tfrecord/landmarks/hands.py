"""The hands in a frame: detected, or looked for where they should be.

Reference:
    MediaPipe's graphs PalmDetectionCpu, PalmDetectionDetectionToRoi, HandLandmarkCpu,
    HandLandmarkLandmarksToRoi and HandLandmarksFromPoseToRecropRoi of release 0.10.21,
    whose numbers are used here. Zhang et al., "MediaPipe Hands: On-device Real-time
    Hand Tracking", 2020.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.landmarks.detections import (
    decode_detections,
    merge_overlapping,
    ssd_anchors,
)
from wlasl_tfrecord.landmarks.networks import Networks
from wlasl_tfrecord.landmarks.pose import LEFT_WRIST, RIGHT_WRIST, Pose
from wlasl_tfrecord.landmarks.regions import (
    Region,
    crop,
    grown,
    project,
    region_of_box,
    whole_frame,
)

__all__ = ["SIDES", "Hand", "Side", "find_hands"]

Floats = NDArray[np.float32]
Side = Literal["left", "right"]
SIDES: tuple[Side, ...] = get_args(Side)

_MIN_PRESENCE = 0.5
_STRIDES = (8, 16, 16, 16)
# Numbers of points: of a hand, of a palm that is detected, and of the pose.
_WRIST, _INDEX, _MIDDLE, _RING = 0, 5, 9, 13
_PALM_WRIST, _PALM_MIDDLE = 0, 2
_POSE_POINTS: Mapping[Side, tuple[int, int, int]] = {
    # Wrist, little finger, index finger.
    "left": (LEFT_WRIST, 17, 19),
    "right": (RIGHT_WRIST, 18, 20),
}
# Those of a hand by which the next region is found: without the tips, which move most.
_STEADY = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)


@dataclass(frozen=True, kw_only=True)
class Hand:
    """The points of a hand.

    Attributes:
        points: float32 [21, 2], x and y in pixels of the frame.
        presence: How sure it is that this is a hand, from 0 to 1.
        left_score: How sure it is that this is the person's left one, from 0 to 1.
        next_region: Where the hand will be in the next frame.
    """

    points: Floats
    presence: float
    left_score: float
    next_region: Region


def find_hands(
    networks: Networks,
    frame: NDArray[np.uint8],
    regions: Mapping[Side, Region],
    pose: Pose | None,
) -> dict[Side, Hand]:
    """Finds the hands of the person in a frame.

    Every frame is searched: in a clip of few frames a hand is soon somewhere else, and
    a region that follows it ends at the other hand. One that is not detected, being
    blurred, is looked for where it was in the frame before, then where the pose has it.

    Args:
        networks: The networks.
        frame: uint8 [height, width, 3], BGR.
        regions: Where hands should be, by the frame before.
        pose: The person; None if none was found.

    Returns:
        The hands by side, the person's own.
    """
    hands = _sided(_detect(networks, frame), pose)
    for side in SIDES:
        if side not in hands and side in regions:
            hand = _hand_in(networks, frame, regions[side])
            if hand is not None and _is_other(hand, side, hands, pose):
                hands[side] = hand
    for side in SIDES:
        if side not in hands and pose is not None and _is_inside(pose, side, frame):
            hand = _hand_of_pose(networks, frame, pose, side)
            if hand is not None and _is_other(hand, side, hands, pose):
                hands[side] = hand
    return {side: hands[side] for side in SIDES if side in hands}


def _sided(found: Sequence[Hand], pose: Pose | None) -> dict[Side, Hand]:
    """Returns hands by their sides: those that fit best, all together.

    By the wrists of the pose where there is one: a hand alone does not always show
    which one it is, and the network that says so is wrong more often.

    Args:
        found: At most two hands.
        pose: The person.
    """
    orders = itertools.permutations(SIDES, len(found))
    sides = min(
        orders,
        key=lambda order: sum(
            _misfit(hand, side, pose) for hand, side in zip(found, order)
        ),
    )
    return dict(zip(sides, found))


def _misfit(hand: Hand, side: Side, pose: Pose | None) -> float:
    """Returns how badly a hand fits a side, compared with other hands and sides."""
    if pose is None:
        return 1 - hand.left_score if side == "left" else hand.left_score
    wrist = pose.points[_POSE_POINTS[side][0]]
    return float(np.linalg.norm(hand.points[_WRIST] - wrist))


def _is_inside(pose: Pose, side: Side, frame: NDArray[np.uint8]) -> bool:
    """Whether the pose has the wrist of a side within the frame."""
    x, y = pose.points[_POSE_POINTS[side][0]].tolist()
    height, width = frame.shape[:2]
    return 0 <= x < width and 0 <= y < height


def _is_other(
    hand: Hand, side: Side, hands: Mapping[Side, Hand], pose: Pose | None
) -> bool:
    """Whether a hand that was looked for on a side is none of those found already."""
    if any(_is_same(hand, known) for known in hands.values()):
        return False
    other = SIDES[1 - SIDES.index(side)]
    # Alone it may be the hand of the other side, found from here.
    return other in hands or _misfit(hand, side, pose) <= _misfit(hand, other, pose)


def _is_same(one: Hand, other: Hand) -> bool:
    """Whether two hands are the same one, found twice."""
    apart = np.linalg.norm(one.points - other.points, axis=1).mean()
    return float(apart) < _SAME * min(_span(one), _span(other))


# Of the palm's length: hands that touch are further from each other.
_SAME = 0.5


def _span(hand: Hand) -> float:
    """Returns the length of the palm, in pixels."""
    return float(np.linalg.norm(hand.points[_MIDDLE] - hand.points[_WRIST]))


def _detect(networks: Networks, frame: NDArray[np.uint8]) -> list[Hand]:
    """Searches a whole frame for hands, two at most."""
    detector = networks.palm_detector
    whole = whole_frame(*frame.shape[:2])
    image = crop(frame, whole, detector.side, black_border=True)
    boxes, logits = detector(image, num_outputs=2)
    anchors = _anchors(detector.side)
    found = decode_detections(boxes, logits[:, 0], anchors, detector.side)
    hands: list[Hand] = []
    for palm in merge_overlapping(found)[: len(SIDES)]:
        corners = project(palm.box.reshape(2, 2), whole)
        points = project(palm.key_points, whole)
        hand = _hand_in(networks, frame, _region_of_palm(corners, points))
        if hand is not None and not any(_is_same(hand, known) for known in hands):
            hands.append(hand)
    return hands


@lru_cache(maxsize=1)
def _anchors(side: int) -> Floats:
    return ssd_anchors(side, list(_STRIDES))


def _region_of_palm(corners: Floats, points: Floats) -> Region:
    """Returns the region of a hand whose palm was detected, fingers up.

    Args:
        corners: float32 [2, 2], the upper left and the lower right corner of the palm.
        points: float32 [7, 2], its key points.
    """
    x, y = corners.mean(axis=0).tolist()
    width, height = (corners[1] - corners[0]).tolist()
    angle = _upright(points[_PALM_WRIST], points[_PALM_MIDDLE])
    return grown(region_of_box(width, height, x=x, y=y, angle=angle), 2.6, -0.5)


def _upright(wrist: Floats, middle: Floats) -> float:
    """Returns the angle of a region in which a hand points up."""
    x, y = (middle - wrist).tolist()
    return math.pi / 2 - math.atan2(-y, x)


def _region_of_hand(points: Floats) -> Region:
    """Returns the region of the next frame for a hand of this one."""
    middle = (points[_INDEX] + points[_RING]) / 2
    angle = _upright(points[_WRIST], (middle + points[_MIDDLE]) / 2)
    turn = np.array(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    )
    steady = points[list(_STEADY)] @ turn.T
    low, high = steady.min(axis=0), steady.max(axis=0)
    x, y = ((low + high) / 2 @ turn).tolist()
    width, height = (high - low).tolist()
    return grown(region_of_box(width, height, x=x, y=y, angle=angle), 2.0, -0.1)


def _hand_of_pose(
    networks: Networks, frame: NDArray[np.uint8], pose: Pose, side: Side
) -> Hand | None:
    """Looks for a hand where the pose has it, and then looks at it more closely."""
    wrist, little, index = (pose.points[n] for n in _POSE_POINTS[side])
    middle = (2 * index + little) / 3
    region = Region(
        x=float(middle[0]),
        y=float(middle[1]),
        size=2 * float(np.linalg.norm(middle - wrist)),
        angle=_upright(wrist, middle),
    )
    hand = _hand_in(networks, frame, grown(region, 2.7, -0.1))
    return None if hand is None else _hand_in(networks, frame, hand.next_region)


def _hand_in(
    networks: Networks, frame: NDArray[np.uint8], region: Region
) -> Hand | None:
    """Finds the points of the hand in a region; None if there is none."""
    image = crop(frame, region, networks.hand.side)
    values, presence, right, *_ = networks.hand(image, num_outputs=3)
    if presence[0] < _MIN_PRESENCE or not np.isfinite(values).all():
        return None
    points = np.divide(values.reshape(-1, 3)[:, :2], np.float32(networks.hand.side))
    points = project(points, region)
    return Hand(
        points=points,
        presence=float(presence[0]),
        # MediaPipe names it the left one: it expects the pictures of a mirror.
        left_score=1 - float(right[0]),
        next_region=_region_of_hand(points),
    )

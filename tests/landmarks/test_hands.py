import math

import numpy as np
import pytest

from wlasl_tfrecord.landmarks import hands
from wlasl_tfrecord.landmarks.hands import Hand
from wlasl_tfrecord.landmarks.pose import LEFT_WRIST, RIGHT_WRIST, Pose
from wlasl_tfrecord.landmarks.regions import Region

REGION = Region(x=0, y=0, size=1, angle=0)


def hand(x, y, left_score=0.5):
    """A hand of 21 points that points up, its palm 20 pixels long."""
    points = np.full((21, 2), (x, y), np.float32)
    points[9:13, 1] -= np.float32([20, 25, 30, 35])
    points[5:9] += np.float32([[-6, -19], [-6, -24], [-6, -28], [-6, -32]])
    points[13:17] += np.float32([[6, -19], [6, -24], [6, -28], [6, -32]])
    return Hand(points=points, presence=1.0, left_score=left_score, next_region=REGION)


def person(left, right):
    points = np.zeros((33, 2), np.float32)
    points[LEFT_WRIST], points[RIGHT_WRIST] = left, right
    return Pose(points=points, visibility=np.ones(33, np.float32), next_region=REGION)


def test_sides_are_those_of_the_nearest_wrists_together():
    one, other = hand(100, 100, left_score=0.0), hand(60, 100, left_score=1.0)
    pose = person(left=(102, 101), right=(40, 90))
    assert hands._sided([one, other], pose) == {"left": one, "right": other}
    assert hands._sided([other, one], pose) == {"left": one, "right": other}
    # Both are nearest to the left wrist: the nearer one has it.
    crossed = person(left=(90, 100), right=(200, 100))
    assert hands._sided([one, other], crossed) == {"left": other, "right": one}
    assert hands._sided([other], pose) == {"right": other}
    assert hands._sided([], pose) == {}


def test_without_a_person_the_network_names_the_side():
    one, other = hand(100, 100, left_score=0.6), hand(60, 100, left_score=0.9)
    assert hands._sided([one], None) == {"left": one}
    assert hands._sided([one, other], None) == {"left": other, "right": one}
    assert hands._sided([hand(0, 0, left_score=0.1)], None).keys() == {"right"}


def test_a_hand_that_was_looked_for_may_be_a_known_one():
    pose = person(left=(100, 100), right=(60, 100))
    known = {"left": hand(100, 100)}
    assert not hands._is_other(hand(104, 102), "right", known, pose)
    assert hands._is_other(hand(64, 102), "right", known, pose)
    # Alone it may be the other side's own.
    assert not hands._is_other(hand(98, 102), "right", {}, pose)
    assert hands._is_other(hand(98, 102), "left", {}, pose)


@pytest.mark.parametrize(
    ("wrist", "is_inside"), [((0, 0), True), ((99, 79), True), ((100, 10), False)]
)
def test_a_wrist_is_inside_of_the_frame_or_not(wrist, is_inside):
    frame = np.zeros((80, 100, 3), np.uint8)
    assert hands._is_inside(person(wrist, (-1, -1)), "left", frame) == is_inside


def test_the_region_of_a_palm_holds_the_fingers():
    corners = np.float32([[40, 60], [60, 80]])
    points = np.zeros((7, 2), np.float32)
    points[0], points[2] = (50, 80), (50, 60)
    region = hands._region_of_palm(corners, points)
    # Half a palm further up, 2.6 palms wide.
    np.testing.assert_allclose([region.x, region.y, region.size], [50, 60, 52])
    assert region.angle == pytest.approx(0)
    points[2] = (70, 80)
    assert hands._region_of_palm(corners, points).angle == pytest.approx(math.pi / 2)


@pytest.mark.parametrize("angle", [0, 0.7, -2.5, math.pi])
def test_the_next_region_turns_with_the_hand(angle):
    turn = np.array(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    )
    upright = hand(0, 0).points
    plain = hands._region_of_hand(upright)
    region = hands._region_of_hand((upright @ turn).astype(np.float32))
    assert region.size == pytest.approx(plain.size, rel=1e-4)
    difference = (region.angle - angle + math.pi) % (2 * math.pi) - math.pi
    assert difference == pytest.approx(0, abs=1e-4)
    expected = np.array([plain.x, plain.y]) @ turn
    np.testing.assert_allclose([region.x, region.y], expected, atol=1e-3)


def test_the_next_region_leaves_room_around_the_steady_points():
    region = hands._region_of_hand(hand(50, 90).points)
    # Between the wrist and the middle joints of the fingers: 25 pixels.
    assert region.size == pytest.approx(2 * 25)
    assert region.y == pytest.approx(90 - 25 / 2 - 0.1 * 25)
    assert region.x == pytest.approx(50)
    assert region.angle == pytest.approx(0, abs=1e-6)

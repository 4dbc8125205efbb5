import math

import cv2
import numpy as np
import pytest

from wlasl_tfrecord.landmarks.regions import (
    Region,
    crop,
    grown,
    project,
    region_of_box,
    whole_frame,
)


def smooth_frame(height=90, width=120):
    """A frame whose colours tell where a pixel lies: blue its x, green its y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, 0 * x], axis=-1).astype(np.uint8)


def test_a_whole_frame_is_in_the_middle_of_its_square():
    assert whole_frame(90, 120) == Region(x=60, y=45, size=120, angle=0)


def test_the_square_around_a_box_has_its_longer_side():
    region = region_of_box(10, 30, x=5, y=6, angle=0.5)
    assert region == Region(x=5, y=6, size=30, angle=0.5)


@pytest.mark.parametrize(
    ("angle", "x", "y"),
    [(0, 50, 30), (math.pi / 2, 60, 40), (math.pi, 50, 50), (-math.pi / 2, 40, 40)],
)
def test_a_region_grows_and_moves_along_its_own_axis(angle, x, y):
    # Up by half of its side, which is to the right in a region turned clockwise.
    region = grown(Region(x=50, y=40, size=20, angle=angle), 2.6, -0.5)
    np.testing.assert_allclose([region.x, region.y], [x, y], atol=1e-9)
    assert (region.size, region.angle) == (52, angle)


@pytest.mark.parametrize("angle", [0, 0.4, math.pi / 2, -2.0])
def test_a_crop_shows_what_its_points_say(angle):
    region = Region(x=60, y=45, size=40, angle=angle)
    side = 80
    cut = crop(smooth_frame(), region, side)
    places = np.float32([[8, 8], [40, 20], [70, 64], [16, 60]])
    for (column, row), (x, y) in zip(
        places.astype(int), project(places / side, region), strict=True
    ):
        red, green, blue = cut[row, column].tolist()
        assert red == 0
        assert (blue, green) == pytest.approx((x, y), abs=1)


def test_a_crop_is_mapped_as_opencv_maps_the_corners_of_a_turned_box():
    # As MediaPipe does on CPUs: ImageToTensorCalculator, by cv2.warpPerspective.
    frame = np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(np.uint8)
    frame = cv2.GaussianBlur(frame, (7, 7), 2)
    region = Region(x=50.3, y=41.7, size=60, angle=0.3)
    box = ((region.x, region.y), (60, 60), math.degrees(region.angle))
    corners = np.float32([[0, 64], [0, 0], [64, 0], [64, 64]])
    matrix = cv2.getPerspectiveTransform(cv2.boxPoints(box), corners)
    expected = cv2.warpPerspective(frame, matrix, (64, 64), flags=cv2.INTER_LINEAR)
    difference = crop(frame, region, 64).astype(int) - expected[..., ::-1]
    assert np.abs(difference[8:-8, 8:-8]).max() <= 2


def test_beyond_the_frame_its_edge_repeats_or_there_is_black():
    frame = np.full((20, 40, 3), 200, np.uint8)
    whole = whole_frame(20, 40)
    assert crop(frame, whole, 40).min() == 200
    black = crop(frame, whole, 40, black_border=True)
    assert black[:9].max() == 0
    assert black[12:28].min() == 200


def test_projected_points_are_pixels_of_the_frame():
    region = Region(x=100, y=50, size=20, angle=math.pi / 2)
    corners = np.float32([[0.5, 0.5], [0, 0], [1, 0]])
    expected = [[100, 50], [110, 40], [110, 60]]
    np.testing.assert_allclose(project(corners, region), expected, atol=1e-4)

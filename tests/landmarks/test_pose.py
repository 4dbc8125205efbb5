import numpy as np
import pytest

from wlasl_tfrecord.landmarks import pose
from wlasl_tfrecord.landmarks.pose import refine


def heat_maps(row, column, logit=20.0):
    """Heat maps of one point, 64 x 64: cold but for one cell."""
    maps = np.full((64, 64, 1), -20, np.float32)
    maps[row, column] = logit
    return maps


def test_a_point_moves_to_the_heat_near_it():
    refined = refine(np.float32([[0.5, 0.25]]), heat_maps(18, 33))
    np.testing.assert_allclose(refined, [[33 / 64, 18 / 64]], atol=1e-5)


def test_a_point_moves_to_the_middle_of_the_heat():
    maps = heat_maps(16, 30)
    maps[16, 34] = 20
    refined = refine(np.float32([[0.5, 0.25]]), maps)
    np.testing.assert_allclose(refined, [[32 / 64, 16 / 64]], atol=1e-5)


@pytest.mark.parametrize(
    ("point", "maps"),
    [
        # Four cells away, where the surroundings of a point have three.
        ([0.5, 0.25], heat_maps(20, 32)),
        ([0.5, 0.25], heat_maps(16, 32, logit=-1)),
        ([1.2, 0.25], heat_maps(16, 63)),
        ([0.5, -0.1], heat_maps(0, 32)),
    ],
)
def test_a_point_without_heat_near_it_stays(point, maps):
    points = np.float32([point])
    np.testing.assert_array_equal(refine(points, maps), points)


def test_the_region_of_a_person_is_upright_and_holds_the_circle():
    centre, above = np.float32([50, 80]), np.float32([50, 60])
    region = pose._region_between(centre, above)
    assert (region.x, region.y) == (50, 80)
    assert region.size == pytest.approx(2 * 20 * 1.25)
    assert region.angle == pytest.approx(0)
    # A person who leans to the right is turned clockwise.
    leaning = pose._region_between(centre, np.float32([70, 80]))
    assert leaning.angle == pytest.approx(np.pi / 2)

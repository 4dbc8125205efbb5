import pytest

from wlasl_tfrecord.inference.window_options import WindowOptions


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window_seconds": 0}, "window must be above 0 and below 1e6, got 0"),
        ({"step_seconds": -1}, "step must be above 0 and below 1e6, got -1"),
        ({"step_seconds": float("nan")}, "step must be above 0 and below 1e6, got nan"),
        ({"threshold": 1.1}, r"threshold must be from 0 to 1, got 1\.1"),
        ({"min_motion": -0.1}, r"min_motion must be from 0 to 255, got -0\.1"),
    ],
)
def test_what_no_video_can_make_right_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        WindowOptions(**values)


def test_a_step_is_a_place_of_the_grid_at_least():
    options = WindowOptions(window_seconds=2.0, step_seconds=0.01)
    assert options.places_between(30) == 1
    assert WindowOptions(window_seconds=3.0, step_seconds=1.0).places_between(1) == 1

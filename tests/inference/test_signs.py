import numpy as np
import pytest

from wlasl_tfrecord.inference.signs import SignFinder, find_signs
from wlasl_tfrecord.inference.window_options import WindowOptions
from wlasl_tfrecord.inference.windows import Window

GLOSSES = ("book", "drink", "go")
OPTIONS = WindowOptions(
    window_seconds=2.0, step_seconds=0.25, threshold=0.5, min_motion=1.0
)


def window(middle, label=0, share=0.8, motion=2.0):
    row = np.full(3, (1 - share) / 2, np.float32)
    row[label] = share
    return Window(
        start_seconds=middle - 1,
        stop_seconds=middle + 1,
        probabilities=row,
        motion=motion,
    )


def found(windows, options=OPTIONS):
    signs = list(find_signs(windows, options, GLOSSES, top=2))
    return [(sign.glosses[0], sign.start_seconds, sign.stop_seconds) for sign in signs]


def test_neighbouring_windows_of_a_gloss_are_one_sign():
    windows = [window(1 + n / 4, share=0.6 + n / 20) for n in range(4)]
    [sign] = find_signs(windows, OPTIONS, GLOSSES, top=2)
    # Half a window beyond the middles of the first and the last.
    assert (sign.start_seconds, sign.stop_seconds) == (0.5, 2.25)
    assert sign.glosses == ("book", "drink")
    assert sign.probabilities == pytest.approx((0.75, 0.125))
    assert sign.num_windows == 4
    assert sign.last_seconds == 2.75


def test_a_gap_of_more_than_half_a_window_is_another_sign():
    near = [window(1), window(2)]
    assert len(found(near)) == 1
    apart = [window(1), window(3.25)]
    assert found(apart) == [("book", 0.5, 1.5), ("book", 2.75, 3.75)]


@pytest.mark.parametrize(
    ("changed", "count"),
    [({"share": 0.49}, 0), ({"motion": 0.9}, 0), ({"share": 0.51, "motion": 1.1}, 1)],
)
def test_a_window_that_is_unsure_or_still_shows_no_sign(changed, count):
    assert len(found([window(1, **changed)])) == count


def test_of_different_signs_within_a_window_the_strongest_one_counts():
    windows = [window(1, 0, 0.6), window(1.5, 1, 0.9), window(2.25, 2, 0.7)]
    assert [gloss for gloss, *_ in found(windows)] == ["drink"]
    # Half a sign may look sure, but less moves in it.
    windows = [window(1, 0, 0.7, motion=3.0), window(1.5, 1, 0.9, motion=2.0)]
    assert [gloss for gloss, *_ in found(windows)] == ["book"]


def test_a_sign_has_the_probabilities_of_its_strongest_window():
    windows = [window(1, 0, 0.9, motion=1.0), window(1.5, 0, 0.7, motion=2.0)]
    [sign] = find_signs(windows, OPTIONS, GLOSSES)
    assert sign.probabilities[0] == pytest.approx(0.7)


def test_a_sign_is_not_lost_to_a_rival_that_is_lost_itself():
    windows = [window(1, 0, 0.6), window(2.5, 1, 0.7), window(4, 2, 0.8)]
    assert [gloss for gloss, *_ in found(windows)] == ["book", "go"]


def test_signs_do_not_overlap():
    windows = [window(1 + n / 4, 0) for n in range(9)]
    windows += [window(3.25 + n / 4, 1, 0.9) for n in range(9)]
    signs = found(windows)
    assert [gloss for gloss, *_ in signs] == ["book", "drink"]
    assert signs[0][2] <= signs[1][1]
    for _, start, stop in signs:
        assert start < stop


def test_a_sign_is_certain_after_the_time_of_a_window_and_a_step():
    finder = SignFinder(OPTIONS, GLOSSES)
    times = np.arange(1, 20, OPTIONS.step_seconds)
    named = {}
    for time in times:
        # One sign at 2, and one that is held from 8 on.
        shown = window(time, 0 if time < 5 else 1, motion=2.0 if time > 8 else 0.0)
        if time == 2:
            shown = window(time)
        for sign in finder.push(shown):
            named[sign.last_seconds] = time + 1 - sign.last_seconds
    assert len(named) == 3
    # The held one was named before its end.
    assert sorted(named)[1] < 17
    assert max(named.values()) <= 2 + 0.25 + 1e-9


def test_a_rival_that_grows_for_long_does_not_hold_a_sign_back():
    finder = SignFinder(OPTIONS, GLOSSES)
    assert finder.push(window(1, 0, 0.9)) == []
    named = None
    for n in range(1, 20):
        signs = finder.push(window(1 + n / 4, 1, 0.6))
        if signs:
            named = 1 + n / 4
            assert signs[0].glosses[0] == "book"
            break
    assert named is not None
    assert named <= 1 + 2 + 0.25


def test_no_windows_are_no_signs():
    assert found([]) == []

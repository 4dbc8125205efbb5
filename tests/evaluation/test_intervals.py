"""Intervals against published numbers, and against what they promise."""

import math

import numpy as np
import pytest

from wlasl_tfrecord.evaluation.intervals import (
    PairedDifference,
    Share,
    difference_interval,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("num_right", "num_clips", "low", "high"),
    [
        # Newcombe, "Two-sided confidence intervals for the single proportion", 1998,
        # table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (8, 8, 0.6756, 1.0),
    ],
)
def test_a_share_has_wilsons_interval(num_right, num_clips, low, high):
    interval = Share(num_right=num_right, num_clips=num_clips).interval
    assert interval == pytest.approx((low, high), abs=1e-4)


def test_no_clips_tell_nothing():
    none = Share(num_right=0, num_clips=0)
    assert math.isnan(none.share)
    assert none.interval == (0, 1)
    assert none.to_json() == {
        "num_clips": 0,
        "num_right": 0,
        "top1": None,
        "interval": None,
    }


def test_the_interval_holds_the_truth_nineteen_times_of_twenty():
    rng = np.random.default_rng(0)
    hits = rng.binomial(84, 0.6, 4000)
    intervals = [wilson_interval(h / 84, 84) for h in hits]
    holds = [low <= 0.6 <= high for low, high in intervals]
    assert np.mean(holds) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("one", "other", "interval"),
    [
        # Newcombe, "Interval estimation for the difference between independent
        # proportions", 1998, table II, method 10.
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
    ],
)
def test_two_groups_of_clips_differ_within_newcombes_interval(one, other, interval):
    shares = [Share(num_right=r, num_clips=n) for r, n in (one, other)]
    assert difference_interval(*shares) == pytest.approx(interval, abs=1e-3)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (0, 5, 2 / 32),
        (1, 9, 22 / 1024),
        (9, 1, 22 / 1024),
    ],
)
def test_mcnemars_test_is_that_of_a_coin(only_first, only_second, p):
    difference = PairedDifference(
        num_clips=84, only_first=only_first, only_second=only_second
    )
    assert difference.p_value == pytest.approx(p)


def test_many_clips_are_no_overflow():
    difference = PairedDifference(num_clips=9000, only_first=2000, only_second=2000)
    assert difference.p_value == 1
    assert PairedDifference(num_clips=9000, only_first=0, only_second=3000).p_value == 0


def test_the_paired_interval_is_bonetts_and_prices():
    difference = PairedDifference(num_clips=84, only_first=10, only_second=4)
    # By hand: (11 - 5) / 86, and 1.96 standard errors of it.
    first, second = 11 / 86, 5 / 86
    error = math.sqrt((first + second - (first - second) ** 2) / 86)
    middle = first - second
    expected = (middle - 1.959964 * error, middle + 1.959964 * error)
    assert difference.difference == pytest.approx(6 / 84)
    assert difference.interval == pytest.approx(expected, abs=1e-6)
    turned = PairedDifference(num_clips=84, only_first=4, only_second=10)
    assert turned.interval == pytest.approx((-expected[1], -expected[0]), abs=1e-6)

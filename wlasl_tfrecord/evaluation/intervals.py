"""95 % intervals of shares, and whether two models really differ on the same clips.

On 84 clips a share of 60 % may as well be 50 % or 70 %. These are closed formulas that
hold for few clips, where the usual "plus or minus 1.96 standard errors" does not.
"""

import math
from dataclasses import dataclass
from typing import Any

__all__ = ["PairedDifference", "Share", "difference_interval", "wilson_interval"]

# The 97.5 % quantile of the normal distribution.
_Z = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Share:
    """How many of some clips are recognised.

    Attributes:
        num_right: Clips that are.
        num_clips: Clips in all.
    """

    num_right: int
    num_clips: int

    @property
    def share(self) -> float:
        """The share of clips that are recognised; NaN of none."""
        return self.num_right / self.num_clips if self.num_clips else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share.

        Reference:
            Wilson, "Probable Inference, the Law of Succession, and Statistical
            Inference", 1927.

        >>> [round(end, 3) for end in Share(num_right=81, num_clips=263).interval]
        [0.255, 0.366]
        """
        return wilson_interval(self.share, self.num_clips)

    def to_json(self) -> dict[str, Any]:
        """Returns JSON values: None where there are no clips."""
        has_clips = self.num_clips > 0
        return {
            "num_clips": self.num_clips,
            "num_right": self.num_right,
            "top1": self.share if has_clips else None,
            "interval": list(self.interval) if has_clips else None,
        }


def wilson_interval(share: float, count: float) -> tuple[float, float]:
    """Returns the 95 % interval of a share of `count` trials; all of [0, 1] for none.

    Args:
        share: The share of trials that succeeded.
        count: How many trials there were.
    """
    if count == 0:
        return 0.0, 1.0
    weight = count + _Z**2
    middle = (share * count + _Z**2 / 2) / weight
    spread = share * (1 - share) * count + _Z**2 / 4
    half = _Z * math.sqrt(max(spread, 0.0)) / weight
    return max(0.0, middle - half), min(1.0, middle + half)


def difference_interval(one: Share, other: Share) -> tuple[float, float]:
    """Returns the 95 % interval of the difference of two shares of different clips.

    Reference:
        Newcombe, "Interval estimation for the difference between independent
        proportions", 1998, method 10.

    >>> one = Share(num_right=56, num_clips=70)
    >>> other = Share(num_right=48, num_clips=80)
    >>> [round(end, 4) for end in difference_interval(one, other)]
    [0.0524, 0.3339]
    """
    difference = one.share - other.share
    (low_1, high_1), (low_2, high_2) = one.interval, other.interval
    below = math.hypot(one.share - low_1, high_2 - other.share)
    above = math.hypot(high_1 - one.share, other.share - low_2)
    return difference - below, difference + above


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """How two models differ on the same clips.

    Attributes:
        num_clips: The clips.
        only_first: Those that only the first model recognises.
        only_second: Those that only the second one does.
    """

    num_clips: int
    only_first: int
    only_second: int

    @property
    def difference(self) -> float:
        """The share of the first model minus that of the second."""
        return (self.only_first - self.only_second) / self.num_clips

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference.

        Reference:
            Bonett and Price, "Adjusted Wald Confidence Interval for a Difference of
            Binomial Proportions Based on Paired Data", 2012.
        """
        weight = self.num_clips + 2
        first, second = (self.only_first + 1) / weight, (self.only_second + 1) / weight
        variance = (first + second - (first - second) ** 2) / weight
        half = _Z * math.sqrt(variance)
        middle = first - second
        return max(-1.0, middle - half), min(1.0, middle + half)

    @property
    def p_value(self) -> float:
        """How likely models that are equally good differ so much: McNemar's exact test.

        Reference:
            McNemar, "Note on the sampling error of the difference between correlated
            proportions or percentages", 1947.

        >>> PairedDifference(num_clips=84, only_first=1, only_second=9).p_value
        0.021484375
        """
        count = self.only_first + self.only_second
        fewer = min(self.only_first, self.only_second)
        # Whole numbers: 2**-count is zero as a float from 1075 on.
        ways = sum(math.comb(count, k) for k in range(fewer + 1))
        return min(1.0, 2 * ways / 2**count)

    def to_json(self) -> dict[str, Any]:
        """Returns JSON values."""
        return {
            "num_clips": self.num_clips,
            "only_first_right": self.only_first,
            "only_second_right": self.only_second,
            "difference": self.difference,
            "interval": list(self.interval),
            "p_value": self.p_value,
        }

"""The signs of a long video, found in its windows as they come.

A sign is shown by several windows. Neighbours of the same first gloss are one sign. Of
different signs at about the same time the strongest counts: the most probable one, in
the window in which most moves.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wlasl_tfrecord.inference.ranking import top_glosses
from wlasl_tfrecord.inference.window_options import WindowOptions
from wlasl_tfrecord.inference.windows import Window

__all__ = ["Sign", "SignFinder", "find_signs"]

# A sign that is held for longer is found again after so many windows, so that a live
# picture does not wait for its end.
_MOST_WINDOWS = 2.0


@dataclass(frozen=True, kw_only=True)
class Sign:
    """One sign of a long video.

    Attributes:
        start_seconds: About when it starts.
        stop_seconds: About when it ends.
        glosses: The words, the most probable one first.
        probabilities: The probability of each of them, in the window that shows the
            sign best.
        num_windows: How many windows show it.
        last_seconds: When the last of these windows ends.
    """

    start_seconds: float
    stop_seconds: float
    glosses: tuple[str, ...]
    probabilities: tuple[float, ...]
    num_windows: int
    last_seconds: float


@dataclass(kw_only=True)
class _Candidate:
    """Neighbouring windows of the same first gloss.

    Attributes:
        label: The gloss.
        best: The strongest window.
        first: The first window.
        last: The last one so far.
        num_windows: How many there are.
    """

    label: int
    best: Window
    first: Window
    last: Window
    num_windows: int = 1

    @property
    def strength(self) -> float:
        """How strong its strongest window is."""
        return _strength(self.best, self.label)


def _strength(window: Window, label: int) -> float:
    """Returns how well a window shows a sign.

    Not the probability alone: of the windows with half a sign some are as sure as the
    one with all of it, in which most moves. With the motion there are half as many
    false alarms, and as many signs are found (benchmarks/windows.py).
    """
    return float(window.probabilities[label]) * max(window.motion, 1e-6)


class SignFinder:
    """Finds signs in windows as they come.

    A sign is certain when the time of one window and one step has passed since the last
    window that shows it.

    Args:
        options: Which windows show a sign.
        glosses: The words, by label.
        top: How many glosses a sign lists, at most.
    """

    def __init__(
        self, options: WindowOptions, glosses: Sequence[str], top: int = 5
    ) -> None:
        self._options = options
        self._glosses = glosses
        self._top = top
        # Neighbouring windows are no further apart, and signs no closer than a window:
        # closer ones are two readings of one sign. Measured in benchmarks/windows.py.
        self._near = options.window_seconds / 2
        self._apart = options.window_seconds
        self._candidates: list[_Candidate] = []
        # When the sign before has ended.
        self._free_from = 0.0

    def push(self, window: Window) -> list[Sign]:
        """Takes the next window, and returns the signs that are certain by now."""
        if self._shows_sign(window):
            self._add(window)
        return self._take(window.middle_seconds)

    def finish(self) -> list[Sign]:
        """Returns the last signs."""
        return self._take(float("inf"))

    def _shows_sign(self, window: Window) -> bool:
        return (
            window.motion >= self._options.min_motion
            and window.probabilities.max() >= self._options.threshold
        )

    def _add(self, window: Window) -> None:
        """Adds a window to the candidate that it continues, or makes one of it."""
        label = int(window.probabilities.argmax())
        now = window.middle_seconds
        most = _MOST_WINDOWS * self._options.window_seconds
        for candidate in self._candidates:
            if (
                candidate.label == label
                and now - candidate.last.middle_seconds <= self._near
                and now - candidate.first.middle_seconds <= most
            ):
                candidate.last = window
                candidate.num_windows += 1
                if _strength(window, label) > candidate.strength:
                    candidate.best = window
                return
        self._candidates.append(
            _Candidate(label=label, best=window, first=window, last=window)
        )

    def _take(self, now: float) -> list[Sign]:
        """Takes out the candidates that no window after `now` can change."""
        found: list[Sign] = []
        while self._candidates and self._is_certain(self._candidates[0], now):
            first, *others = self._candidates
            if any(one is first for one in self._best_ones()):
                self._candidates = [c for c in others if not self._are_rivals(first, c)]
                found.append(self._sign(first, self._candidates))
            else:
                self._candidates = others
        return found

    def _is_certain(self, first: _Candidate, now: float) -> bool:
        """Returns whether no later window can change what becomes of a candidate."""
        age = now - first.last.middle_seconds
        if age > self._apart:
            # A rival may still grow, but a live picture must not wait for ever.
            return True
        rivals = [c for c in self._candidates if self._are_rivals(first, c)]
        has_all = now - first.best.middle_seconds >= self._apart
        return has_all and all(
            now - one.last.middle_seconds > self._near for one in (first, *rivals)
        )

    def _best_ones(self) -> list[_Candidate]:
        """Returns the candidates that have no better rival among these."""
        kept: list[_Candidate] = []
        for one in sorted(self._candidates, key=lambda c: -c.strength):
            if not any(self._are_rivals(one, other) for other in kept):
                kept.append(one)
        return kept

    def _are_rivals(self, one: _Candidate, other: _Candidate) -> bool:
        """Returns whether two candidates are readings of the same sign."""
        between = abs(one.best.middle_seconds - other.best.middle_seconds)
        return between < self._apart

    def _sign(self, found: _Candidate, later: Sequence[_Candidate]) -> Sign:
        """Makes a sign of a candidate; signs do not overlap."""
        quarter = self._options.window_seconds / 4
        best = found.best.middle_seconds
        start = max(found.first.middle_seconds - quarter, self._free_from)
        between = [(best + other.best.middle_seconds) / 2 for other in later]
        stop = min([found.last.middle_seconds + quarter, *between])
        stop = max(stop, best)
        self._free_from = stop
        glosses, shares = top_glosses(
            np.asarray(found.best.probabilities), self._glosses, self._top
        )
        return Sign(
            start_seconds=min(start, best),
            stop_seconds=stop,
            glosses=glosses,
            probabilities=shares,
            num_windows=found.num_windows,
            last_seconds=found.last.stop_seconds,
        )


def find_signs(
    windows: Iterable[Window],
    options: WindowOptions,
    glosses: Sequence[str],
    top: int = 5,
) -> Iterator[Sign]:
    """Yields the signs that windows show, by time.

    Args:
        windows: Windows by time.
        options: Which windows show a sign.
        glosses: The words, by label.
        top: How many glosses a sign lists, at most.
    """
    finder = SignFinder(options, glosses, top)
    for window in windows:
        yield from finder.push(window)
    yield from finder.finish()

"""A timeline: what the windows of a long video showed, as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wlasl_tfrecord.figures import drawn_text, new_figure, png_bytes
from wlasl_tfrecord.inference.signs import Sign
from wlasl_tfrecord.inference.window_options import WindowOptions
from wlasl_tfrecord.inference.windows import Window

__all__ = ["Timeline", "timeline_png"]

# A row of the picture shows this many seconds, or more if the rows became too many.
_ROW_SECONDS = 30.0
_MOST_ROWS = 20
# A gloss is written only where it has room.
_SECONDS_A_CHARACTER = 0.012
_MOST_CHARACTERS = 24
_MOST_TICKS = 12


@dataclass(kw_only=True)
class Timeline:
    """What is kept of every window: some bytes, for hours of video.

    Attributes:
        options: How the windows slid, and which of them counted.
        seconds: The time in the middle of each window.
        probabilities: The probability of its first gloss.
        motions: How much moved in it.
        stop_seconds: When the last window ends.
    """

    options: WindowOptions
    seconds: list[float] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    motions: list[float] = field(default_factory=list)
    stop_seconds: float = 0.0

    def add(self, window: Window) -> None:
        """Adds the next window."""
        self.seconds.append(window.middle_seconds)
        self.probabilities.append(float(window.probabilities.max()))
        self.motions.append(window.motion)
        self.stop_seconds = window.stop_seconds


def timeline_png(timeline: Timeline, signs: Sequence[Sign]) -> bytes:
    """Draws signs over the probability and motion of all windows, as PNG.

    Args:
        timeline: What the windows showed.
        signs: The signs, by time.
    """
    total = max(timeline.stop_seconds, 1.0)
    row_seconds = min(max(_ROW_SECONDS, total / _MOST_ROWS), total)
    num_rows = int(np.ceil(total / row_seconds - 1e-6))
    figure = new_figure(12, 0.7 + 1.7 * num_rows)
    rows: Any = figure.subplots(num_rows, 1, squeeze=False)[:, 0]
    for number, axes in enumerate(rows):
        start = number * row_seconds
        _draw_row(axes, timeline, signs, start, start + row_seconds)
    rows[-1].set_xlabel("minutes:seconds")
    figure.legend(
        *rows[0].get_legend_handles_labels(), loc="outside upper right", ncols=4
    )
    return png_bytes(figure)


def _draw_row(
    axes: Any, timeline: Timeline, signs: Sequence[Sign], start: float, stop: float
) -> None:
    """Draws one part of the time."""
    options = timeline.options
    seconds = np.array(timeline.seconds)
    # Beyond twice the threshold it does not matter how much moves.
    scale = 2 * options.min_motion or max([*timeline.motions, 1.0])
    motions = np.minimum(np.array(timeline.motions) / scale, 1.0)
    axes.fill_between(
        seconds, motions, step="mid", color="0.88", label="motion (half: the least)"
    )
    axes.plot(
        seconds,
        timeline.probabilities,
        color="tab:blue",
        linewidth=1.2,
        label="probability of the first gloss",
    )
    axes.axhline(options.threshold, color="tab:red", linewidth=0.8, label="threshold")
    room = (stop - start) * _SECONDS_A_CHARACTER
    for sign in signs:
        if sign.stop_seconds <= start or sign.start_seconds >= stop:
            continue
        axes.axvspan(
            sign.start_seconds, sign.stop_seconds, color="tab:green", alpha=0.3
        )
        length = int((sign.stop_seconds - sign.start_seconds) / room)
        text = drawn_text(sign.glosses[0], min(max(length, 3), _MOST_CHARACTERS))
        middle = (sign.start_seconds + sign.stop_seconds) / 2
        if start <= middle <= stop:
            axes.text(middle, 1.06, text, ha="center", va="bottom", fontsize=9)
    axes.set(xlim=(start, stop), ylim=(0, 1.3), yticks=(0, 0.5, 1))
    axes.set_xticks(_whole_seconds(start, stop))
    axes.xaxis.set_major_formatter(lambda value, _: _minutes(value))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _whole_seconds(start: float, stop: float) -> list[int]:
    """Returns twelve times at most, of whole seconds.

    >>> _whole_seconds(30.0, 60.0)
    [30, 35, 40, 45, 50, 55, 60]
    """
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600)
    fitting = (step for step in steps if (stop - start) / step <= _MOST_TICKS)
    step = next(fitting, 3600)
    first = -int(-start // step) * step
    return list(range(first, int(stop) + 1, step))


def _minutes(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"

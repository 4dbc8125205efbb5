import numpy as np
import pytest

from wlasl_tfrecord.inference import timeline
from wlasl_tfrecord.inference.signs import Sign
from wlasl_tfrecord.inference.window_options import WindowOptions
from wlasl_tfrecord.inference.windows import Window


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were drawn."""
    figures, write = [], timeline.png_bytes
    monkeypatch.setattr(
        timeline, "png_bytes", lambda figure: figures.append(figure) or write(figure)
    )
    return figures


def filled(num_seconds):
    line = timeline.Timeline(options=WindowOptions(window_seconds=2.0, min_motion=1))
    for second in range(num_seconds - 1):
        line.add(
            Window(
                start_seconds=second,
                stop_seconds=second + 2,
                probabilities=np.array([0.75, 0.25], np.float32),
                motion=second % 4,
            )
        )
    return line


def sign(start, stop, gloss):
    return Sign(
        start_seconds=start,
        stop_seconds=stop,
        glosses=(gloss,),
        probabilities=(0.9,),
        num_windows=1,
        last_seconds=stop,
    )


@pytest.mark.parametrize(
    ("num_seconds", "num_rows", "row_seconds"),
    [(10, 1, 10), (61, 3, 30), (3600, 20, 180)],
)
def test_a_long_video_is_drawn_in_some_rows(drawn, num_seconds, num_rows, row_seconds):
    assert timeline.timeline_png(filled(num_seconds), [])
    axes = drawn[0].axes
    assert len(axes) == num_rows
    assert axes[-1].get_xlim() == ((num_rows - 1) * row_seconds, num_rows * row_seconds)


def test_a_sign_is_named_once_above_its_time(drawn):
    signs = [sign(2, 4, "book"), sign(29, 32, "$go"), sign(50, 58, "x" * 99)]
    timeline.timeline_png(filled(60), signs)
    first, second = ([text.get_text() for text in axes.texts] for axes in drawn[0].axes)
    assert first == ["book"]
    assert second[0] == r"\$go"
    assert second[1].endswith("x…")
    # The middle of the one that lies in both rows is in the second.
    assert [len(axes.patches) for axes in drawn[0].axes] == [2, 2]


def test_probabilities_and_motion_are_those_of_the_windows(drawn):
    timeline.timeline_png(filled(10), [])
    [axes] = drawn[0].axes
    line = axes.lines[0]
    assert line.get_xdata().tolist() == list(range(1, 10))
    assert set(line.get_ydata()) == {0.75}
    assert axes.get_xticklabels()[0].get_text() == "0:00"


def test_a_video_without_windows_can_be_drawn():
    empty = timeline.Timeline(options=WindowOptions(min_motion=0))
    assert timeline.timeline_png(empty, [])

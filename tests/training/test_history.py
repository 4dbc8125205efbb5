"""The pictures of a run, as far as a program can look at them."""

import pytest

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.training import history


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were drawn."""
    figures, write = [], history.png_bytes
    monkeypatch.setattr(
        history, "png_bytes", lambda figure: figures.append(figure) or write(figure)
    )
    return figures


@pytest.mark.parametrize("phases", [["all"], ["head", "head", "fine-tune"]])
@pytest.mark.parametrize("names", [["training"], ["training", "validation"]])
def test_curves_have_whole_epochs_named_phases_and_one_legend(
    tmp_path, drawn, phases, names
):
    prefixes = ["", "val_"][: len(names)]
    values = {f"{p}{key}": 0.5 for p in prefixes for key in ("loss", "top1", "top5")}
    rows = [{"phase": phase, **values} for phase in phases]
    history.draw_history(tmp_path, rows)
    [figure] = drawn
    for plot in figure.axes:
        assert set(plot.get_xticks()) >= set(range(1, len(rows) + 1))
        assert all(tick == round(tick) for tick in plot.get_xticks())
        assert [text.get_text() for text in plot.texts] == phases[2:]
        assert plot.get_legend() is None  # it would hide a part of the curves
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names


@pytest.mark.parametrize(
    ("seconds", "due"),
    [
        ([3.0] * 8, [4, 7]),
        # Each one that takes as long as that, and none of a few that are over at once.
        ([20.0, 10.0, 600.0], [1, 2, 3]),
        ([0.1] * 9, []),
    ],
)
def test_curves_are_drawn_every_ten_seconds(seconds, due):
    rows = [{"seconds": value} for value in seconds]
    ends = range(1, len(rows) + 1)
    assert [end for end in ends if history.is_drawing_due(rows[:end])] == due


@pytest.mark.parametrize(
    "content", [b"phase,loss\nhead,x\n", b"a\n1,2\n", b"\xff", b""]
)
def test_a_damaged_history_is_one_line(tmp_path, content):
    (tmp_path / "history.csv").write_bytes(content)
    with pytest.raises(TrainingError, match=r"cannot read .*history\.csv \(.+\)"):
        history.read_history(tmp_path)

"""The confusion matrix: counted clip by clip, and drawn with names that fit."""

import itertools

import numpy as np
import pytest

from wlasl_tfrecord.evaluation import confusion
from wlasl_tfrecord.evaluation.metrics import ClipScores


def test_clips_are_counted_by_truth_and_prediction():
    scores = ClipScores(
        records=np.arange(4),
        labels=np.array([0, 0, 1, 2]),
        predictions=np.array([0, 2, 2, 2]),
        ranks=np.zeros(4, np.int64),
        losses=np.zeros(4, np.float32),
    )
    counted = confusion.confusion_matrix(scores, 3)
    assert counted.tolist() == [[1, 0, 1], [0, 0, 1], [0, 0, 1]]


@pytest.mark.parametrize("num_glosses", [3, 41, 2001])
def test_what_is_confused_is_named_or_numbered(monkeypatch, num_glosses):
    glosses = [f"word {label}" for label in range(num_glosses)]
    figures, write = [], confusion.png_bytes
    monkeypatch.setattr(
        confusion, "png_bytes", lambda figure: figures.append(figure) or write(figure)
    )
    png = confusion.confusion_png(np.eye(num_glosses, dtype=np.int64), glosses)
    assert png.startswith(b"\x89PNG")
    plot = figures[0].axes[0]
    cells = plot.images[0].get_array()
    assert cells.shape == (min(num_glosses, 1001),) * 2
    assert cells[0, 0] == 1
    shown = [text.get_text() for text in plot.get_yticklabels()]
    if num_glosses <= 40:
        assert shown == glosses
        assert plot.get_xlabel() == "recognised"
    else:
        assert {"20", "1000"} & {*shown}
        assert plot.get_xlabel() == "recognised, by label"


def test_glosses_that_are_mistaken_for_each_other_are_neighbours():
    confusion = np.diag([9] * 8)
    for truth, said, count in ((0, 6, 5), (6, 3, 4), (1, 7, 3), (0, 3, 1)):
        confusion[truth, said] = count
    order = confusion_order(confusion)
    assert sorted(order) == list(range(8))
    assert order[:3] in ([0, 6, 3], [3, 6, 0])
    assert set(order[3:5]) == {1, 7}
    # The rest keeps its order.
    assert order[5:] == [2, 4, 5]


def confusion_order(counts):
    return confusion.neighbour_order(counts).tolist()


def test_any_confusion_is_ordered_and_every_gloss_once():
    rng = np.random.default_rng(1)
    for num_classes in (1, 2, 30):
        counts = rng.poisson(0.3, (num_classes, num_classes))
        assert sorted(confusion_order(counts)) == list(range(num_classes))


def drawn(monkeypatch, counts, glosses):
    figures, write = [], confusion.png_bytes
    monkeypatch.setattr(
        confusion, "png_bytes", lambda figure: figures.append(figure) or write(figure)
    )
    png = confusion.ordered_confusion_png(counts, glosses, "test")
    assert png.startswith(b"\x89PNG")
    plot = figures[0].axes[0]
    return plot, [text.get_text() for text in plot.get_yticklabels()]


def test_a_hundred_glosses_are_all_named_and_their_names_do_not_overlap(monkeypatch):
    glosses = [f"word {label}" for label in range(100)]
    counts = np.eye(100, dtype=np.int64)
    counts[3, 97] = 2
    plot, names = drawn(monkeypatch, counts, glosses)
    assert sorted(names) == sorted(glosses)
    assert abs(names.index("word 3") - names.index("word 97")) == 1
    boxes = [text.get_window_extent() for text in plot.get_yticklabels()]
    for above, below in itertools.pairwise(boxes):
        assert above.y0 >= below.y1 - 1
    # Each cell with clips has its count.
    assert sorted(text.get_text() for text in plot.texts) == ["1"] * 100 + ["2"]


def test_glosses_without_clips_are_left_out_and_of_many_the_worst_are_shown(
    monkeypatch,
):
    counts = np.zeros((300, 300), np.int64)
    counts[5, 6] = 1
    _, names = drawn(monkeypatch, counts, [f"w{k}" for k in range(300)])
    assert names == ["w5", "w6"]
    counts = np.eye(300, dtype=np.int64)
    counts[298, 299] = 1
    plot, names = drawn(monkeypatch, counts, [f"w{k}" for k in range(300)])
    assert len(names) == 200
    assert {"w298", "w299"} <= set(names)
    assert plot.get_title() == "test; the 200 glosses with the most mistakes"

"""The confusion matrix: counted clip by clip, and drawn with names that fit."""

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


@pytest.mark.parametrize("num_glosses", [3, 41])
def test_what_is_confused_is_named_or_numbered(monkeypatch, num_glosses):
    glosses = [f"word {label}" for label in range(num_glosses)]
    figures, write = [], confusion.png_bytes
    monkeypatch.setattr(
        confusion, "png_bytes", lambda figure: figures.append(figure) or write(figure)
    )
    png = confusion.confusion_png(np.eye(num_glosses, dtype=np.int64), glosses)
    assert png.startswith(b"\x89PNG")
    plot = figures[0].axes[0]
    shown = [text.get_text() for text in plot.get_yticklabels()]
    if num_glosses <= 40:
        assert shown == glosses
        assert plot.get_xlabel() == "recognised"
    else:
        assert "20" in shown
        assert plot.get_xlabel() == "recognised, by label"

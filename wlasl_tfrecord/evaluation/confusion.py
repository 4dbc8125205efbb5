"""The confusion matrix: how often which gloss is recognised as which."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.evaluation.figures import new_figure, png_bytes
from wlasl_tfrecord.evaluation.metrics import ClipScores

__all__ = ["confusion_matrix", "confusion_png"]

# More names than that overlap on the axes.
_MAX_NAMED_GLOSSES = 40


def confusion_matrix(scores: ClipScores, num_classes: int) -> NDArray[np.int64]:
    """Counts clips by truth and prediction, int64 [C, C]."""
    confusion = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(confusion, (scores.labels, scores.predictions), 1)
    return confusion


def confusion_png(confusion: NDArray[np.int64], glosses: Sequence[str]) -> bytes:
    """Draws the shares of a confusion matrix, truth down and prediction across.

    Args:
        confusion: int64 [C, C], from `confusion_matrix`.
        glosses: The words by label; named on the axes if there are at most 40.

    Returns:
        A PNG image.
    """
    figure = new_figure(8, 7)
    plot = figure.add_subplot()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = plot.imshow(shares, vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
    if len(glosses) > _MAX_NAMED_GLOSSES:
        plot.set(xlabel="recognised, by label", ylabel="signed, by label")
    else:
        plot.set(xlabel="recognised", ylabel="signed")
        plot.set_xticks(range(len(glosses)), glosses, rotation=90, fontsize=7)
        plot.set_yticks(range(len(glosses)), glosses, fontsize=7)
    figure.colorbar(image, label="share of the gloss's clips")
    return png_bytes(figure)

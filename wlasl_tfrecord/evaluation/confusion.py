"""The confusion matrix: how often which gloss is recognised as which."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.evaluation.metrics import ClipScores
from wlasl_tfrecord.figures import drawn_text, new_figure, png_bytes

__all__ = [
    "confusion_matrix",
    "confusion_png",
    "neighbour_order",
    "ordered_confusion_png",
]

# More names than that overlap on the axes of the small picture.
_MAX_NAMED_GLOSSES = 40
# More cells than that a side are drawn as blocks of several: a copy of all that 20,000
# glosses have would take 3 GB.
_MAX_CELLS = 2000
# More rows than that make a picture that no viewer shows; see `_most_confused`.
_MAX_ROWS = 200
# Room for a name of 7 points and a count of 6; with few glosses for larger ones.
_ROW_INCHES = 0.16
_FEW_ROWS, _FEW_ROW_INCHES = 30, 0.3


def confusion_matrix(scores: ClipScores, num_classes: int) -> NDArray[np.int64]:
    """Counts clips by truth and prediction, int64 [C, C]."""
    confusion = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(confusion, (scores.labels, scores.predictions), 1)
    return confusion


def confusion_png(confusion: NDArray[np.int64], glosses: Sequence[str]) -> bytes:
    """Draws the shares of a confusion matrix small, in the order of the labels.

    Args:
        confusion: int64 [C, C], from `confusion_matrix`.
        glosses: The words by label; named on the axes if there are at most 40.

    Returns:
        A PNG image.
    """
    figure = new_figure(8, 7)
    plot = figure.add_subplot()
    starts = np.arange(0, len(confusion), -(-len(confusion) // _MAX_CELLS))
    confusion = np.add.reduceat(np.add.reduceat(confusion, starts, 0), starts, 1)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = plot.imshow(
        shares,
        vmin=0,
        vmax=1,
        cmap="Blues",
        interpolation="nearest",
        extent=(-0.5, len(glosses) - 0.5, len(glosses) - 0.5, -0.5),
    )
    if len(glosses) > _MAX_NAMED_GLOSSES:
        plot.set(xlabel="recognised, by label", ylabel="signed, by label")
    else:
        plot.set(xlabel="recognised", ylabel="signed")
        plot.set_xticks(range(len(glosses)), glosses, rotation=90, fontsize=7)
        plot.set_yticks(range(len(glosses)), glosses, fontsize=7)
    figure.colorbar(image, label="share of the gloss's clips")
    return png_bytes(figure)


def ordered_confusion_png(
    confusion: NDArray[np.int64], glosses: Sequence[str], title: str
) -> bytes:
    """Draws a confusion matrix large, with every gloss named and counts in the cells.

    Glosses that are mistaken for each other are neighbours, so mistakes lie beside the
    diagonal, and a group of signs that look alike is a block on it. What is right is
    blue, what is wrong red, darker for a larger share of the gloss's clips.

    Args:
        confusion: int64 [C, C], from `confusion_matrix`.
        glosses: The words by label.
        title: What the picture shows.

    Returns:
        A PNG image. Glosses without any clip are left out; of more than 200 those with
        the most mistakes are shown.
    """
    from matplotlib import colormaps

    kept = _most_confused(confusion)
    if len(kept) < np.count_nonzero(confusion.sum(axis=0) + confusion.sum(axis=1)):
        title += f"; the {len(kept)} glosses with the most mistakes"
    order = kept[neighbour_order(confusion[np.ix_(kept, kept)])]
    counts = confusion[np.ix_(order, order)]
    shares = counts / np.maximum(confusion[order].sum(axis=1, keepdims=True), 1)
    # A single mistake must show against white.
    colours = colormaps["Reds"](0.15 + 0.6 * shares)
    colours[counts == 0] = 1.0
    diagonal = np.arange(len(order))
    right = shares[diagonal, diagonal]
    colours[diagonal, diagonal] = colormaps["Blues"](0.1 + 0.7 * right)

    is_small = len(order) <= _FEW_ROWS
    side = (_FEW_ROW_INCHES if is_small else _ROW_INCHES) * len(order) + 2.0
    size = 10 if is_small else 7
    figure = new_figure(side, side)
    plot = figure.add_subplot()
    plot.imshow(colours, interpolation="nearest")
    names = [drawn_text(glosses[int(label)], 16) for label in order]
    plot.set_xticks(diagonal, names, rotation=90, fontsize=size)
    plot.set_yticks(diagonal, names, fontsize=size)
    plot.set_title(title, fontsize=11)
    plot.set(xlabel="recognised as", ylabel="signed")
    # Lines between the cells, to follow a row to its name.
    for axis in (plot.xaxis, plot.yaxis):
        axis.set_ticks(np.arange(-0.5, len(order)), minor=True)
    plot.grid(which="minor", color="0.9", linewidth=0.5)
    plot.tick_params(which="minor", length=0)
    for row, column in np.argwhere(counts > 0):
        is_dark = shares[row, column] > 0.7
        plot.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            fontsize=size - 1,
            color="white" if is_dark else "black",
        )
    return png_bytes(figure)


def neighbour_order(confusion: NDArray[np.int64]) -> NDArray[np.intp]:
    """Orders labels so that those that are mistaken for each other are neighbours.

    Chains are joined at their ends, the most frequent mistakes first.

    Args:
        confusion: int64 [C, C].

    Returns:
        The labels in their new order, intp [C]; glosses without mistakes come last.

    >>> confusion = np.diag([5, 5, 5, 5])
    >>> confusion[0, 2] = confusion[3, 2] = 1
    >>> neighbour_order(confusion)
    array([0, 2, 3, 1])
    """
    mutual = confusion + confusion.T
    chains = {label: [label] for label in range(len(confusion))}
    first, second = np.nonzero(np.triu(mutual, 1))
    for edge in np.argsort(-mutual[first, second], kind="stable"):
        one, other = chains[int(first[edge])], chains[int(second[edge])]
        if one is other:
            continue
        if first[edge] not in (one[0], one[-1]):
            continue
        if second[edge] not in (other[0], other[-1]):
            continue
        left = one if one[-1] == first[edge] else one[::-1]
        right = other if other[0] == second[edge] else other[::-1]
        joined = left + right
        for label in joined:
            chains[label] = joined
    # Each once, the longest first.
    unique = {id(chain): chain for chain in chains.values()}.values()
    ordered = sorted(unique, key=lambda chain: -len(chain))
    return np.array([label for chain in ordered for label in chain], np.intp)


def _most_confused(confusion: NDArray[np.int64]) -> NDArray[np.intp]:
    """Returns the labels that have clips or are named in error, the worst 200."""
    named = confusion.sum(axis=0) + confusion.sum(axis=1)
    mistakes = named - 2 * np.diag(confusion)
    there = np.flatnonzero(named)
    worst = there[np.argsort(-mistakes[there], kind="stable")[:_MAX_ROWS]]
    return np.sort(worst)

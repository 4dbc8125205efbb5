"""The ranked glosses of one clip: the most probable ones, as values and as cells."""

import csv
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.text import cell_text

__all__ = ["csv_line", "ranked_cells", "ranked_columns", "ranked_json", "top_glosses"]


def top_glosses(
    row: NDArray[np.float32], glosses: Sequence[str], top: int
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Sorts the glosses of one clip by their probabilities.

    Args:
        row: float32 [num_classes].
        glosses: The words, by label.
        top: How many to return, at most.

    Returns:
        Glosses and probabilities, the highest first; of equals, the lower label first.

    >>> top_glosses(np.float32([0.2, 0.5, 0.3]), ("book", "drink", "go"), 2)[0]
    ('drink', 'go')
    """
    order = np.argsort(-row, kind="stable")[:top]
    return (
        tuple(str(glosses[label]) for label in order),
        tuple(float(row[label]) for label in order),
    )


def ranked_json(
    glosses: Sequence[str], probabilities: Sequence[float]
) -> list[dict[str, object]]:
    """Returns ranked glosses as JSON values."""
    return [
        {"gloss": gloss, "probability": share}
        for gloss, share in zip(glosses, probabilities)
    ]


def ranked_columns(top: int) -> list[str]:
    """Returns the names of the columns for ranked glosses in a table."""
    return [f"{name}_{n}" for n in range(1, top + 1) for name in ("gloss", "prob")]


def ranked_cells(
    glosses: Sequence[str], probabilities: Sequence[float], top: int
) -> list[str]:
    """Returns the cells of these columns; a spreadsheet takes none for a formula.

    They are empty where a model knows fewer glosses than there are columns.
    """
    cells = [
        cell
        for gloss, share in zip(glosses, probabilities)
        for cell in (cell_text(gloss), f"{share:.6f}")
    ]
    return cells + [""] * (2 * top - len(cells))


def csv_line(cells: Sequence[str]) -> str:
    """Returns a row of a table, without the end of its line."""
    text = io.StringIO()
    # Only the characters of the line's end are quoted in a cell, so it must have both.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue()[:-2]

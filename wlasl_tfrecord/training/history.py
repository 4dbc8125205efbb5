"""The history of a run: one row for each epoch, as CSV and as curves."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.figures import new_figure, png_bytes
from wlasl_tfrecord.files import read_bytes, write_whole
from wlasl_tfrecord.text import reason_of

__all__ = [
    "COLUMNS",
    "Row",
    "draw_history",
    "is_drawing_due",
    "read_history",
    "write_history",
]

Row = Mapping[str, Any]

_DRAWING_SECONDS = 10

# In this order in the file. Shares are from 0 to 1.
COLUMNS = (
    "phase",
    "epoch",
    "learning_rate",
    "loss",
    "top1",
    "top5",
    "val_loss",
    "val_top1",
    "val_top5",
    "val_top10",
    "seconds",
    "clips_per_second",
    "input_wait",
)


def write_history(run_dir: Path, rows: Sequence[Row]) -> None:
    """Writes `history.csv`, whole or not at all.

    Raises:
        OutputError: If the folder cannot be written to.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([row.get(name, "") for name in COLUMNS] for row in rows)
    write_whole(run_dir / "history.csv", text.getvalue().encode())


def draw_history(run_dir: Path, rows: Sequence[Row]) -> None:
    """Draws `history.png`, whole or not at all.

    Raises:
        OutputError: If the folder cannot be written to.
    """
    write_whole(run_dir / "history.png", _curves_png(rows))


def is_drawing_due(rows: Sequence[Row]) -> bool:
    """Returns whether to draw the curves again after the last of these epochs.

    Drawing takes a quarter of a second, and an epoch of cached features hardly more.
    """
    total = sum(row["seconds"] for row in rows)
    before = total - rows[-1]["seconds"]
    return total // _DRAWING_SECONDS > before // _DRAWING_SECONDS


def read_history(run_dir: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads `history.csv` back; an empty cell is None.

    Raises:
        TrainingError: If it cannot be read, or is no such table.
    """
    path = os.path.join(run_dir, "history.csv")
    try:
        lines = csv.reader(io.StringIO(read_bytes(path).decode(), newline=""))
        names, *rows = lines
        return [
            {
                name: value if name == "phase" else float(value) if value else None
                for name, value in zip(names, row, strict=True)
            }
            for row in rows
        ]
    except (OSError, ValueError, csv.Error) as error:
        raise TrainingError(f"cannot read {path} ({reason_of(error)})") from error


def _curves_png(rows: Sequence[Row]) -> bytes:
    """Draws accuracy, loss and top-5 over all epochs of all phases."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(15, 4.5)
    epochs = np.arange(1, len(rows) + 1)
    panels = (
        ("top1", "accuracy (top-1)"),
        ("loss", "loss"),
        ("top5", "top-5 accuracy"),
    )
    for number, (key, title) in enumerate(panels, start=1):
        plot = figure.add_subplot(1, 3, number)
        for name, label in ((key, "training"), (f"val_{key}", "validation")):
            values = [np.nan if row.get(name) is None else row[name] for row in rows]
            if not np.all(np.isnan(np.array(values, float))):
                # A single epoch is a point, which a line does not show.
                plot.plot(
                    epochs, values, label=label, marker="." if len(rows) < 30 else None
                )
        # In the corner where curves that have risen, or fallen, are not.
        corner = "top" if key == "loss" else "bottom"
        for index in range(1, len(rows)):
            if rows[index]["phase"] != rows[index - 1]["phase"]:
                plot.axvline(index + 0.5, color="grey", linestyle=":", linewidth=1)
                plot.annotate(
                    rows[index]["phase"],
                    (index + 0.5, 0.97 if corner == "top" else 0.03),
                    xycoords=("data", "axes fraction"),
                    xytext=(4, 0),
                    textcoords="offset points",
                    verticalalignment=corner,
                    rotation=90,
                    color="grey",
                    fontsize=8,
                )
        plot.set(title=title, xlabel="epoch")
        plot.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if key != "loss":
            plot.set_ylim(0, 1.02)
        plot.grid(alpha=0.3)
    # Below all panels: within one, it hid where a curve ends.
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return png_bytes(figure)

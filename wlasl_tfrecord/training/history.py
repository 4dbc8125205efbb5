"""The history of a run: one row an epoch, as CSV, as curves, and for TensorBoard."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.files import write_whole

__all__ = [
    "COLUMNS",
    "Row",
    "confusion_png",
    "draw_history",
    "is_drawing_due",
    "read_history",
    "write_history",
]

Row = Mapping[str, Any]

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
    """Says whether the curves are worth drawing anew after the last of some epochs.

    That takes a quarter of a second, and an epoch of cached features hardly more.
    """
    total = sum(row["seconds"] for row in rows)
    before = total - rows[-1]["seconds"]
    return total // _DRAWING_SECONDS > before // _DRAWING_SECONDS


_DRAWING_SECONDS = 10


def read_history(run_dir: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads `history.csv` back; an empty cell is None."""
    with open(Path(run_dir) / "history.csv", newline="") as file:
        return [
            {
                name: value if name == "phase" else float(value) if value else None
                for name, value in row.items()
            }
            for row in csv.DictReader(file)
        ]


def confusion_png(confusion: NDArray[np.int64], glosses: Sequence[str]) -> bytes:
    """Draws how often which gloss (down) is taken for which (across).

    Args:
        confusion: int64 [C, C], truth by prediction.
        glosses: The words; named on the axes where they fit.
    """
    figure, axes = _figure(8, 7)
    plot = axes(111)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = plot.imshow(shares, vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
    if len(glosses) > 40:
        plot.set(xlabel="recognised, by label", ylabel="signed, by label")
    else:
        plot.set(xlabel="recognised", ylabel="signed")
        plot.set_xticks(range(len(glosses)), glosses, rotation=90, fontsize=7)
        plot.set_yticks(range(len(glosses)), glosses, fontsize=7)
    figure.colorbar(image, label="share of the gloss's clips")
    return _png(figure)


def _curves_png(rows: Sequence[Row]) -> bytes:
    """Draws accuracy, loss and top-5 over all epochs of all phases."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = _figure(15, 4.5)
    epochs = np.arange(1, len(rows) + 1)
    panels = (
        ("top1", "accuracy (top-1)"),
        ("loss", "loss"),
        ("top5", "top-5 accuracy"),
    )
    for number, (key, title) in enumerate(panels, start=1):
        plot = axes(1, 3, number)
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
    return _png(figure)


def _figure(width: float, height: float):
    """Makes a figure that needs no screen and leaves matplotlib's settings alone."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot


def _png(figure: Any) -> bytes:
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=100)
    return image.getvalue()

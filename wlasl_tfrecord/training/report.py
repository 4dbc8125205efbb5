"""What a training has reached, as bin/train prints it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wlasl_tfrecord.training.early_stopping import ChooseBy, epoch_score

__all__ = ["TrainReport", "report_run"]


@dataclass(frozen=True, kw_only=True)
class TrainReport:
    """What a training has reached.

    Attributes:
        run_dir: The run folder.
        best: Row of the history of the epoch whose weights the model has.
        num_epochs: Number of epochs over all phases.
        seconds: Time that they took.
    """

    run_dir: Path
    best: Mapping[str, Any]
    num_epochs: int
    seconds: float

    def __str__(self) -> str:
        """Writes the lines that bin/train prints."""
        row = self.best
        kind = "val_" if row.get("val_top1") is not None else ""
        name = "validation" if kind else "training"
        return (
            f"best of {self.num_epochs} epochs in {self.seconds:.0f} s: {row['phase']} "
            f"{row['epoch']:.0f}, {name} top-1 {row[kind + 'top1']:.1%}, "
            f"top-5 {row[kind + 'top5']:.1%}\n"
            f"model and curves in {self.run_dir}/: model.keras, model.json, "
            "history.csv, history.png"
        )


def report_run(
    run_dir: Path, rows: Sequence[Mapping[str, Any]], choose_by: ChooseBy = "top1"
) -> TrainReport:
    """Makes the report of a run from its history, and from what chose the epoch."""
    return TrainReport(
        run_dir=run_dir,
        best=_best(rows, choose_by),
        num_epochs=len(rows),
        seconds=sum(row["seconds"] for row in rows),
    )


def _best(rows: Sequence[Mapping[str, Any]], choose_by: ChooseBy) -> Mapping[str, Any]:
    """Finds the epoch whose weights were kept."""
    if "val_top1" not in rows[-1]:
        return rows[-1]
    scores = [
        epoch_score(row["val_top1"], row["val_loss"], number, choose_by)
        for number, row in enumerate(rows)
    ]
    return rows[scores.index(max(scores))]

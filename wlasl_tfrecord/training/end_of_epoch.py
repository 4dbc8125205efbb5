"""What happens around an epoch: its bar, its row and line, and whether to go on."""

import dataclasses
import math
import sys
from collections.abc import Mapping
from typing import Any

from wlasl_tfrecord.evaluation.metrics import TOP_K, ClipScores, confusion_matrix, rank
from wlasl_tfrecord.training import history
from wlasl_tfrecord.training.progress import Progress
from wlasl_tfrecord.training.run import Phase, Run

__all__ = [
    "EpochBar",
    "end_epoch",
]


# Above it the devices wait for their input, and a faster one would pay.
_INPUT_WAIT_WARNING = 0.05


def end_epoch(
    run: Run,
    phase: Phase,
    progress: Progress,
    scores: ClipScores | None,
    learning_rate: float,
    validation_seconds: float,
) -> tuple[Progress, bool]:
    """Writes the history and decides how to go on: the progress, and "is it better"."""
    config = run.config
    loss_sum, top1_sum, top5_sum, weight = progress.sums
    weight = max(weight, 1.0)
    row: dict[str, Any] = {
        "phase": phase.name,
        "epoch": progress.epoch + 1,
        "learning_rate": learning_rate,
        "loss": loss_sum / weight,
        "top1": top1_sum / weight,
        "top5": top5_sum / weight,
        "seconds": round(progress.seconds + validation_seconds, 3),
        # Of the training alone: what its step takes, and whether it has to wait.
        "clips_per_second": round(weight / max(progress.seconds, 1e-9), 2),
        "input_wait": round(progress.wait_seconds / max(progress.seconds, 1e-9), 4),
    }
    # Without a validation split the last epoch is the best one.
    better, loss = (float(len(progress.rows)), 0.0), row["loss"]
    if scores is not None:
        row["val_loss"] = loss = scores.loss
        row |= {f"val_top{k}": scores.top(k) for k in TOP_K}
        better = rank(scores.top(1), loss)
    improved = progress.best is None or tuple(better) > tuple(progress.best)
    lower = math.isfinite(loss) and (
        progress.lowest_loss is None or loss < progress.lowest_loss
    )
    stale = 0 if improved else progress.stale + 1
    plateau = 0 if lower else progress.plateau + 1
    factor = progress.plateau_factor
    if plateau >= config.plateau_patience and config.schedule == "plateau":
        plateau, factor = 0, factor / 2
        run.say(f"no lower loss for {config.plateau_patience} epochs: rate halved")
    rows = (*progress.rows, row)
    early = stale >= config.patience
    finished = dataclasses.replace(
        progress,
        epoch=progress.epoch + 1,
        step=0,
        sums=(0.0, 0.0, 0.0, 0.0),
        num_skipped=0,
        seconds=0.0,
        wait_seconds=0.0,
        best=better if improved else progress.best,
        stale=stale,
        lowest_loss=loss if lower else progress.lowest_loss,
        plateau=plateau,
        plateau_factor=factor,
        rows=rows,
        phase_over=early or progress.epoch + 1 == phase.num_epochs,
    )
    logs = {name: value for name, value in row.items() if isinstance(value, float)}
    if run.chief:
        history.write_history(run.directory, rows)
    if run.events is not None:
        run.events.scalars(logs, len(rows))
        if scores is not None and improved:
            confusion = confusion_matrix(scores, len(run.glosses))
            png = history.confusion_png(confusion, run.glosses)
            run.events.image("confusion", png, len(rows))
    run.say(_summary(row, phase, progress.num_skipped, improved))
    # A head that trains from the cache reads no shard, of which `bin/bench` knows.
    cached = phase.name == "head" and config.feature_cache
    # As printed, so that no line warns of 5 % that says 5 %.
    if round(row["input_wait"], 2) > _INPUT_WAIT_WARNING and not cached:
        run.say(
            f"  the step waited for input {row['input_wait']:.0%} of the time; "
            "`bin/bench input` says why and what to change"
        )
    if early:
        run.say(f"no better validation for {config.patience} epochs: phase ended early")
    run.callbacks.on_epoch_end(len(rows) - 1, logs)
    if getattr(run.model, "stop_training", False):
        finished = dataclasses.replace(finished, phase_over=True)
    if run.chief and (finished.phase_over or history.is_drawing_due(rows)):
        history.draw_history(run.directory, rows)
    return finished, improved


def _summary(
    row: Mapping[str, Any], phase: Phase, num_skipped: int, improved: bool
) -> str:
    """Writes the line of an epoch."""
    parts = [
        f"{phase.name} {row['epoch']}/{phase.num_epochs}",
        f"loss {row['loss']:.3f} top-1 {row['top1']:.1%} top-5 {row['top5']:.1%}",
    ]
    if "val_loss" in row:
        parts.append(
            f"val loss {row['val_loss']:.3f} top-1 {row['val_top1']:.1%} "
            f"top-5 {row['val_top5']:.1%}{' *' if improved else ''}"
        )
    parts.append(
        f"{row['clips_per_second']:.0f} clips/s, input wait {row['input_wait']:.0%}"
    )
    if num_skipped:
        parts.append(f"{num_skipped} steps skipped for overflow")
    return " | ".join(parts)


class EpochBar:
    """A tqdm bar of an epoch on a terminal, and nothing elsewhere."""

    def __init__(self, run: Run, phase: Phase, progress: Progress) -> None:
        self._batch_size = run.config.batch_size
        self._bar = None
        if run.chief and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=phase.steps_per_epoch * self._batch_size,
                initial=progress.step * self._batch_size,
                desc=f"{phase.name} {progress.epoch + 1}/{phase.num_epochs}",
                unit=" clips",
                leave=False,
            )

    def update(self, progress: Progress) -> None:
        """Moves on by one step."""
        if self._bar is not None:
            weight = max(progress.sums[3], 1.0)
            self._bar.update(self._batch_size)
            self._bar.set_postfix(
                loss=f"{progress.sums[0] / weight:.3f}",
                top1=f"{progress.sums[1] / weight:.1%}",
                refresh=False,
            )

    def close(self) -> None:
        """Takes the bar away; the line of the epoch stands in for it."""
        if self._bar is not None:
            self._bar.close()

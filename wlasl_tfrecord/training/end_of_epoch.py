"""What happens at the end of an epoch: its row and line, and whether the phase ends."""

import sys
from collections.abc import Mapping
from typing import Any

from wlasl_tfrecord.evaluation.confusion import confusion_matrix, confusion_png
from wlasl_tfrecord.evaluation.metrics import TOP_K, ClipScores
from wlasl_tfrecord.training import history
from wlasl_tfrecord.training.early_stopping import epoch_score
from wlasl_tfrecord.training.phases import Phase
from wlasl_tfrecord.training.progress import Progress
from wlasl_tfrecord.training.run import Run

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
) -> bool:
    """Adds an epoch to the history, reports it, and ends the phase if it is time.

    Args:
        run: What stays the same.
        phase: The current phase.
        progress: Progress at the end of the epoch's last step; it is changed.
        scores: Scores of the validation; None without one.
        learning_rate: Rate of the last step.
        validation_seconds: Time that the validation took.

    Returns:
        Whether the epoch is the best so far.
    """
    config, stopping = run.config, progress.stopping
    row = _row(phase, progress, scores, learning_rate, validation_seconds)
    if scores is None:
        # Without a validation split the last epoch is the best one.
        improved = stopping.add_epoch((float(len(progress.rows)), 0.0), row["loss"])
    else:
        score = epoch_score(
            scores.top(1), scores.loss, len(progress.rows), config.choose_by
        )
        improved = stopping.add_epoch(score, scores.loss)
    if config.schedule == "plateau" and stopping.halve_on_plateau(
        config.plateau_patience
    ):
        run.say(f"no lower loss for {config.plateau_patience} epochs: rate halved")
    num_skipped = progress.totals.num_skipped
    progress.end_epoch(row)
    early = stopping.epochs_since_best >= config.patience
    progress.phase_over = early or progress.epoch == phase.num_epochs

    logs = {name: value for name, value in row.items() if isinstance(value, float)}
    _write(run, progress, scores if improved else None, logs)
    run.say(_summary(row, phase, num_skipped, improved))
    _warn_of_waiting(run, phase, row["input_wait"])
    if early:
        run.say(f"no better validation for {config.patience} epochs: phase ended early")
    run.callbacks.on_epoch_end(len(progress.rows) - 1, logs)
    if run.stop_training:
        progress.phase_over = True
    if run.chief and (progress.phase_over or history.is_drawing_due(progress.rows)):
        history.draw_history(run.directory, progress.rows)
    return improved


def _row(
    phase: Phase,
    progress: Progress,
    scores: ClipScores | None,
    learning_rate: float,
    validation_seconds: float,
) -> dict[str, Any]:
    """Makes the row of the history."""
    totals = progress.totals
    loss, top1, top5 = totals.means
    row: dict[str, Any] = {
        "phase": phase.name,
        "epoch": progress.epoch + 1,
        "learning_rate": learning_rate,
        "loss": loss,
        "top1": top1,
        "top5": top5,
        "seconds": round(totals.seconds + validation_seconds, 3),
        # Of the training alone: what its step takes, and whether it has to wait.
        "clips_per_second": round(
            max(totals.sums[3], 1.0) / max(totals.seconds, 1e-9), 2
        ),
        "input_wait": round(totals.wait_seconds / max(totals.seconds, 1e-9), 4),
    }
    if scores is not None:
        row["val_loss"] = scores.loss
        row |= {f"val_top{k}": scores.top(k) for k in TOP_K}
    return row


def _write(
    run: Run,
    progress: Progress,
    best_scores: ClipScores | None,
    logs: Mapping[str, float],
) -> None:
    """Writes history.csv and TensorBoard's events; the confusion of the best epochs."""
    if run.chief:
        history.write_history(run.directory, progress.rows)
    if run.events is None:
        return
    num_epochs = len(progress.rows)
    run.events.scalars(logs, num_epochs)
    if best_scores is not None:
        glosses = run.folder.glosses
        confusion = confusion_matrix(best_scores, len(glosses))
        run.events.image("confusion", confusion_png(confusion, glosses), num_epochs)


def _warn_of_waiting(run: Run, phase: Phase, input_wait: float) -> None:
    """Warns of an input that is slower than the step."""
    # A head that trains from the cache reads no shard, of which `bin/bench` knows.
    cached = phase.name == "head" and run.config.feature_cache
    # As printed, so that no line warns of 5 % that shows 5 %.
    if round(input_wait, 2) > _INPUT_WAIT_WARNING and not cached:
        run.say(
            f"  the step waited for input {input_wait:.0%} of the time; "
            "`bin/bench input` says why and what to change"
        )


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
        """Advances by one step."""
        if self._bar is not None:
            loss, top1, _ = progress.totals.means
            self._bar.update(self._batch_size)
            self._bar.set_postfix(loss=f"{loss:.3f}", top1=f"{top1:.1%}", refresh=False)

    def close(self) -> None:
        """Removes the bar; the line of the epoch replaces it."""
        if self._bar is not None:
            self._bar.close()

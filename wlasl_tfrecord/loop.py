"""The loop over the steps of one phase: validation, history, checkpoints.

Between two steps everything that the rest of the run depends on is in `Progress` and in
the variables of model, optimizer and step, so a run can be cut there and go on as if
nothing had happened.
"""

import dataclasses
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord import evaluation, history, schedules, strategies
from wlasl_tfrecord.checkpoints import Checkpoint, save_checkpoint
from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.evaluation import ClipScores
from wlasl_tfrecord.steps import StepResult, make_training_step, read_variable
from wlasl_tfrecord.train_config import TrainConfig

__all__ = ["Phase", "Progress", "Run", "run_phase"]

MakeBatches = Callable[[tf.distribute.InputContext | None], tf.data.Dataset]

# Above it the devices wait for their input, and a faster one would pay.
_INPUT_WAIT_WARNING = 0.05


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run is, between two steps; all of it JSON.

    Attributes:
        phase: The phase under way.
        epoch: Its epochs that are over.
        step: Steps of the epoch under way that are over.
        total_steps: Steps since the run began.
        sums: Loss, top-1 hits, top-5 hits and weight of the epoch so far.
        num_skipped: Steps of the epoch skipped for an overflow.
        seconds: Spent in the epoch so far.
        wait_seconds: Of them, waiting for input.
        best: Validation top-1 and negative loss of the best epoch so far, over all
            phases; None before the first.
        stale: Epochs since then, or since the phase began.
        lowest_loss: The lowest validation loss of the phase.
        plateau: Epochs since then, or since the rate was last halved.
        plateau_factor: What that has left of the learning rate.
        rows: The history so far.
        phase_over: Whether the phase has ended, early or not.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    total_steps: int = 0
    sums: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    num_skipped: int = 0
    seconds: float = 0.0
    wait_seconds: float = 0.0
    best: tuple[float, float] | None = None
    stale: int = 0
    lowest_loss: float | None = None
    plateau: int = 0
    plateau_factor: float = 1.0
    rows: tuple[Mapping[str, Any], ...] = ()
    phase_over: bool = False

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Progress":
        """Reads what `dataclasses.asdict` and JSON made of one."""
        fields: dict[str, Any] = dict(value)
        for name in ("sums", "rows", "best"):
            if fields[name] is not None:
                fields[name] = tuple(fields[name])
        return cls(**fields)


class Phase(NamedTuple):
    """A stretch of training with its own trainable part, input and learning rate.

    Attributes:
        name: "head", "fine-tune" or "all".
        model: What is trained: inputs -> logits.
        scored_model: What is validated: inputs of the validation -> logits.
        num_epochs: At most so many.
        steps_per_epoch: Global batches.
        learning_rate: The peak.
        training_batches: Makes the input from a given step of the phase on.
        validation_batches: Makes the input of the validation; None without one.
        prepare: What to do to inputs on the device.
        class_weights: What a clip of each class counts; None for 1.
    """

    name: str
    model: keras.Model
    scored_model: keras.Model
    num_epochs: int
    steps_per_epoch: int
    learning_rate: float
    training_batches: Callable[[int], MakeBatches]
    validation_batches: MakeBatches | None
    prepare: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None
    class_weights: Sequence[float] | None


class Run(NamedTuple):
    """What stays the same through all phases.

    Attributes:
        directory: The run folder.
        config: The choices.
        strategy: Where it runs.
        model: The whole network.
        glosses: The words.
        checkpoint_seconds: How often to write a checkpoint.
        save_best: Writes the model as it is now.
        describe_step: Names the clips of a step of a phase, for messages.
        events: Where TensorBoard's curves go; None off the chief.
        callbacks: The caller's own.
        say: Prints a line.
    """

    directory: Path
    config: TrainConfig
    strategy: tf.distribute.Strategy
    model: keras.Model
    glosses: tuple[str, ...]
    checkpoint_seconds: float
    save_best: Callable[[], None]
    describe_step: Callable[[int], str]
    events: history.EventLog | None
    callbacks: keras.callbacks.CallbackList
    say: Callable[[str], None]

    @property
    def chief(self) -> bool:
        """Whether this process writes files."""
        return strategies.is_chief(self.strategy)


def run_phase(
    run: Run, phase: Phase, progress: Progress, arrays: Mapping[str, NDArray[Any]]
) -> tuple[Progress, Mapping[str, NDArray[Any]]]:
    """Trains one phase to its end, from wherever it is.

    Args:
        run: What stays the same.
        phase: What to train.
        progress: Where the run is.
        arrays: What a checkpoint holds; the weights of the best epoch so far under
            `best/…`, and if the phase has begun already, everything else.

    Returns:
        The progress and the arrays at the end, with the best weights in the model.

    Raises:
        TrainingError: If the loss is not a number, another worker dies, or somebody
            asks the process to stop.
    """
    config = run.config
    with run.strategy.scope():
        optimizer = keras.optimizers.AdamW(
            phase.learning_rate, weight_decay=config.weight_decay
        )
        # Shrinking a bias or a scale towards 0 regularises nothing.
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    training_step = make_training_step(
        run.strategy,
        phase.model,
        optimizer,
        prepare=phase.prepare,
        label_smoothing=config.label_smoothing,
        class_weights=phase.class_weights,
        accumulate=config.accumulate,
        scale_loss=phase.model.compute_dtype == "float16",
    )
    score = evaluation.make_scorer(run.strategy, phase.scored_model)
    state = [
        *((f"model/{i}", one) for i, one in enumerate(run.model.variables)),
        *((f"optimizer/{i}", one) for i, one in enumerate(optimizer.variables)),
        *((f"scale/{i}", one) for i, one in enumerate(training_step.variables)),
    ]
    best = {name: value for name, value in arrays.items() if name.startswith("best/")}
    if progress.epoch or progress.step or progress.phase_over:
        _restore(state, arrays)

    def capture(now: Progress) -> Checkpoint:
        values = {name: read_variable(variable) for name, variable in state}
        return Checkpoint(now.total_steps, dataclasses.asdict(now), {**values, **best})

    def save(now: Checkpoint) -> str:
        if not run.chief:
            return "; the first worker has the checkpoint"
        path = save_checkpoint(run.directory / "checkpoints", now)
        return (
            f"; {path} is the last good checkpoint, go on with bin/train --resume "
            + (str(run.directory))
        )

    total_steps = phase.num_epochs * phase.steps_per_epoch
    phase_step = progress.epoch * phase.steps_per_epoch + progress.step
    batches: Iterator[Any] = iter(())
    if not progress.phase_over and phase_step < total_steps:
        batches = iter(
            run.strategy.distribute_datasets_from_function(
                phase.training_batches(phase_step)
            )
        )
    last_good = capture(progress)
    last_saved = time.monotonic()
    with _stop_signals() as stopped:
        while not progress.phase_over and progress.epoch < phase.num_epochs:
            run.callbacks.on_epoch_begin(len(progress.rows))
            bar = _Bar(run, phase, progress)
            pending: tuple[int, StepResult] | None = None

            def settle(
                progress: Progress, pending: tuple[int, StepResult] | None
            ) -> Progress:
                """Takes note of a step that the device has finished by now."""
                if pending is None:
                    return progress
                done_step, result = pending
                sums = result.sums.numpy()
                finite = bool(result.finite)
                if not finite and float(result.loss_scale) <= 1.0:
                    # The step was skipped, so the weights are still good.
                    where = save(capture(progress))
                    raise TrainingError(
                        f"the loss is not a number at step {progress.step} of epoch "
                        f"{progress.epoch + 1} ({phase.name}), of the clips "
                        f"{run.describe_step(done_step)}; look at them, or lower "
                        f"--learning-rate{where}"
                    )
                totals = progress.sums
                if finite:
                    totals = tuple(a + float(b) for a, b in zip(progress.sums, sums))
                return dataclasses.replace(
                    progress,
                    sums=totals,
                    num_skipped=progress.num_skipped + (not finite),
                )

            try:
                while progress.step < phase.steps_per_epoch:
                    start = time.perf_counter()
                    batch = next(batches)
                    waited = time.perf_counter() - start
                    optimizer.learning_rate = schedules.learning_rate_at(
                        config.schedule,
                        phase.learning_rate,
                        phase_step,
                        total_steps,
                        progress.plateau_factor,
                    )
                    run.callbacks.on_train_batch_begin(progress.step)
                    result = training_step.run(batch)
                    # One step behind, so that the device never waits for this thread.
                    progress = settle(progress, pending)
                    pending = (phase_step, result)
                    phase_step += 1
                    progress = dataclasses.replace(
                        progress,
                        step=progress.step + 1,
                        total_steps=progress.total_steps + 1,
                        seconds=progress.seconds + time.perf_counter() - start,
                        wait_seconds=progress.wait_seconds + waited,
                    )
                    run.callbacks.on_train_batch_end(progress.step - 1)
                    bar.update(progress)
                    due = time.monotonic() - last_saved >= run.checkpoint_seconds
                    if due or stopped:
                        progress, pending = settle(progress, pending), None
                        last_good = capture(progress)
                        where = save(last_good)
                        last_saved = time.monotonic()
                        if stopped:
                            _stop(stopped[0], where)
                start = time.perf_counter()
                progress, pending = settle(progress, pending), None
                scores = None
                if phase.validation_batches is not None:
                    scores = score(phase.validation_batches)
                progress = dataclasses.replace(
                    progress, seconds=progress.seconds + time.perf_counter() - start
                )
            except tf.errors.OpError as error:
                shared = isinstance(
                    run.strategy, tf.distribute.MultiWorkerMirroredStrategy
                )
                if not shared or isinstance(error, tf.errors.InvalidArgumentError):
                    raise
                where = save(last_good)
                reason = (error.message or str(error)).splitlines()[0]
                reason = reason.split("}} ")[-1]  # which op it was helps nobody
                raise TrainingError(
                    f"another worker is gone ({reason}); start all of them again{where}"
                ) from error
            finally:
                bar.close()
            rate = float(read_variable(optimizer.learning_rate))
            progress, improved = _end_epoch(run, phase, progress, scores, rate)
            if improved:
                best = {
                    f"best/{i}": read_variable(one)
                    for i, one in enumerate(run.model.weights)
                }
                run.save_best()
            last_good = capture(progress)
            if stopped:
                _stop(stopped[0], save(last_good))
    progress = dataclasses.replace(progress, phase_over=True)
    # The next phase, and the caller, go on from the best epoch.
    for index, weight in enumerate(run.model.weights):
        weight.assign(best[f"best/{index}"])
    last = capture(progress)
    save(last)
    return progress, last.arrays


def _end_epoch(
    run: Run,
    phase: Phase,
    progress: Progress,
    scores: ClipScores | None,
    learning_rate: float,
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
        "seconds": round(progress.seconds, 3),
        "clips_per_second": round(weight / max(progress.seconds, 1e-9), 2),
        "input_wait": round(progress.wait_seconds / max(progress.seconds, 1e-9), 4),
    }
    # Without a validation split the last epoch is the best one.
    better, loss = (float(len(progress.rows)), 0.0), row["loss"]
    if scores is not None:
        row["val_loss"] = loss = scores.loss
        row |= {f"val_top{k}": scores.top(k) for k in evaluation.TOP_K}
        # NaN would compare as neither better nor worse.
        better = (scores.top(1), -loss if math.isfinite(loss) else -math.inf)
    improved = progress.best is None or tuple(better) > tuple(progress.best)
    lower = progress.lowest_loss is None or loss < progress.lowest_loss
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
            confusion = evaluation.confusion_matrix(scores, len(run.glosses))
            png = history.confusion_png(confusion, run.glosses)
            run.events.image("confusion", png, len(rows))
    run.say(_summary(row, phase, progress.num_skipped, improved))
    if row["input_wait"] > _INPUT_WAIT_WARNING:
        run.say(
            f"  the step waited for input {row['input_wait']:.0%} of the time; "
            "`bin/bench input` says why and what to change"
        )
    if early:
        run.say(f"no better validation for {config.patience} epochs: phase ended early")
    run.callbacks.on_epoch_end(len(rows) - 1, logs)
    if getattr(run.model, "stop_training", False):
        finished = dataclasses.replace(finished, phase_over=True)
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


def _restore(
    state: Sequence[tuple[str, Any]], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Puts the arrays of a checkpoint back where they came from."""
    for name, variable in state:
        stored = arrays.get(name)
        if stored is None or stored.shape != tuple(variable.shape):
            raise TrainingError(
                f"the checkpoint does not fit the network ({name}, "
                f"{getattr(variable, 'path', variable.name)}): its recipe has changed; "
                "train again with another --out"
            )
        variable.assign(stored)


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collects SIGTERM and the first Ctrl-C, to stop between two steps."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received  # only the main thread may handle signals
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}

    def note(number: int, _: object) -> None:
        received.append(number)
        signal.signal(number, before[number])  # a second one stops at once

    for number in numbers:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number in numbers:
            signal.signal(number, before[number])


def _stop(number: int, where: str) -> None:
    """Ends the run for a signal, after its checkpoint."""
    raise TrainingError(f"stopped by {signal.Signals(number).name}{where}")


class _Bar:
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

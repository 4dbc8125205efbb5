"""The loop over the steps of one phase: validation, history, checkpoints.

Between two steps everything that the rest of the run depends on is in `Progress` and in
the variables of model, optimizer and step, so a run can be cut there and go on as if
nothing had happened.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import keras
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.evaluation.metrics import make_scorer
from wlasl_tfrecord.input_pipeline import distribution
from wlasl_tfrecord.network.saving import read_variable
from wlasl_tfrecord.training import schedules, strategies
from wlasl_tfrecord.training.checkpoints import Checkpoint, save_checkpoint
from wlasl_tfrecord.training.cluster import lost_worker
from wlasl_tfrecord.training.end_of_epoch import EpochBar, end_epoch
from wlasl_tfrecord.training.progress import Progress
from wlasl_tfrecord.training.run import Phase, Run
from wlasl_tfrecord.training.step import StepResult, make_training_step, part_seeds
from wlasl_tfrecord.training.stop_signals import stop

__all__ = ["run_phase"]


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
        scale_loss=strategies.dtype_policy(config.precision) == "mixed_float16",
    )
    score = make_scorer(run.strategy, phase.scored_model)
    state = [
        *((f"model/{i}", one) for i, one in enumerate(run.model.variables)),
        *((f"optimizer/{i}", one) for i, one in enumerate(optimizer.variables)),
        *((f"scale/{i}", one) for i, one in enumerate(training_step.variables)),
    ]
    best = {name: value for name, value in arrays.items() if name.startswith("best/")}
    if progress.epoch or progress.step or progress.phase_over:
        _restore(state, arrays)
    part_seeds(run.strategy, run.model, config.seed)

    def capture(now: Progress) -> Checkpoint:
        values = {name: read_variable(variable) for name, variable in state}
        return Checkpoint(now.total_steps, now, {**values, **best})

    def save(now: Checkpoint, go_on: bool = True) -> str:
        if not run.chief:
            return "; the first worker has the checkpoint"
        path = save_checkpoint(run.directory / "checkpoints", now)
        advice = f", go on with bin/train --resume {run.directory}" if go_on else ""
        return f"; {path} is the last good checkpoint{advice}"

    total_steps = phase.num_epochs * phase.steps_per_epoch
    phase_step = progress.epoch * phase.steps_per_epoch + progress.step
    batches: Iterator[Any] = iter(())
    if not progress.phase_over and phase_step < total_steps:
        batches = iter(
            distribution.distributed(run.strategy, phase.training_batches(phase_step))
        )

    def fail(message: str) -> NoReturn:
        # The same step would fail again; going on is no advice.
        raise TrainingError(message + save(last_good, go_on=False))

    stopped = run.stopped
    last_good = capture(progress)
    last_saved = time.monotonic()
    while not progress.phase_over and progress.epoch < phase.num_epochs:
        run.callbacks.on_epoch_begin(len(progress.rows))
        bar = EpochBar(run, phase, progress)
        pending: tuple[int, StepResult] | None = None

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
                progress = _settle(phase, progress, pending, fail)
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
                    progress, pending = (
                        _settle(phase, progress, pending, fail),
                        None,
                    )
                    last_good = capture(progress)
                    where = save(last_good)
                    last_saved = time.monotonic()
                    if stopped:
                        stop(stopped[0], where)
            start = time.perf_counter()
            progress, pending = _settle(phase, progress, pending, fail), None
            trained = time.perf_counter()
            progress = dataclasses.replace(
                progress, seconds=progress.seconds + trained - start
            )
            scores = None
            if phase.validation_batches is not None:
                scores = score(phase.validation_batches)
            validation_seconds = time.perf_counter() - trained
        except tf.errors.OpError as error:
            lost = lost_worker(run.strategy, error)
            if lost is None:
                raise
            raise TrainingError(lost + save(last_good)) from error
        finally:
            bar.close()
        rate = float(read_variable(optimizer.learning_rate))
        progress, improved = end_epoch(
            run, phase, progress, scores, rate, validation_seconds
        )
        if improved:
            best = {
                f"best/{i}": read_variable(one)
                for i, one in enumerate(run.model.weights)
            }
            run.save_best()
        last_good = capture(progress)
        if stopped:
            stop(stopped[0], save(last_good))
    progress = dataclasses.replace(progress, phase_over=True)
    # The next phase, and the caller, go on from the best epoch.
    for index, weight in enumerate(run.model.weights):
        weight.assign(best[f"best/{index}"])
    last = capture(progress)
    save(last)
    return progress, last.arrays


def _settle(
    phase: Phase,
    progress: Progress,
    pending: tuple[int, StepResult] | None,
    fail: Callable[[str], NoReturn],
) -> Progress:
    """Takes note of a step that the device has finished by now."""
    if pending is None:
        return progress
    phase_step, result = pending
    finite = bool(result.finite)
    # A scale above 1 can still fall; then a step that was skipped is no loss.
    if not finite and float(result.loss_scale) <= 1.0:
        epoch, step = divmod(phase_step, phase.steps_per_epoch)
        fail(
            f"the loss is not a number at step {step + 1} of epoch {epoch + 1} "
            f"({phase.name}), of the clips {phase.describe_step(phase_step)}; look at "
            "them, or train again with a lower --learning-rate and another --out"
        )
    totals = progress.sums
    if finite:
        totals = tuple(a + float(b) for a, b in zip(totals, result.sums.numpy()))
    skipped = progress.num_skipped + (not finite)
    return dataclasses.replace(progress, sums=totals, num_skipped=skipped)


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

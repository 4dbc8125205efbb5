"""The loop over the steps of one phase: validation, history, checkpoints.

Between two steps everything that the rest of the run depends on is in `Progress` and in
the variables of model, optimizer and step. A run can be stopped there and resumed as if
nothing had happened.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NoReturn

import keras
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.evaluation.metrics import ClipScores, make_scorer
from wlasl_tfrecord.input_pipeline import distribution
from wlasl_tfrecord.network.out_of_memory import one_line_out_of_memory
from wlasl_tfrecord.network.variables import (
    optimizer_names,
    read_variable,
    variable_names,
)
from wlasl_tfrecord.training import schedules, strategies
from wlasl_tfrecord.training.checkpoints import Checkpoint, save_checkpoint
from wlasl_tfrecord.training.cluster import lost_worker
from wlasl_tfrecord.training.end_of_epoch import EpochBar, end_epoch
from wlasl_tfrecord.training.memory import forward_memory_advice
from wlasl_tfrecord.training.phases import Phase
from wlasl_tfrecord.training.progress import Progress
from wlasl_tfrecord.training.run import Run
from wlasl_tfrecord.training.step import (
    StepResult,
    TrainingStep,
    differ_between_replicas,
)
from wlasl_tfrecord.training.stop_signals import stop
from wlasl_tfrecord.training.weight_average import WeightAverage

__all__ = ["restore_model", "run_phase"]


def run_phase(
    run: Run, phase: Phase, progress: Progress, arrays: Mapping[str, NDArray[Any]]
) -> Mapping[str, NDArray[Any]]:
    """Trains one phase to its end, from wherever it is.

    Args:
        run: What stays the same.
        phase: What to train.
        progress: How far the run has come; it is changed.
        arrays: Arrays of a checkpoint: the weights of the best epoch so far under
            `best/…`, and everything else if the phase has begun already.

    Returns:
        The arrays at the end. The model has the weights of the best epoch.

    Raises:
        TrainingError: If the loss is not a number, another worker dies, or the process
            is asked to stop.
    """
    return _PhaseLoop(run, phase, progress, arrays).train()


def restore_model(model: keras.Model, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Assigns the weights and seeds of a checkpoint to the model.

    Raises:
        TrainingError: If the checkpoint is not one of this network.
    """
    stored = {k: v for k, v in arrays.items() if k.startswith("model/")}
    _restore(_named_variables(model), stored)


class _InterruptedValidationError(Exception):
    """The process was asked to stop while it validated."""


class _PhaseLoop:
    """The state of the loop, and the steps, epochs and checkpoints made of it."""

    def __init__(
        self,
        run: Run,
        phase: Phase,
        progress: Progress,
        arrays: Mapping[str, NDArray[Any]],
    ) -> None:
        self._run = run
        self._phase = phase
        self._progress = progress
        with run.strategy.scope():
            self._optimizer = _make_optimizer(run, phase)
        run.callback_model.optimizer = self._optimizer
        self._average = None
        if run.config.weight_average:
            self._average = WeightAverage(
                run.strategy, run.model, run.config.weight_average
            )
        self._step = TrainingStep(
            run.strategy,
            phase.model,
            self._optimizer,
            prepare=phase.prepare,
            label_smoothing=run.config.label_smoothing,
            mixup=run.config.mixup,
            class_weights=phase.class_weights,
            accumulate=run.config.accumulate,
            scale_loss=strategies.dtype_policy(run.config.precision) == "mixed_float16",
            average=self._average,
        )
        self._score = make_scorer(
            run.strategy, phase.scored_model, self._interrupt_if_stopped
        )
        self._state = _named_state(run.model, self._optimizer, self._step)
        if self._average is not None:
            self._state |= {
                f"average/{name}": one for name, one in self._average.variables.items()
            }
        self._best = {
            name: value for name, value in arrays.items() if name.startswith("best/")
        }
        if progress.rows:
            _check_arrays(_named_weights(run.model), self._best)
        if progress.phase_has_begun:
            _restore(self._state, arrays)
        differ_between_replicas(run.strategy, run.model, run.config.seed)
        # The last step that was started, and its index in the phase.
        self._pending: tuple[int, StepResult] | None = None
        self._last_good = self._capture()
        self._last_saved = time.monotonic()

    def train(self) -> Mapping[str, NDArray[Any]]:
        """Trains all epochs that are left, and keeps the best one's weights."""
        progress = self._progress
        batches = self._batches()
        while not progress.phase_over and progress.epoch < self._phase.num_epochs:
            self._train_epoch(batches)
            self._last_good = self._capture()
            if self._run.stopped:
                stop(self._run.stopped[0], self._save())
        progress.phase_over = True
        # The next phase, and the caller, continue from the best epoch.
        for name, weight in _named_weights(self._run.model).items():
            weight.assign(self._best[name])
        self._last_good = self._capture()
        self._save()
        return self._last_good.arrays

    @property
    def _phase_step(self) -> int:
        """The index of the next step in the phase."""
        return self._progress.epoch * self._phase.steps_per_epoch + self._progress.step

    @property
    def _num_phase_steps(self) -> int:
        return self._phase.num_epochs * self._phase.steps_per_epoch

    def _batches(self) -> Iterator[Any]:
        """Returns the input from the next step on; nothing is read if there is none."""
        if self._progress.phase_over or self._phase_step >= self._num_phase_steps:
            return iter(())
        make_batches = self._phase.training_batches(self._phase_step)
        return iter(distribution.distributed(self._run.strategy, make_batches))

    def _train_epoch(self, batches: Iterator[Any]) -> None:
        """Trains one epoch, or the rest of it, and validates."""
        run, phase, progress = self._run, self._phase, self._progress
        run.callbacks.on_epoch_begin(len(progress.rows))
        bar = EpochBar(run, phase, progress)
        try:
            while progress.step < phase.steps_per_epoch:
                self._train_step(batches)
                bar.update(progress)
                self._save_if_due()
            self._end_epoch()
        except _InterruptedValidationError:
            # As after the epoch's last step: resumed, the validation begins again.
            self._last_good = self._capture()
            stop(run.stopped[0], self._save())
        except tf.errors.OpError as error:
            lost = lost_worker(run.strategy, error)
            if lost is None:
                raise
            raise TrainingError(lost + self._save()) from error
        finally:
            bar.close()

    def _end_epoch(self) -> None:
        """Validates, and keeps the weights if they are the best so far."""
        run, phase, progress = self._run, self._phase, self._progress
        start = time.perf_counter()
        self._settle()
        trained = time.perf_counter()
        progress.totals.seconds += trained - start
        averaged = contextlib.nullcontext()
        if self._average is not None:
            averaged = self._average.applied()
        with averaged:
            scores = self._validate()
            seconds = time.perf_counter() - trained
            rate = float(read_variable(self._optimizer.learning_rate))
            if end_epoch(run, phase, progress, scores, rate, seconds):
                self._best = {
                    name: read_variable(one)
                    for name, one in _named_weights(run.model).items()
                }
                run.save_best()

    def _train_step(self, batches: Iterator[Any]) -> None:
        """Starts one step, and waits for the one before."""
        progress, callbacks = self._progress, self._run.callbacks
        start = time.perf_counter()
        batch = next(batches)
        waited = time.perf_counter() - start
        schedule = self._run.config.schedule
        if schedule != "constant":  # else it is the peak, or what a callback has set
            self._optimizer.learning_rate = schedules.learning_rate_at(
                schedule,
                self._phase.learning_rate,
                self._phase_step,
                self._num_phase_steps,
                progress.stopping.plateau_factor,
            )
        callbacks.on_train_batch_begin(progress.step)
        result = self._step.run(batch)
        # One step behind, so that the device never waits for this thread.
        self._settle()
        self._pending = (self._phase_step, result)
        progress.step += 1
        progress.total_steps += 1
        progress.totals.seconds += time.perf_counter() - start
        progress.totals.wait_seconds += waited
        callbacks.on_train_batch_end(progress.step - 1)

    def _settle(self) -> None:
        """Adds a step that the device has finished by now to the totals."""
        if self._pending is None:
            return
        (phase_step, result), self._pending = self._pending, None
        totals = self._progress.totals
        if bool(result.finite):
            totals.sums = tuple(
                a + float(b) for a, b in zip(totals.sums, result.sums.numpy())
            )
        elif float(result.loss_scale) > 1.0:
            # A scale above 1 can still fall; a step that was skipped is no loss.
            totals.num_skipped += 1
        else:
            self._refuse(phase_step)

    def _refuse(self, phase_step: int) -> NoReturn:
        """Ends the run at a step whose loss is not a number."""
        epoch, step = divmod(phase_step, self._phase.steps_per_epoch)
        raise TrainingError(
            f"the loss is not a number at step {step + 1} of epoch {epoch + 1} "
            f"({self._phase.name}), of the clips "
            f"{self._phase.describe_step(phase_step)}; look at them, or train again "
            "with a lower --learning-rate and another --out"
            # The same step would fail again; resuming is no advice.
            + self._save(advise_resuming=False)
        )

    def _validate(self) -> ClipScores | None:
        if self._phase.validation_batches is None:
            return None
        run = self._run
        if run.scored_model is not run.model:
            pairs = zip(run.scored_model.weights, run.model.weights, strict=True)
            for scored, trained in pairs:
                scored.assign(read_variable(trained))
        advice = partial(forward_memory_advice, "validation", run)
        with one_line_out_of_memory(advice):
            return self._score(self._phase.validation_batches)

    def _interrupt_if_stopped(self) -> None:
        """Ends a validation, which may take minutes, where a signal has come."""
        if self._run.stopped:
            raise _InterruptedValidationError

    def _save_if_due(self) -> None:
        """Writes a checkpoint now and then, and when the process is asked to stop."""
        run = self._run
        due = time.monotonic() - self._last_saved >= run.checkpoint_seconds
        if not (due or run.stopped):
            return
        self._settle()
        self._last_good = self._capture()
        where = self._save()
        self._last_saved = time.monotonic()
        if run.stopped:
            stop(run.stopped[0], where)

    def _capture(self) -> Checkpoint:
        """Copies everything that the rest of the run depends on."""
        values = {name: read_variable(one) for name, one in self._state.items()}
        progress = self._progress.snapshot()
        return Checkpoint(progress.total_steps, progress, {**values, **self._best})

    def _save(self, *, advise_resuming: bool = True) -> str:
        """Writes the last good state, and returns the end of a message: where it is."""
        run = self._run
        if not run.chief:
            return "; the first worker has the checkpoint"
        path = save_checkpoint(run.directory / "checkpoints", self._last_good)
        advice = f", resume with bin/train --resume {run.directory}"
        return (
            f"; {path} is the last good checkpoint{advice if advise_resuming else ''}"
        )


def _make_optimizer(run: Run, phase: Phase) -> keras.optimizers.Optimizer:
    optimizer = keras.optimizers.AdamW(
        phase.learning_rate, weight_decay=run.config.weight_decay
    )
    # Shrinking a bias or a scale towards 0 regularises nothing.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _named_state(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, step: TrainingStep
) -> dict[str, Any]:
    """Names every variable that a checkpoint holds."""
    names = variable_names(model.variables)
    by_path = {one.path: name for one, name in zip(model.variables, names)}
    kept = optimizer_names(optimizer, by_path)
    return {
        **_named_variables(model),
        **{f"optimizer/{name}": one for name, one in zip(kept, optimizer.variables)},
        **{f"step/{one.name.partition(':')[0]}": one for one in step.variables},
    }


def _named_variables(model: keras.Model) -> dict[str, Any]:
    """Names weights and seeds of a model as a checkpoint holds them."""
    names = variable_names(model.variables)
    return {f"model/{name}": one for name, one in zip(names, model.variables)}


def _named_weights(model: keras.Model) -> dict[str, Any]:
    """Names the weights of the best epoch as a checkpoint holds them."""
    names = variable_names(model.weights)
    return {f"best/{name}": one for name, one in zip(names, model.weights)}


def _restore(state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Assigns the arrays of a checkpoint.

    Raises:
        TrainingError: If the checkpoint is not one of this network; it names a variable
            that one of them lacks, or that has another shape.
    """
    _check_arrays(state, arrays)
    unknown = [
        name for name in arrays if not name.startswith("best/") and name not in state
    ]
    if unknown:
        raise _other_network(f"the network has no {unknown[0]}")
    for name, variable in state.items():
        variable.assign(arrays[name])


def _check_arrays(state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Checks that a checkpoint has an array for each variable."""
    for name, variable in state.items():
        stored = arrays.get(name)
        if stored is None:
            raise _other_network(f"it has no {name}")
        if stored.shape != tuple(variable.shape):
            raise _other_network(
                f"{name} has shape {stored.shape}, not {tuple(variable.shape)}"
            )


def _other_network(why: str) -> TrainingError:
    return TrainingError(
        f"the checkpoint does not fit the network ({why}): its recipe, or Keras, has "
        "changed; train again with another --out"
    )

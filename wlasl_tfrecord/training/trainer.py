"""Training: from a shard folder and a recipe to a run folder with a model in it."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.evaluation.metrics import rank
from wlasl_tfrecord.input_pipeline import dataset, distribution
from wlasl_tfrecord.input_pipeline.damaged_records import damaged_records_by_name
from wlasl_tfrecord.network import model_info, recipes, saving
from wlasl_tfrecord.network.recipes import Recipe
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_folder
from wlasl_tfrecord.training import checkpoints, run_folder, strategies, tensorboard
from wlasl_tfrecord.training.cluster import differs, lost_worker, sum_over_replicas
from wlasl_tfrecord.training.config import TrainConfig
from wlasl_tfrecord.training.loop import run_phase
from wlasl_tfrecord.training.phases import make_phase, phase_names
from wlasl_tfrecord.training.progress import Progress
from wlasl_tfrecord.training.run import Run
from wlasl_tfrecord.training.run_config import (
    check_same_run,
    read_run_config,
    write_run_config,
)
from wlasl_tfrecord.training.stop_signals import stop_signals

__all__ = [
    "TrainReport",
    "report_run",
    "train",
]


@dataclass(frozen=True, kw_only=True)
class TrainReport:
    """What a training left behind.

    Attributes:
        run_dir: Where it lies.
        best: The history's row of the epoch whose weights the model has.
        num_epochs: How many epochs there were, over all phases.
        seconds: What they took.
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


def report_run(run_dir: Path, rows: Sequence[Mapping[str, Any]]) -> TrainReport:
    """Makes the report of a run from its history."""
    return TrainReport(
        run_dir=run_dir,
        best=_best(rows),
        num_epochs=len(rows),
        seconds=sum(row["seconds"] for row in rows),
    )


def _best(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Finds the epoch whose weights were kept."""
    if "val_top1" not in rows[-1]:
        return rows[-1]
    return max(rows, key=lambda row: rank(row["val_top1"], row["val_loss"]))


def train(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: TrainConfig | None = None,
    *,
    strategy: tf.distribute.Strategy | None = None,
    checkpoint_minutes: float = 10.0,
    save_h5: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    say: Callable[[str], None] | None = None,
) -> TrainReport:
    """Trains a recogniser, or goes on with a training that was cut off.

    With a pretrained backbone there are two phases, as practitioners do it: first the
    head alone, from cached features; then, if asked for, the backbone's last blocks
    too, at a lower rate. Without one, everything is trained in a single phase.

    Args:
        data: The shard folder; the split "val" chooses the best epoch.
        out: The run folder. If it holds a run with the same choices, that goes on.
        config: The choices.
        strategy: From `strategies.make_strategy`; by default one device. Or the
            MirroredStrategy that the process has already: TensorFlow mixes up the
            collective operations of two ("Shape mismatch").
        checkpoint_minutes: How often to write a checkpoint.
        save_h5: Also write the model as `model.h5`.
        callbacks: Keras callbacks, told of epochs and batches; the logs of a batch are
            empty, because nothing waits for its numbers. One that sets the model's
            `stop_training` ends the run behind the epoch. The model has no optimizer:
            what sets its rate (ReduceLROnPlateau …) or reads it (TensorBoard) fails.
        say: Takes each line of progress; by default to stderr.

    Raises:
        ShardFolderError: If the shards cannot be used, or a record is damaged.
        RecipeError: If the network cannot be built.
        TrainingError: If the run cannot start, go on or be resumed.
        OutputError: If the run folder cannot be written to, or another run does.
        ValueError: If the batch cannot be shared among the replicas.
    """
    config = config or TrainConfig()
    if strategy is None:
        strategy = strategies.make_strategy("none")
    assert strategy is not None  # TensorFlow's type says it might be
    chief = strategies.is_chief(strategy)
    if say is None:
        say = partial(print, file=sys.stderr, flush=True)
    if not chief:
        say = _say_nothing
    # Who goes on over damaged records goes on over a file that was cut off, too.
    folder = load_folder(data, check_shards=config.max_bad_records == 0)
    replica_batch = distribution.per_replica_batch_size(config.batch_size, strategy)
    if replica_batch % config.accumulate:
        raise ValueError(
            f"--accumulate {config.accumulate} does not divide the {replica_batch} "
            "clips of a replica"
        )
    # Also says at once if the split is missing, or smaller than a batch.
    dataset.steps_per_epoch(folder, "train", config.batch_size)
    recipe = recipes.load_recipe(config.recipe)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    run_dir = Path(out)
    with (
        run_folder.own_folder(run_dir) if chief else contextlib.nullcontext(),
        stop_signals() as stopped,
        _lost_workers_by_name(strategy),
    ):
        return _train(
            run_dir,
            folder,
            recipe,
            config,
            strategy=strategy,
            checkpoint_minutes=checkpoint_minutes,
            save_h5=save_h5,
            callbacks=callbacks,
            stopped=stopped,
            say=say,
        )


def _train(
    run_dir: Path,
    folder: ShardFolder,
    recipe: Recipe,
    config: TrainConfig,
    *,
    strategy: tf.distribute.Strategy,
    checkpoint_minutes: float,
    save_h5: bool,
    callbacks: Sequence[keras.callbacks.Callback],
    stopped: Sequence[int],
    say: Callable[[str], None],
) -> TrainReport:
    """Trains in a run folder that is this process's own."""
    chief = strategies.is_chief(strategy)
    is_new = not (run_dir / run_folder.CONFIG_FILE).exists()
    resumed = None
    if not is_new:
        if chief:
            stored = read_run_config(run_dir)
            check_same_run(run_dir, stored, config, folder, recipe)
        resumed = checkpoints.load_newest(run_dir / "checkpoints", say)
    step = -1 if resumed is None else resumed.step
    if differs(strategy, step):
        here = "holds no checkpoint" if resumed is None else f"is at step {step}"
        raise TrainingError(
            f"the workers see different run folders: {run_dir} {here} on this one; put "
            "it on a disk that all of them share, or train again with another --out"
        )

    keras.utils.set_random_seed(config.seed)
    policy = strategies.dtype_policy(config.precision)
    options = {"weights": config.weights, **config.recipe_options}
    with strategy.scope():
        model = saving.build_model(recipe, folder, options, policy)
    names = phase_names(model, recipe, config)
    # What is saved computes in float32, so that any machine can load and run it.
    saved_model = model
    if policy != "float32":
        saved_model = saving.build_model(recipe, folder, options, "float32")
    if is_new and chief:
        # Only now: a network that cannot be built, for want of its weights, must leave
        # no run behind that other options would not fit.
        replicas = strategy.num_replicas_in_sync
        write_run_config(run_dir, config, folder, recipe, replicas)
    info = model_info.ModelInfo(
        glosses=folder.glosses,
        clip=folder.clip,
        framing=folder.framing,
        recipe={"name": recipe.name, **options},
    )
    callback_list = keras.callbacks.CallbackList(list(callbacks), model=model)
    run = Run(
        directory=run_dir,
        config=config,
        strategy=strategy,
        model=model,
        glosses=folder.glosses,
        checkpoint_seconds=checkpoint_minutes * 60,
        save_best=partial(saving.save_model, run_dir, model, saved_model, info, chief),
        events=tensorboard.EventLog(run_dir / "tensorboard") if chief else None,
        callbacks=callback_list,
        stopped=stopped,
        say=say,
    )
    say(
        f"training {recipe.name} ({model.count_params():,} weights, {policy}) on "
        f"{folder.num_clips('train')} clips of {folder.num_classes} glosses, "
        f"{strategy.num_replicas_in_sync} replica(s) of "
        f"{config.batch_size // strategy.num_replicas_in_sync} clips"
    )
    progress, arrays = Progress(), {}
    if resumed is not None:
        progress, arrays = resumed.progress, resumed.arrays
        for index, variable in enumerate(model.variables):
            if f"model/{index}" in arrays:
                variable.assign(arrays[f"model/{index}"])
        say(f"going on from step {resumed.step} in {run_dir}")
    callback_list.on_train_begin()
    if "head" not in names:
        say("no pretrained backbone to keep: one phase trains the whole network")
    for number, name in enumerate(names):
        if number < progress.phase or (
            number == progress.phase and progress.phase_over
        ):
            continue
        if number > progress.phase:
            progress = _next_phase(progress, number)
        with damaged_records_by_name():
            phase = make_phase(name, run, recipe, folder)
            progress, arrays = run_phase(run, phase, progress, arrays)
        if getattr(model, "stop_training", False):
            break  # a callback has asked for it
    callback_list.on_train_end()
    if run.events is not None:
        run.events.close()
    if resumed is not None:
        # Of the run before, it may be gone, or be newer than the checkpoint was.
        run.save_best()
    if save_h5 and chief:
        saving.save_h5(run_dir, recipe, folder, options, say)
    # A worker that leaves while another works would be taken for dead.
    sum_over_replicas(strategy, [1])
    return report_run(run_dir, progress.rows)


def _next_phase(progress: Progress, number: int) -> Progress:
    """Begins a phase: its own patience, the best model and the history so far."""
    return Progress(
        phase=number,
        total_steps=progress.total_steps,
        best=progress.best,
        rows=progress.rows,
    )


@contextlib.contextmanager
def _lost_workers_by_name(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns what TensorFlow says of a worker that is gone into one line."""
    try:
        yield
    except tf.errors.OpError as error:
        lost = lost_worker(strategy, error)
        if lost is None:
            raise
        raise TrainingError(lost) from error


def _say_nothing(line: str) -> None:
    """Keeps all workers but the first quiet."""
    del line

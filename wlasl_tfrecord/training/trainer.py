"""Training: from a shard folder and a recipe to a run folder with a model in it."""

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf

from wlasl_tfrecord.errors import OutOfMemoryError, RecipeError, TrainingError
from wlasl_tfrecord.input_pipeline import dataset, distribution
from wlasl_tfrecord.input_pipeline.damaged_records import damaged_records_by_name
from wlasl_tfrecord.input_pipeline.data_service import served_errors_by_name
from wlasl_tfrecord.network import model_info, recipes, saving
from wlasl_tfrecord.network.inputs import input_names
from wlasl_tfrecord.network.own_recipes import remember_recipe
from wlasl_tfrecord.network.recipes import Recipe
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_folder
from wlasl_tfrecord.training import checkpoints, run_folder, strategies, tensorboard
from wlasl_tfrecord.training.callbacks import check_callbacks
from wlasl_tfrecord.training.checkpoints import Checkpoint
from wlasl_tfrecord.training.cluster import differs, lost_worker, sum_over_replicas
from wlasl_tfrecord.training.config import TrainConfig
from wlasl_tfrecord.training.loop import restore_model, run_phase
from wlasl_tfrecord.training.memory import memory_advice
from wlasl_tfrecord.training.phases import make_phase, phase_names
from wlasl_tfrecord.training.pretraining import build_options, pretrained_weights
from wlasl_tfrecord.training.progress import Progress
from wlasl_tfrecord.training.recipe_check import check_recipe
from wlasl_tfrecord.training.report import TrainReport, report_run
from wlasl_tfrecord.training.run import Run
from wlasl_tfrecord.training.run_config import (
    check_same_run,
    read_run_config,
    write_run_config,
)
from wlasl_tfrecord.training.stop_signals import stop_signals

__all__ = ["begin_run", "train"]


def train(
    data: str | os.PathLike[str] | ShardFolder,
    out: str | os.PathLike[str],
    config: TrainConfig | None = None,
    *,
    strategy: tf.distribute.Strategy | None = None,
    checkpoint_minutes: float = 10.0,
    save_h5: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    data_service: str | None = None,
    say: Callable[[str], None] | None = None,
) -> TrainReport:
    """Trains a recogniser, or resumes a training that was interrupted.

    With a pretrained backbone there are two phases, as practitioners do it: first the
    head alone, from cached features; then, if asked for, the backbone's last blocks
    too, at a lower rate. Without one, everything is trained in a single phase.

    Args:
        data: The shard folder, or what `load_folder` returned; the split "val" chooses
            the best epoch.
        out: The run folder. If it holds a run with the same choices, it is resumed.
        config: Choices that decide the weights.
        strategy: From `strategies.make_strategy`; by default one device. Or the
            MirroredStrategy that the process has already: TensorFlow mixes up the
            collective operations of two ("Shape mismatch").
        checkpoint_minutes: Minutes between two checkpoints.
        save_h5: Whether to write the model as `model.h5` too.
        callbacks: Keras callbacks, called for epochs and batches. The logs of a batch
            are empty, because nothing waits for its numbers. One that sets the model's
            `stop_training` ends the run after the epoch. Those that set the learning
            rate (ReduceLROnPlateau …) need the schedule "constant".
        data_service: grpc://host:port of a tf.data service that makes the batches; see
            `input_fn`. The weights are those without it, but for rounding.
        say: Takes each line of progress; by default stderr does.

    Raises:
        DataServiceError: If the data service sends nothing.
        ShardFolderError: If the shards cannot be used, or a record is damaged.
        RecipeError: If the network cannot be built.
        TrainingError: If the run cannot start, continue or be resumed.
        OutputError: If the run folder cannot be written to, or another run does.
        OutOfMemoryError: If the clips that are computed at once do not fit in memory.
        ValueError: If the batch cannot be shared among the replicas, or a callback
            could not do its work.
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
    check_callbacks(callbacks, config)
    folder = _loaded(data, config.max_bad_records)
    _check_parts(config, strategy)
    # Raises at once if the split is missing, or smaller than a batch.
    dataset.steps_per_epoch(folder, "train", config.batch_size)
    run_dir = Path(out)
    # The chief's: of several workers it alone need see the folder.
    expected = None
    if chief and (run_dir / run_folder.CONFIG_FILE).exists():
        expected = read_run_config(run_dir).recipe_sha256
    recipe = recipes.load_recipe(config.recipe, expected)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    with (
        run_folder.own_folder(run_dir) if chief else contextlib.nullcontext(),
        stop_signals() as stopped,
        _one_line_errors(strategy, folder, config, run_dir),
    ):
        resumed = _resume(run_dir, folder, config, strategy, say)
        if resumed is None and config.recipe not in recipes.recipe_paths():
            check_recipe(recipe, folder, config)
        if save_h5 and chief and resumed is None:
            saving.check_h5(recipe, folder, build_options(recipe, config))
        weights = None  # a checkpoint has them
        if resumed is None:
            weights = pretrained_weights(recipe, folder, config, strategy, stopped, say)
        run = begin_run(
            run_dir,
            folder,
            recipe,
            config,
            weights=weights,
            strategy=strategy,
            checkpoint_seconds=checkpoint_minutes * 60,
            callbacks=callbacks,
            data_service=data_service,
            stopped=stopped,
            say=say,
        )
        progress = _train_phases(run, resumed)
        if resumed is not None:
            # The one in the run folder may be gone, or newer than the checkpoint was.
            run.save_best()
        if save_h5 and chief:
            options = build_options(recipe, config, weights)
            saving.save_h5(run_dir, recipe, folder, options, say)
        # The others would take a worker that leaves while they work for dead.
        sum_over_replicas(strategy, [1])
        return report_run(run_dir, progress.rows, config.choose_by)


def _loaded(
    data: str | os.PathLike[str] | ShardFolder, max_bad_records: int
) -> ShardFolder:
    if isinstance(data, ShardFolder):
        return data
    # With `max_bad_records`, truncated files are accepted too.
    return load_folder(data, check_shards=max_bad_records == 0)


def _resume(
    run_dir: Path,
    folder: ShardFolder,
    config: TrainConfig,
    strategy: tf.distribute.Strategy,
    say: Callable[[str], None],
) -> Checkpoint | None:
    """Reads the newest checkpoint of a run that is there already, and checks the run.

    Raises:
        TrainingError: If the run in the folder has other options, or another worker
            sees another checkpoint.
    """
    resumed = None
    if (run_dir / run_folder.CONFIG_FILE).exists():
        if strategies.is_chief(strategy):
            stored = read_run_config(run_dir)
            check_same_run(run_dir, stored, config, folder)
        resumed = checkpoints.load_newest(run_dir / "checkpoints", say)
    step = -1 if resumed is None else resumed.step
    if differs(strategy, step):
        here = "holds no checkpoint" if resumed is None else f"is at step {step}"
        raise TrainingError(
            f"the workers see different run folders: {run_dir} {here} on this one; put "
            "it on a disk that all of them share, or train again with another --out"
        )
    return resumed


def _check_parts(config: TrainConfig, strategy: tf.distribute.Strategy) -> None:
    """Refuses parts of a batch that cannot be made, or not be mixed.

    Raises:
        ValueError: Names the options.
    """
    replica_batch = distribution.per_replica_batch_size(config.batch_size, strategy)
    if replica_batch % config.accumulate:
        raise ValueError(
            f"--accumulate {config.accumulate} does not divide the {replica_batch} "
            "clips of a replica"
        )
    if config.mixup and replica_batch == config.accumulate:
        raise ValueError(
            f"--mixup {config.mixup:g} mixes clips that are computed together, and a "
            "replica computes each alone; leave it out, or use less --accumulate or a "
            "larger --batch-size"
        )


def begin_run(
    out: str | os.PathLike[str],
    folder: ShardFolder,
    recipe: Recipe,
    config: TrainConfig,
    *,
    weights: str | None = None,
    strategy: tf.distribute.Strategy,
    checkpoint_seconds: float = math.inf,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    data_service: str | None = None,
    stopped: Sequence[int] = (),
    say: Callable[[str], None] | None = None,
) -> Run:
    """Builds the network, describes a new run in its folder, and says what it is.

    Args:
        out: The run folder.
        folder: The shards.
        recipe: The recipe of `config`, loaded.
        config: Choices that decide the weights.
        weights: What the recipe has pretrained; see `build_options`.
        strategy: Devices that share a batch.
        checkpoint_seconds: Time between two checkpoints.
        callbacks: Keras callbacks.
        data_service: What makes the batches of frames; None for this process.
        stopped: Signals received; see `stop_signals`.
        say: Takes lines of progress; None for nobody.

    Raises:
        RecipeError: If the network cannot be built.
        TrainingError: If a phase needs blocks of the backbone, and there are none.
        OutputError: If the run folder cannot be written to.
    """
    run_dir, say = Path(out), say or _say_nothing
    chief = strategies.is_chief(strategy)
    keras.utils.set_random_seed(config.seed)
    policy = strategies.dtype_policy(config.precision)
    options = build_options(recipe, config, weights)
    with strategy.scope():
        model = saving.build_model(
            recipe, folder, options, policy, num_frames=config.train_frames
        )
        scored_model = model
        if config.train_frames:
            scored_model = saving.build_model(recipe, folder, options, policy)
            _check_same_weights(recipe, model, scored_model)
    # Before anything is written: a phase may need blocks, and the recipe name none.
    phase_names(model, recipe, config)
    # What is saved computes in float32, so that any machine can load and run it.
    saved_model = scored_model
    if policy != "float32":
        saved_model = saving.build_model(recipe, folder, options, "float32")
    # The caller has named it: from now on a run folder's copy of it may be executed.
    remember_recipe(recipe.sha256)
    num_replicas = strategy.num_replicas_in_sync
    if chief and not (run_dir / run_folder.CONFIG_FILE).exists():
        # Only now: a network that cannot be built, for want of its weights, must leave
        # no run behind that other options would not fit.
        write_run_config(run_dir, config, folder, recipe, num_replicas)
    info = model_info.ModelInfo(
        glosses=folder.glosses,
        clip=folder.clip,
        framing=folder.framing,
        recipe={"name": recipe.name, **options},
        recipe_sha256=recipe.sha256,
        inputs=input_names(model),
    )
    say(
        f"training {recipe.name} ({model.count_params():,} weights, {policy}) on "
        f"{folder.num_clips('train')} clips of {folder.num_classes} glosses, "
        f"{num_replicas} replica(s) of {config.batch_size // num_replicas} clips"
    )
    callback_model = keras.Model(model.input, model.output, name=model.name)
    return Run(
        directory=run_dir,
        folder=folder,
        config=config,
        recipe=recipe,
        strategy=strategy,
        model=model,
        scored_model=scored_model,
        checkpoint_seconds=checkpoint_seconds,
        save_best=partial(saving.save_model, run_dir, model, saved_model, info, chief),
        events=tensorboard.EventLog(run_dir / "tensorboard") if chief else None,
        callbacks=keras.callbacks.CallbackList(list(callbacks), model=callback_model),
        callback_model=callback_model,
        stopped=stopped,
        data_service=data_service,
        say=say,
    )


def _check_same_weights(
    recipe: Recipe, model: keras.Model, scored_model: keras.Model
) -> None:
    """Refuses a network whose weights depend on the number of frames.

    Raises:
        RecipeError: If they do.
    """
    shapes = [
        [tuple(one.shape) for one in net.weights] for net in (model, scored_model)
    ]
    if shapes[0] != shapes[1]:
        raise RecipeError(
            f"{recipe.path}: the weights depend on the number of frames, so what is "
            f"trained on {model.inputs[0].shape[1]} frames cannot be used on "
            f"{scored_model.inputs[0].shape[1]}; leave out --train-frames"
        )


def _train_phases(run: Run, resumed: Checkpoint | None) -> Progress:
    """Trains all phases, or those that a resumed run has left."""
    progress, arrays = Progress(), {}
    if resumed is not None:
        progress, arrays = resumed.progress, resumed.arrays
        restore_model(run.model, arrays)
        run.say(f"resuming from step {resumed.step} in {run.directory}")
    names = phase_names(run.model, run.recipe, run.config)
    _check_place(run, names, progress)
    run.callbacks.on_train_begin()
    if "head" not in names:
        why = "the backbone is not frozen"
        if run.config.freeze_backbone:
            why = "no pretrained backbone to keep"
        run.say(f"{why}: one phase trains the whole network")
    for index, name in enumerate(names):
        if index < progress.phase or (index == progress.phase and progress.phase_over):
            continue
        if index > progress.phase:
            progress.begin_phase(index)
        with damaged_records_by_name(), served_errors_by_name():
            phase = make_phase(name, run)
            arrays = run_phase(run, phase, progress, arrays)
        if run.stop_training:
            break  # a callback has asked for it
    run.callbacks.on_train_end()
    if run.events is not None:
        run.events.close()
    return progress


def _check_place(run: Run, names: Sequence[str], progress: Progress) -> None:
    """Refuses a checkpoint of a place that this run does not have.

    Raises:
        TrainingError: If it is one; a run folder may have been received from others.
    """
    config = run.config
    num_epochs = [
        config.fine_tune_epochs if name == "fine-tune" else config.epochs
        for name in names
    ]
    steps = dataset.steps_per_epoch(run.folder, "train", config.batch_size)
    try:
        progress.check_place(num_epochs, steps)
    except ValueError as error:
        raise TrainingError(
            f"the checkpoint in {run.directory} is damaged ({error}); train again with "
            "another --out"
        ) from error


@contextlib.contextmanager
def _one_line_errors(
    strategy: tf.distribute.Strategy,
    folder: ShardFolder,
    config: TrainConfig,
    run_dir: Path,
) -> Iterator[None]:
    """Turns TensorFlow's errors about memory and lost workers into one line each."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        advice = memory_advice(folder, config, strategy.num_replicas_in_sync)
        resume = ""
        if checkpoints.load_newest(run_dir / "checkpoints", _say_nothing) is not None:
            resume = f"; with the first two, bin/train --resume {run_dir} continues"
        raise OutOfMemoryError(advice + resume) from error
    except tf.errors.OpError as error:
        lost = lost_worker(strategy, error)
        if lost is None:
            raise
        raise TrainingError(lost) from error


def _say_nothing(line: str) -> None:
    """Prints nothing: of several workers only the first one reports."""
    del line

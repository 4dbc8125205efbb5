"""Training: from a shard folder and a recipe to a run folder with a model in it."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

import wlasl_tfrecord
from wlasl_tfrecord import (
    augment,
    checkpoints,
    dataset,
    evaluation,
    features,
    history,
    recipes,
    runs,
    strategies,
)
from wlasl_tfrecord.augment import AugmentConfig
from wlasl_tfrecord.errors import OutputError, RecipeError, TrainingError
from wlasl_tfrecord.index import ShardFolder, load_folder, load_records
from wlasl_tfrecord.loop import MakeBatches, Phase, Progress, Run, run_phase
from wlasl_tfrecord.recipes import Recipe
from wlasl_tfrecord.steps import (
    batches_of_clips,
    damaged_records_by_name,
    read_variable,
)
from wlasl_tfrecord.train_config import TrainConfig, changed_options

__all__ = ["TrainReport", "train"]


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
        strategy: From `strategies.make_strategy`; by default one device.
        checkpoint_minutes: How often to write a checkpoint.
        save_h5: Also write the model as `model.h5`.
        callbacks: Keras callbacks, told of epochs and batches; the logs of a batch are
            empty, because nothing waits for its numbers.
        say: Takes each line of progress; by default to stderr.

    Raises:
        ShardFolderError: If the shards cannot be used, or a record is damaged.
        RecipeError: If the network cannot be built.
        TrainingError: If the run cannot start, go on or be resumed.
        OutputError: If the run folder cannot be written to.
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
    folder = load_folder(data)
    replica_batch = strategies.per_replica_batch_size(config.batch_size, strategy)
    if replica_batch % config.accumulate:
        raise ValueError(
            f"--accumulate {config.accumulate} does not divide the {replica_batch} "
            "clips of a replica"
        )
    # Also says at once if the split is missing, or smaller than a batch.
    dataset.steps_per_epoch(folder, "train", config.batch_size)
    run_dir = Path(out)
    recipe = recipes.load_recipe(config.recipe)
    resumed = _open_run(run_dir, folder, config, strategy, say)

    keras.utils.set_random_seed(config.seed)
    policy = strategies.dtype_policy(config.precision)  # pyright: ignore
    options = {"weights": config.weights, **config.recipe_options}
    with strategy.scope():
        model = _build(recipe, folder, options, policy, config.remat)
    # What is saved computes in float32, so that any machine can load and run it.
    saved_model = model
    if policy != "float32" or config.remat:
        saved_model = _build(recipe, folder, options, "float32", False)
    info = runs.ModelInfo(
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
        save_best=partial(_save_model, run_dir, model, saved_model, info, chief, say),
        describe_step=partial(_describe_step, folder, config),
        events=history.EventLog(run_dir / "tensorboard") if chief else None,
        callbacks=callback_list,
        say=say,
    )
    say(
        f"training {recipe.name} ({model.count_params():,} weights, {policy}) on "
        f"{folder.num_clips('train')} clips of {folder.num_classes} glosses, "
        f"{strategy.num_replicas_in_sync} replica(s) of {replica_batch} clips"
    )
    progress, arrays = Progress(), {}
    if resumed is not None:
        progress, arrays = Progress.from_json(resumed.progress), resumed.arrays
        for index, variable in enumerate(model.variables):
            if f"model/{index}" in arrays:
                variable.assign(arrays[f"model/{index}"])
        say(f"going on from step {resumed.step} in {run_dir}")
    callback_list.on_train_begin()
    names = _phase_names(model, config)
    if "head" not in names:
        say("no pretrained backbone to keep: the whole network is trained")
    for number, name in enumerate(names):
        if number < progress.phase or (
            number == progress.phase and progress.phase_over
        ):
            continue
        if number > progress.phase:
            progress = _next_phase(progress, number)
        with damaged_records_by_name():
            phase = _make_phase(name, run, recipe, folder)
            progress, arrays = run_phase(run, phase, progress, arrays)
    callback_list.on_train_end()
    if run.events is not None:
        run.events.close()
    if save_h5 and chief:
        _save_h5(run_dir, recipe, folder, options, say)
    _wait_for_all(strategy)
    rows = progress.rows
    return TrainReport(
        run_dir=run_dir,
        best=_best_row(rows),
        num_epochs=len(rows),
        seconds=sum(row["seconds"] for row in rows),
    )


def _wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Keeps a worker from leaving while another works, which would take it for dead."""

    @tf.function
    def meet() -> tf.Tensor:
        ones = strategy.run(partial(tf.constant, 1.0))
        return strategy.reduce("SUM", ones, axis=None)

    meet()


def _phase_names(model: keras.Model, config: TrainConfig) -> list[str]:
    """Lists the phases of a run."""
    has_features = any(layer.name == "features" for layer in model.layers)
    if not (config.pretrained and has_features):
        return ["all"]
    return ["head", "fine-tune"] if config.fine_tune_epochs else ["head"]


def _next_phase(progress: Progress, number: int) -> Progress:
    """Begins a phase: its own patience, the best model and the history so far."""
    return Progress(
        phase=number,
        total_steps=progress.total_steps,
        best=progress.best,
        rows=progress.rows,
    )


def _make_phase(name: str, run: Run, recipe: Recipe, folder: ShardFolder) -> Phase:
    """Sets what is trainable, and from which input."""
    config, model = run.config, run.model
    steps = dataset.steps_per_epoch(folder, "train", config.batch_size)
    augmenting = AugmentConfig() if config.augment else None
    prepare = None
    if augmenting is not None:
        prepare = partial(augment.jitter_colours, config=augmenting)
    fine_tuning = name == "fine-tune"
    num_epochs = config.fine_tune_epochs if fine_tuning else config.epochs
    rate = config.fine_tune_learning_rate if fine_tuning else config.learning_rate

    def frame_batches(start_step: int) -> MakeBatches:
        # The second phase sees another order and augmentation than the first.
        seed = config.seed + fine_tuning
        return lambda context: batches_of_clips(
            dataset.input_fn(
                folder,
                "train",
                config.batch_size,
                training=True,
                seed=seed,
                num_epochs=num_epochs,
                start_step=start_step,
                augment=augmenting or False,
                input_context=context,
                features="dict",
            )
        )

    def frame_validation(
        context: tf.distribute.InputContext | None,
    ) -> tf.data.Dataset:
        return batches_of_clips(
            dataset.input_fn(
                folder,
                "val",
                config.batch_size,
                training=False,
                input_context=context,
                features="dict",
            )
        )

    validated = "val" in folder.splits
    if not validated:
        run.say("no validation split: the last epoch is kept")
    whole = evaluation.logits_model(model)
    trained, scored = whole, whole
    training_batches: Callable[[int], MakeBatches] = frame_batches
    validation_batches: MakeBatches | None = frame_validation if validated else None
    if name == "head":
        _freeze_backbone(model)
        backbone = keras.Model(model.input, model.get_layer("features").output)
        trained = evaluation.logits_model(model, "features")
        if not config.feature_cache:
            prepare = partial(_features, backbone, prepare)
        else:
            training_batches, validation_batches = _cached(
                run, folder, backbone, augmenting, prepare
            )
            scored, prepare = trained, None
            if not validated:
                validation_batches = None
    elif fine_tuning:
        _unfreeze_blocks(model, recipe, config)
    return Phase(
        name=name,
        model=trained,
        scored_model=scored,
        num_epochs=num_epochs,
        steps_per_epoch=steps,
        learning_rate=rate,
        training_batches=training_batches,
        validation_batches=validation_batches,
        prepare=prepare,
        class_weights=_class_weights(folder) if config.class_weights else None,
    )


def _features(
    backbone: keras.Model,
    prepare: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None,
    frames: tf.Tensor,
    seeds: tf.Tensor,
) -> tf.Tensor:
    """Runs the frozen backbone outside of the gradient, uint8 frames -> [B, T, D]."""
    if prepare is not None:
        frames = prepare(frames, seeds)
    return backbone(frames, training=False)


def _cached(
    run: Run,
    folder: ShardFolder,
    backbone: keras.Model,
    augmenting: AugmentConfig | None,
    prepare: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None,
) -> tuple[Callable[[int], MakeBatches], MakeBatches]:
    """Makes the inputs of the head phase from cached features."""
    config = run.config
    cache = partial(
        features.cache_features,
        run.strategy,
        backbone,
        folder,
        directory=run.directory / "features",
        batch_size=config.batch_size,
        seed=config.seed,
    )
    show = partial(_show_caching, run.say)
    training_paths = cache(
        split="train",
        num_views=config.feature_views,
        augment=augmenting,
        prepare=prepare,
        progress=show,
    )
    validation_paths: list[Path] = []
    if "val" in folder.splits:
        validation_paths = cache(
            split="val", num_views=1, augment=None, prepare=None, progress=show
        )
    batches = partial(features.cached_batches, folder)

    def training_batches(start_step: int) -> MakeBatches:
        return lambda context: batches(
            "train",
            config.batch_size,
            training_paths,
            backbone.compute_dtype,
            training=True,
            seed=config.seed,
            num_epochs=config.epochs,
            start_step=start_step,
            input_context=context,
        )

    def validation_batches(
        context: tf.distribute.InputContext | None,
    ) -> tf.data.Dataset:
        return batches(
            "val",
            config.batch_size,
            validation_paths,
            backbone.compute_dtype,
            training=False,
            input_context=context,
        )

    return training_batches, validation_batches


def _show_caching(
    say: Callable[[str], None], view: str, done: int, num_clips: int
) -> None:
    """Reports on the cache: a line a view, or a counter on a terminal."""
    if sys.stderr.isatty():
        end = "\n" if done == num_clips else "\r"
        print(f"features {view}: {done}/{num_clips} clips", end=end, file=sys.stderr)
    elif done == num_clips:
        say(f"features {view}: {num_clips} clips")


def _freeze_backbone(model: keras.Model) -> None:
    """Freezes everything that the layer `features` is computed from."""
    backbone = keras.Model(model.input, model.get_layer("features").output)
    for layer in backbone.layers:
        layer.trainable = False


def _unfreeze_blocks(model: keras.Model, recipe: Recipe, config: TrainConfig) -> None:
    """Frees the last blocks of the backbone, but for what the recipe holds fixed."""
    if recipe.backbone_blocks is None:
        raise TrainingError(
            f"{recipe.path} has no function backbone_blocks, so its backbone cannot be "
            "fine-tuned in part; add one, or use --fine-tune-epochs 0"
        )
    blocks = recipe.backbone_blocks(model)
    # Statistics stay those of the pretraining: a batch holds few different scenes.
    kept = (keras.layers.BatchNormalization, keras.layers.Normalization)
    backbone = keras.Model(model.input, model.get_layer("features").output)
    for layer in backbone.layers:
        layer.trainable = True
    for block in blocks:
        for layer in block:
            layer.trainable = False
    for block in blocks[-config.fine_tune_blocks :]:
        for layer in block:
            layer.trainable = not isinstance(layer, kept)


def _class_weights(folder: ShardFolder) -> list[float]:
    """Gives each gloss the inverse of its frequency, 1 on the average over clips."""
    labels = load_records(folder, "train").labels
    counts = np.bincount(labels, minlength=folder.num_classes)
    present = np.count_nonzero(counts)
    return (len(labels) / present / np.maximum(counts, 1)).tolist()


def _build(
    recipe: Recipe,
    folder: ShardFolder,
    options: Mapping[str, Any],
    policy: str,
    remat: bool,
) -> keras.Model:
    """Builds the network in a precision, and leaves Keras's own setting alone."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        if not remat:
            return recipe.build(folder.clip, folder.num_classes, options)
        with keras.RematScope("full"):
            return recipe.build(folder.clip, folder.num_classes, options)
    finally:
        keras.config.set_dtype_policy(before)


def _open_run(
    run_dir: Path,
    folder: ShardFolder,
    config: TrainConfig,
    strategy: tf.distribute.Strategy,
    say: Callable[[str], None],
) -> checkpoints.Checkpoint | None:
    """Describes a new run in its folder, or finds where an old one stopped."""
    path = run_dir / runs.CONFIG_FILE
    shards = dict(folder.index_sha256)
    if path.exists():
        stored = runs.read_json(path)
        changed = changed_options(stored.get("training", {}), config)
        if stored.get("index_sha256") != shards:
            changed.append(f"shards of {stored.get('data')}, not {folder.directory}")
        if changed and strategies.is_chief(strategy):
            raise TrainingError(
                f"{run_dir} holds a run with other options ({'; '.join(changed)}); "
                "give the same ones to go on with it, or another --out"
            )
        return checkpoints.load_newest(run_dir / "checkpoints", say)
    if strategies.is_chief(strategy):
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot create {run_dir} ({error.strerror}); choose another --out"
            ) from error
        runs.write_json(
            path,
            {
                "training": dataclasses.asdict(config),
                "data": os.path.abspath(folder.directory)
                if "://" not in folder.directory
                else folder.directory,
                "index_sha256": shards,
                "command_line": sys.argv,
                "num_replicas": strategy.num_replicas_in_sync,
                "versions": {
                    "wlasl_tfrecord": wlasl_tfrecord.__version__,
                    "tensorflow": tf.__version__,
                    "keras": keras.__version__,
                    "numpy": np.__version__,
                    "python": sys.version.split()[0],
                },
                "git_revision": _git_revision(),
            },
        )
    return None


def _git_revision() -> str | None:
    """Gives the commit of the checkout that this file lies in, if it lies in one."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _save_model(
    run_dir: Path,
    model: keras.Model,
    saved_model: keras.Model,
    info: runs.ModelInfo,
    chief: bool,
    say: Callable[[str], None],
) -> None:
    """Writes the model and what its inputs and outputs mean, whole or not at all."""
    del say
    if not chief:
        return
    if saved_model is not model:
        weights: Sequence[NDArray[Any]] = [read_variable(one) for one in model.weights]
        saved_model.set_weights(weights)
    aside = run_dir / f".{os.getpid()}.part.keras"
    try:
        saved_model.save(aside)
        os.replace(aside, run_dir / runs.MODEL_FILE)
    except OSError as error:
        raise OutputError(
            f"cannot write {run_dir / runs.MODEL_FILE} ({error.strerror}); free some "
            "space, or choose another folder with --out"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    runs.write_model_info(run_dir, info)


def _save_h5(
    run_dir: Path,
    recipe: Recipe,
    folder: ShardFolder,
    options: Mapping[str, Any],
    say: Callable[[str], None],
) -> None:
    """Writes the best model once more, in Keras's older format."""
    model: Any = keras.models.load_model(run_dir / runs.MODEL_FILE, compile=False)
    if "fold_time" in recipe.options:
        # The format knows layers only, so a reshape of the batch would not load again.
        weights = model.get_weights()
        unfolded = {**options, "fold_time": False}
        model = _build(recipe, folder, unfolded, "float32", False)
        model.set_weights(weights)
    aside = run_dir / f".{os.getpid()}.part.h5"
    try:
        model.save(aside)
        try:
            keras.models.load_model(aside, compile=False)
        except (TypeError, ValueError) as error:
            raise RecipeError(
                f"{recipe.path} cannot be saved as .h5, which holds layers only "
                f"({str(error).splitlines()[0]}); use model.keras, or build it without "
                "keras.ops where its option fold_time is False"
            ) from error
        os.replace(aside, run_dir / "model.h5")
    finally:
        aside.unlink(missing_ok=True)
    say(f"also wrote {run_dir / 'model.h5'}")


def _describe_step(folder: ShardFolder, config: TrainConfig, step: int) -> str:
    """Names the clips of a step, without reading them."""
    keys = dataset.input_fn(
        folder,
        "train",
        config.batch_size,
        training=True,
        seed=config.seed,
        num_epochs=None,
        start_step=step,
        features="keys",
    )
    ids = next(iter(keys))["video_id"].numpy()
    return ", ".join(one.decode() for one in ids)


def _best_row(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Finds the epoch whose weights were kept."""
    if "val_top1" not in rows[-1]:
        return rows[-1]
    return max(rows, key=lambda row: (row["val_top1"], -row["val_loss"]))


def _say_nothing(line: str) -> None:
    """Keeps all workers but the first quiet."""
    del line

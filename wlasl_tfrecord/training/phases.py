"""The phases of a training: what each one trains, from which input.

First the head alone on a frozen backbone, then the backbone's last blocks too; or all
at once where there is nothing pretrained to keep.
"""

import dataclasses
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from wlasl_tfrecord.input_pipeline import augment, dataset
from wlasl_tfrecord.input_pipeline.augment import AugmentConfig
from wlasl_tfrecord.input_pipeline.distribution import MakeBatches
from wlasl_tfrecord.input_pipeline.elements import batches_of_clips
from wlasl_tfrecord.network.backbone import (
    find_blocks,
    freeze_backbone,
    logits_model,
    unfreeze_blocks,
)
from wlasl_tfrecord.network.recipes import Recipe
from wlasl_tfrecord.network.rematerialisation import rematerialised
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_records
from wlasl_tfrecord.training import feature_cache
from wlasl_tfrecord.training.config import TrainConfig
from wlasl_tfrecord.training.run import Phase, Run

__all__ = ["make_phase", "phase_names"]


def phase_names(model: keras.Model, recipe: Recipe, config: TrainConfig) -> list[str]:
    """Lists the phases of a run.

    Raises:
        TrainingError: If one of them needs the blocks of the backbone, and the recipe
            does not say what they are.
    """
    has_features = any(layer.name == "features" for layer in model.layers)
    if not (config.pretrained and has_features):
        names = ["all"]
    else:
        names = ["head", "fine-tune"] if config.fine_tune_epochs else ["head"]
    if "fine-tune" in names or (config.remat and "all" in names):
        # Now, not behind the first phase.
        find_blocks(model, recipe)
    return names


def make_phase(name: str, run: Run, recipe: Recipe, folder: ShardFolder) -> Phase:
    """Sets what is trainable, and from which input.

    Args:
        name: One of `phase_names`.
        run: What stays the same through all phases; its model is changed.
        recipe: Knows the blocks of the backbone.
        folder: The shards.

    Raises:
        OutputError: If cached features do not fit on the disk.
    """
    config, model = run.config, run.model
    steps = dataset.steps_per_epoch(folder, "train", config.batch_size)
    augmenting, prepare = _augmentation(config)
    fine_tuning = name == "fine-tune"
    num_epochs = config.fine_tune_epochs if fine_tuning else config.epochs
    rate = config.fine_tune_learning_rate if fine_tuning else config.learning_rate

    # The second phase sees another order and augmentation than the first.
    seed = config.seed + fine_tuning

    def frame_batches(start_step: int) -> MakeBatches:
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
                element="dict",
                max_bad_records=config.max_bad_records,
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
                element="dict",
                max_bad_records=config.max_bad_records,
            )
        )

    validated = "val" in folder.splits
    if not validated:
        run.say("no validation split: the last epoch is kept")
    whole = logits_model(model)
    trained, scored = whole, whole
    training_batches: Callable[[int], MakeBatches] = frame_batches
    validation_batches: MakeBatches | None = frame_validation if validated else None
    if name == "head":
        freeze_backbone(model)
        backbone = keras.Model(model.input, model.get_layer("features").output)
        trained = logits_model(model, "features")
        if not config.feature_cache:
            prepare = partial(feature_cache.frame_features, backbone, prepare)
        else:
            training_batches, validation_batches = _cached(
                run, folder, backbone, augmenting, prepare
            )
            scored, prepare = trained, None
            if not validated:
                validation_batches = None
    elif fine_tuning:
        blocks = find_blocks(model, recipe)
        unfreeze_blocks(model, blocks, config.fine_tune_blocks)
    if name != "head" and config.remat:
        trained = rematerialised(whole, find_blocks(model, recipe))
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
        describe_step=partial(_describe_step, folder, config.batch_size, seed),
    )


def _augmentation(
    config: TrainConfig,
) -> tuple[AugmentConfig | None, Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None]:
    """Says what the input changes, and makes the function for the rest."""
    if not config.augment:
        return None, None
    whole = AugmentConfig()
    colours = partial(augment.jitter_colours, config=whole)
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    # A CPU crops in half the time where the input does it, clip by clip in uint8; a
    # GPU is faster than all the cores beside it.
    if config.crop == "input" or (config.crop == "auto" and not on_gpu):
        return whole, colours

    def crop_too(frames: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        return colours(augment.crop_clips(frames, seeds, whole), seeds)

    return dataclasses.replace(whole, min_scale=1.0, max_stretch=1.0), crop_too


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
        feature_cache.cache_features,
        run.strategy,
        backbone,
        folder,
        directory=run.directory / "features",
        batch_size=config.batch_size,
        seed=config.seed,
        max_bad_records=config.max_bad_records,
        stopped=run.stopped,
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
    batches = partial(feature_cache.cached_batches, folder)

    def training_batches(start_step: int) -> MakeBatches:
        return lambda context: batches(
            "train",
            config.batch_size,
            training_paths,
            feature_cache.feature_dtype(backbone),
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
            feature_cache.feature_dtype(backbone),
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


def _class_weights(folder: ShardFolder) -> list[float]:
    """Gives each gloss the inverse of its frequency, 1 on the average over clips."""
    labels = load_records(folder, "train").labels
    counts = np.bincount(labels, minlength=folder.num_classes)
    present = np.count_nonzero(counts)
    return (len(labels) / present / np.maximum(counts, 1)).tolist()


def _describe_step(folder: ShardFolder, batch_size: int, seed: int, step: int) -> str:
    """Names the clips of a step, without reading them."""
    keys = dataset.input_fn(
        folder,
        "train",
        batch_size,
        training=True,
        seed=seed,
        num_epochs=None,
        start_step=step,
        element="keys",
    )
    ids = next(iter(keys))["video_id"].numpy()
    return ", ".join(one.decode() for one in ids)

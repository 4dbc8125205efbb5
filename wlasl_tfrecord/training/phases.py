"""The phases of a training: what each one trains, from which input.

First the head alone on a frozen backbone, then the backbone's last blocks too; or all
at once where there is nothing pretrained to keep.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import keras
import numpy as np

from wlasl_tfrecord.input_pipeline import dataset
from wlasl_tfrecord.input_pipeline.augment import AugmentConfig
from wlasl_tfrecord.input_pipeline.distribution import MakeBatches
from wlasl_tfrecord.input_pipeline.elements import batches_of_clips, clip_element
from wlasl_tfrecord.network.backbone import (
    backbone_model,
    find_blocks,
    freeze_backbone,
    unfreeze_blocks,
)
from wlasl_tfrecord.network.inputs import input_names
from wlasl_tfrecord.network.out_of_memory import one_line_out_of_memory
from wlasl_tfrecord.network.outputs import logits_model
from wlasl_tfrecord.network.recipes import Recipe
from wlasl_tfrecord.network.rematerialisation import rematerialised
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_records
from wlasl_tfrecord.training import feature_cache
from wlasl_tfrecord.training.augmentation import make_augmentation
from wlasl_tfrecord.training.config import TrainConfig
from wlasl_tfrecord.training.memory import forward_memory_advice
from wlasl_tfrecord.training.run import Run
from wlasl_tfrecord.training.step import Prepare

__all__ = ["Phase", "make_phase", "phase_names"]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training with its own trainable weights, input and learning rate.

    Attributes:
        name: "head", "fine-tune" or "all".
        model: Model that is trained: inputs -> logits.
        scored_model: Model that is validated: inputs of the validation -> logits.
        num_epochs: Largest number of epochs.
        steps_per_epoch: Global batches of an epoch.
        learning_rate: Peak of the learning rate.
        training_batches: Makes the input from a given step of the phase on.
        validation_batches: Makes the input of the validation; None without one.
        prepare: Changes inputs on the device.
        class_weights: Weight of a clip of each class; None for 1.
        describe_step: Returns the names of the clips of a step, for messages.
    """

    name: str
    model: keras.Model
    scored_model: keras.Model
    num_epochs: int
    steps_per_epoch: int
    learning_rate: float
    training_batches: Callable[[int], MakeBatches]
    validation_batches: MakeBatches | None
    prepare: Prepare | None
    class_weights: Sequence[float] | None
    describe_step: Callable[[int], str]


def phase_names(model: keras.Model, recipe: Recipe, config: TrainConfig) -> list[str]:
    """Lists the phases of a run.

    Raises:
        TrainingError: If one of them needs the blocks of the backbone, and the recipe
            does not say what they are.
        ValueError: If it leaves out frames, and its head is trained first.
    """
    has_features = any(layer.name == "features" for layer in model.layers)
    # Whatever a recipe pretrains from, it is worth keeping.
    pretrained = config.pretrained or recipe.pretrain is not None
    if not (pretrained and has_features and config.freeze_backbone):
        names = ["all"]
    else:
        config.refuse_train_frames()
        names = ["head", "fine-tune"] if config.fine_tune_epochs else ["head"]
    if "fine-tune" in names or (config.remat and "all" in names):
        # Now, not after the first phase.
        find_blocks(model, recipe)
    return names


def make_phase(name: str, run: Run) -> Phase:
    """Sets what is trainable, and makes the input.

    Args:
        name: One of `phase_names`.
        run: What stays the same through all phases; its model is changed.

    Raises:
        OutputError: If the feature cache does not fit on the disk.
    """
    config, folder, model = run.config, run.folder, run.model
    fine_tuning = name == "fine-tune"
    num_epochs = config.fine_tune_epochs if fine_tuning else config.epochs
    # The second phase sees another order and augmentation than the first.
    seed = config.seed + fine_tuning
    in_input, on_device = make_augmentation(
        config, folder.clip, input_names(run.scored_model)
    )
    if "val" not in folder.splits:
        run.say("no validation split: the last epoch is kept")

    whole = logits_model(model)
    trained, scored = whole, whole
    if run.scored_model is not model:
        scored = logits_model(run.scored_model)
    if name == "head":
        freeze_backbone(model)
        trained = logits_model(model, "features")
        if config.feature_cache:
            inputs = _cached_inputs(run, in_input, on_device)
            scored, on_device = trained, None
        else:
            inputs = _clip_inputs(run, in_input, num_epochs, seed)
            on_device = partial(
                feature_cache.frame_features, backbone_model(model), on_device
            )
        if config.augment:
            on_device = _then(on_device, run.recipe.augment_features)
    else:
        inputs = _clip_inputs(run, in_input, num_epochs, seed)
        if fine_tuning:
            blocks = find_blocks(model, run.recipe)
            unfreeze_blocks(model, blocks, config.fine_tune_blocks)
        if config.remat:
            trained = rematerialised(whole, find_blocks(model, run.recipe))
    return Phase(
        name=name,
        model=trained,
        scored_model=scored,
        num_epochs=num_epochs,
        steps_per_epoch=dataset.steps_per_epoch(folder, "train", config.batch_size),
        learning_rate=(
            config.fine_tune_learning_rate if fine_tuning else config.learning_rate
        ),
        training_batches=inputs.training,
        validation_batches=inputs.validation if "val" in folder.splits else None,
        prepare=on_device,
        class_weights=_class_weights(folder) if config.class_weights else None,
        describe_step=partial(_describe_step, folder, config.batch_size, seed),
    )


def _then(first: Prepare | None, second: Prepare | None) -> Prepare | None:
    """Returns the one change followed by the other, where there are both."""
    if first is None or second is None:
        return first or second
    return lambda inputs, seeds: second(first(inputs, seeds), seeds)


class _Inputs(NamedTuple):
    """The input of a phase: of training, by its first step, and of validation."""

    training: Callable[[int], MakeBatches]
    validation: MakeBatches


def _clip_inputs(
    run: Run, augmenting: AugmentConfig | None, num_epochs: int, seed: int
) -> _Inputs:
    """Makes the input of a phase that trains on clips, not on cached features."""
    config, inputs = run.config, input_names(run.model)
    clips = partial(
        dataset.input_fn,
        run.folder,
        batch_size=config.batch_size,
        element=clip_element(inputs),
        max_bad_records=config.max_bad_records,
        data_service=run.data_service,
    )

    def training(start_step: int) -> MakeBatches:
        return lambda context: batches_of_clips(
            clips(
                split="train",
                training=True,
                seed=seed,
                num_epochs=num_epochs,
                start_step=start_step,
                augment=augmenting or False,
                input_context=context,
            ),
            inputs,
        )

    return _Inputs(
        training=training,
        validation=lambda context: batches_of_clips(
            clips(split="val", training=False, input_context=context), inputs
        ),
    )


def _cached_inputs(
    run: Run, augmenting: AugmentConfig | None, prepare: Prepare | None
) -> _Inputs:
    """Fills the feature cache and makes the input of a head phase from it."""
    config, folder = run.config, run.folder
    backbone = backbone_model(run.model)
    fill = partial(
        feature_cache.fill_cache,
        run.strategy,
        backbone,
        folder,
        directory=run.directory / feature_cache.DIRECTORY,
        batch_size=config.batch_size,
        seed=config.seed,
        progress=partial(_show_caching, run.say),
        max_bad_records=config.max_bad_records,
        data_service=run.data_service,
        stopped=run.stopped,
    )
    advice = partial(forward_memory_advice, "feature caching", run)
    validation_paths = []
    with one_line_out_of_memory(advice):
        training_paths = fill(
            split="train",
            num_views=config.feature_views,
            augment=augmenting,
            prepare=prepare,
        )
        if "val" in folder.splits:
            validation_paths = fill(
                split="val", num_views=1, augment=None, prepare=None
            )
    batches = partial(
        feature_cache.cached_batches,
        folder,
        batch_size=config.batch_size,
        dtype=feature_cache.feature_dtype(backbone),
    )

    def training(start_step: int) -> MakeBatches:
        return lambda context: batches(
            split="train",
            paths=training_paths,
            training=True,
            seed=config.seed,
            num_epochs=config.epochs,
            start_step=start_step,
            input_context=context,
        )

    return _Inputs(
        training=training,
        validation=lambda context: batches(
            split="val", paths=validation_paths, training=False, input_context=context
        ),
    )


def _show_caching(
    say: Callable[[str], None], view: str, done: int, num_clips: int
) -> None:
    """Reports the filling of the cache: a line a view, or a counter on a terminal."""
    if sys.stderr.isatty():
        end = "\n" if done == num_clips else "\r"
        print(
            f"feature cache {view}: {done}/{num_clips} clips", end=end, file=sys.stderr
        )
    elif done == num_clips:
        say(f"feature cache {view}: {num_clips} clips")


def _class_weights(folder: ShardFolder) -> list[float]:
    """Returns each gloss's inverse frequency, scaled to a mean of 1 over clips."""
    labels = load_records(folder, "train").labels
    counts = np.bincount(labels, minlength=folder.num_classes)
    present = np.count_nonzero(counts)
    return (len(labels) / present / np.maximum(counts, 1)).tolist()


def _describe_step(folder: ShardFolder, batch_size: int, seed: int, step: int) -> str:
    """Returns the names of the clips of a step, without reading them."""
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

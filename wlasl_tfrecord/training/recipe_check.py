"""The check of a recipe before its first step: built, run, saved and loaded once.

Whatever would end a training after hours, for want of a gradient or of a model that can
be loaded, ends it here in seconds, with the layer by name.
"""

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.errors import RecipeError, WlaslError
from wlasl_tfrecord.files import write_whole
from wlasl_tfrecord.network import model_info, saving
from wlasl_tfrecord.network.inputs import input_names, noise_inputs, pick_inputs
from wlasl_tfrecord.network.layers import layers_within
from wlasl_tfrecord.network.out_of_memory import (
    one_line_out_of_memory,
    out_of_memory_line,
)
from wlasl_tfrecord.network.outputs import logits_model
from wlasl_tfrecord.network.recipes import Recipe
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.training import strategies
from wlasl_tfrecord.training.config import TrainConfig
from wlasl_tfrecord.training.phases import phase_names
from wlasl_tfrecord.training.pretraining import build_options

__all__ = ["check_recipe"]

# A model in float32 that was saved and loaded differs by rounding at most.
_TOLERANCE = 1e-4


def check_recipe(recipe: Recipe, folder: ShardFolder, config: TrainConfig) -> None:
    """Takes one clip through all that a training does with a network.

    It builds the network in the precision of the run, computes a gradient, saves the
    network in float32, loads it again with another copy of the recipe, and compares.

    Args:
        recipe: The recipe, which the user has named.
        folder: The shards; only their shape and glosses are used.
        config: Choices of the run.

    Raises:
        RecipeError: If something fails; it names the layer and the way out.
        TrainingError: If a phase needs blocks of the backbone, and there are none.
        OutOfMemoryError: If one clip does not fit in memory.
    """
    options = build_options(recipe, config)
    policy = strategies.dtype_policy(config.precision)
    model = saving.build_model(recipe, folder, options, policy)
    phase_names(model, recipe, config)
    clips = pick_inputs(input_names(model), noise_inputs(model, 1))
    with one_line_out_of_memory(
        lambda: out_of_memory_line(
            "the check of the recipe",
            folder.clip,
            1,
            [],
            passes="forward and backward",
        )
    ):
        _check_gradient(recipe, model, clips)
    if policy != "float32":
        model = saving.build_model(recipe, folder, options, "float32")
    info = model_info.ModelInfo(
        glosses=folder.glosses,
        clip=folder.clip,
        framing=folder.framing,
        recipe_sha256=recipe.sha256,
    )
    _check_saving(recipe, model, info, clips)


def _check_gradient(recipe: Recipe, model: keras.Model, clips: Any) -> None:
    """Computes the gradient of a loss with regard to all weights that are trained."""
    logits = logits_model(model)
    try:
        with tf.GradientTape() as tape:
            loss = tf.reduce_logsumexp(logits(clips, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
    except (tf.errors.ResourceExhaustedError, MemoryError):
        raise
    except Exception as error:
        raise RecipeError(
            f"{recipe.path}: a step on one clip fails ({_first_line(error)}); mend it, "
            "and try with bin/train --check"
        ) from error
    if all(gradient is None for gradient in gradients):
        raise RecipeError(
            f"{recipe.path}: no weight has a gradient, so nothing can be trained; an "
            "operation such as argmax, or a cast to integers, ends it"
        )


def _check_saving(
    recipe: Recipe,
    model: keras.Model,
    info: model_info.ModelInfo,
    clips: Any,
) -> None:
    """Saves the network, loads it with another copy of the recipe, and compares."""
    for layer in layers_within(model):
        if isinstance(layer, keras.layers.Lambda):
            raise RecipeError(
                f"{recipe.path}: no command could load the layer {layer.name!r} again: "
                "a Lambda is stored as code; use keras.ops in its place, or a layer "
                "class of the recipe"
            )
    with tempfile.TemporaryDirectory() as directory:
        run_dir = Path(directory)
        write_whole(run_dir / model_info.RECIPE_FILE, recipe.content)
        try:
            saving.save_model(run_dir, model, model, info, True)
        except Exception as error:
            raise RecipeError(
                f"{recipe.path}: {_unsavable(model)} cannot be saved "
                f"({_first_line(error)}); give its class a get_config that returns its "
                "arguments"
            ) from error
        _forget(recipe)
        try:
            loaded = saving.load_network(
                run_dir / model_info.MODEL_FILE,
                recipe=run_dir / model_info.RECIPE_FILE,
            )
        except WlaslError as error:
            raise RecipeError(
                f"{recipe.path}: its model cannot be loaded again: {error}"
            ) from error
    before, after = (np.asarray(one(clips, training=False)) for one in (model, loaded))
    # What is no number before is none after: the first step will tell.
    if not np.allclose(before, after, rtol=0, atol=_TOLERANCE, equal_nan=True):
        difference = float(np.abs(before - after).max())
        raise RecipeError(
            f"{recipe.path}: saved and loaded again, its probabilities differ by "
            f"{difference:.2g}; {_changed(model, loaded)} does not keep all that it "
            "computes with: weights by add_weight, arguments by get_config"
        )


def _forget(recipe: Recipe) -> None:
    """Makes Keras forget the classes that the recipe has registered in this process."""
    known = keras.saving.get_custom_objects()
    own = list(recipe.definitions.values())
    for name in [name for name, value in known.items() if value in own]:
        del known[name]


def _unsavable(model: keras.Model) -> str:
    """Names the first layer that cannot be saved; the network, if none alone."""
    for layer in layers_within(model)[1:]:
        if not _is_savable(layer):
            return f"the layer {layer.name!r} ({type(layer).__name__})"
    return "the network"


def _is_savable(layer: keras.layers.Layer) -> bool:
    try:
        keras.saving.serialize_keras_object(layer)
    except Exception:  # whatever the layer's own get_config raises
        return False
    return True


def _changed(model: keras.Model, loaded: keras.Model) -> str:
    """Names the first layer whose weights are others; else those of own classes."""
    pairs = list(zip(layers_within(model), layers_within(loaded)))
    for one, other in pairs[1:]:
        old, new = one.get_weights(), other.get_weights()
        if isinstance(one, keras.Model):
            continue
        if len(old) != len(new) or any(map(_differ, old, new)):
            return f"the layer {one.name!r} ({type(one).__name__})"
    own = [one.name for one, _ in pairs if not type(one).__module__.startswith("keras")]
    return f"one of the layers {', '.join(own)}" if own else "a layer"


def _differ(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return not np.array_equal(one, other)


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    text = " ".join(line.strip() for line in lines[:2]) or type(error).__name__
    # Keras prints a part of its messages in bold.
    return f"{type(error).__name__}: " + text.replace("\x1b[1m", "").replace(
        "\x1b[0m", ""
    )

"""Layers of a recipe's own in a saved model, and the code that they need.

A model of Keras's own layers is data. One with other layers cannot be loaded without
the file that defines them, and that file is code. It is executed only if the user names
it, or if it is the copy in the model's folder and the user has trained with exactly
this file before (see `own_recipes`). Its hash is compared before anything is executed.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from wlasl_tfrecord.errors import TrainingError, WlaslError
from wlasl_tfrecord.network import model_info, recipes
from wlasl_tfrecord.network.own_recipes import is_own_recipe, remember_recipe
from wlasl_tfrecord.text import shown

__all__ = ["custom_layers", "define_custom_layers", "recipe_of_model"]

# A message has one line.
_MAX_SHOWN = 9


def custom_layers(config: Any) -> list[str]:
    """Lists what is not Keras's own in a network, without executing anything.

    Args:
        config: The network's description in a model file.

    Returns:
        Class and name of each layer, and names of functions, as one shows them: of the
        first few. Empty if there is none, or it is no such description.
    """
    try:
        return list(dict.fromkeys(_custom(config)))[:_MAX_SHOWN]
    except (KeyError, RecursionError):
        return []


def define_custom_layers(
    path: Path, layers: list[str], recipe: str | os.PathLike[str] | None
) -> None:
    """Executes the recipe of a model, so that Keras knows its layers.

    Args:
        path: The saved model.
        layers: From `custom_layers`, for messages.
        recipe: Recipe that the user names; None for the copy beside the model.

    Raises:
        TrainingError: If the recipe is not named and not the user's own, or another
            file than the model was trained with.
        RecipeError: If it cannot be loaded.
    """
    what = f"{path} has layers of its recipe's own ({', '.join(layers)})"
    expected = model_info.read_model_info(path).recipe_sha256
    if expected is None:
        raise TrainingError(
            f"{what}, and its {model_info.MODEL_INFO_FILE} has no hash of the recipe; "
            "train again"
        )
    copy = path.with_name(model_info.RECIPE_FILE)
    if recipe is None and not is_own_recipe(expected):
        raise TrainingError(
            f"{what}. They are code, and no recipe that you have trained with on this "
            f"machine; if you trust {copy}, name it with --model {copy}"
        )
    try:
        loaded = recipes.load_recipe(copy if recipe is None else recipe, expected)
    except WlaslError as error:
        raise TrainingError(f"{what}: {error}") from error
    remember_recipe(expected)
    keras.saving.get_custom_objects().update(loaded.definitions)


def recipe_of_model(
    path: Path, info: model_info.ModelInfo, recipe: str | os.PathLike[str] | None
) -> recipes.Recipe | None:
    """Loads the recipe that a saved model was built with, if it may be executed.

    Args:
        path: The saved model.
        info: Its `model.json`.
        recipe: Recipe that the user names; None for one of the library, or the copy
            beside the model.

    Returns:
        The recipe; None if there is none that the user has named or trained with.

    Raises:
        RecipeError: If it is not the recipe that was trained with.
    """
    name = info.recipe.get("name")
    if recipe is None and name in recipes.recipe_paths():
        return recipes.load_recipe(name)
    if info.recipe_sha256 is None:
        return None
    copy = path.with_name(model_info.RECIPE_FILE)
    if recipe is None and not (is_own_recipe(info.recipe_sha256) and copy.is_file()):
        return None
    return recipes.load_recipe(copy if recipe is None else recipe, info.recipe_sha256)


def _custom(value: Any) -> Iterator[str]:
    """Yields what a serialized network holds that no module of Keras defines."""
    if isinstance(value, list):
        for one in value:
            yield from _custom(one)
    if not isinstance(value, dict):
        return
    kind, module = value.get("class_name"), value.get("module")
    if isinstance(kind, str) and ("module" in value or "registered_name" in value):
        name = value["config"]
        if kind == "function":
            if isinstance(name, str) and not hasattr(keras.activations, name):
                yield shown(name)[1:-1]
        elif not str(module).startswith("keras"):
            name = name.get("name") if isinstance(name, dict) else None
            kind = shown(kind)[1:-1]
            yield f"{kind} {shown(name)}" if name else kind
    for one in value.values():
        yield from _custom(one)

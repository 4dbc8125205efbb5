"""The network of a run: built in a precision, and saved for any machine."""

import contextlib
import dataclasses
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
from absl import logging
from numpy.typing import NDArray

from wlasl_tfrecord.errors import RecipeError, TrainingError, WlaslError
from wlasl_tfrecord.files import written_whole
from wlasl_tfrecord.network import model_info
from wlasl_tfrecord.network.custom_layers import custom_layers, define_custom_layers
from wlasl_tfrecord.network.inputs import LANDMARKS, input_names
from wlasl_tfrecord.network.model_file import (
    ForeignClassError,
    OpenModel,
    check_keras_version,
    check_model_file,
    opened_model,
)
from wlasl_tfrecord.network.model_size import check_network_size
from wlasl_tfrecord.network.out_of_memory import one_line_out_of_memory
from wlasl_tfrecord.network.outputs import output_kind, probability_model
from wlasl_tfrecord.network.recipes import Recipe
from wlasl_tfrecord.network.stacked_frames import without_copies
from wlasl_tfrecord.network.variables import read_variable
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.text import reason_of, shown

__all__ = [
    "build_model",
    "check_h5",
    "load_network",
    "one_line_model_errors",
    "save_h5",
    "save_model",
    "write_h5",
]


def build_model(
    recipe: Recipe,
    folder: ShardFolder,
    options: Mapping[str, Any],
    policy: str,
    *,
    num_frames: int = 0,
) -> keras.Model:
    """Builds the network in a precision, and leaves Keras's own setting alone.

    Args:
        recipe: The file that builds it.
        folder: The shards whose clips it is for.
        options: Options of the recipe.
        policy: Dtype policy of Keras.
        num_frames: Frames in a clip; 0 for those of the shards.

    Returns:
        A network that ends in float32 probabilities, whatever the recipe returns.

    Raises:
        RecipeError: If the recipe builds no network for these clips, or takes
            landmarks and they have none.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        clip = folder.clip
        if num_frames:
            clip = dataclasses.replace(clip, num_frames=num_frames)
        model = recipe.build(clip, folder.num_classes, options)
        if LANDMARKS in input_names(model) and not folder.has_landmarks:
            raise RecipeError(
                f"the recipe {recipe.name} takes landmarks, and {folder.directory} has "
                "none; shard again with bin/shard --landmarks, or give another --model"
            )
        return probability_model(model, output_kind(model))
    finally:
        keras.config.set_dtype_policy(before)


def save_model(
    run_dir: Path,
    model: keras.Model,
    saved_model: keras.Model,
    info: model_info.ModelInfo,
    chief: bool,
) -> None:
    """Writes the model and what its inputs and outputs mean, whole or not at all."""
    if not chief:
        return
    if saved_model is not model:
        weights: Sequence[NDArray[Any]] = [read_variable(one) for one in model.weights]
        saved_model.set_weights(weights)
    way_out = "free some space, or choose another folder with --out"
    with written_whole(run_dir / model_info.MODEL_FILE, way_out=way_out) as aside:
        saved_model.save(aside)
    model_info.write_model_info(run_dir, info)


def load_network(path: Path, *, recipe: str | os.PathLike[str] | None = None) -> Any:
    """Loads a model that was saved, as a Keras model.

    A model of Keras's own layers is data: nothing is executed. One with layers of its
    recipe's own needs the recipe, which is code. That is executed if `recipe` names it,
    or if it is the `recipe.py` beside the model and this user has trained with exactly
    this file on this machine. Its classes and functions are then known to Keras in this
    process, so the model can be copied and saved too.

    Args:
        path: A `.keras` or `.h5` file, with its `model.json` beside it.
        recipe: Recipe that the user names and so trusts, as with `--model`.

    Raises:
        TrainingError: If it cannot be loaded, or needs code that is not trusted.
        OutOfMemoryError: If its weights do not fit in memory.
    """
    check_keras_version()
    with opened_model(path) as file:
        try:
            return _load(file)
        except ForeignClassError as error:
            layers = custom_layers(error.config)
            if not layers or not path.with_name(model_info.MODEL_INFO_FILE).is_file():
                raise
        define_custom_layers(path, layers, recipe)
        return _load(file)


def _load(file: OpenModel) -> Any:
    """Loads a model whose classes are all known."""
    path = file.path
    layers: list[str] = []
    try:
        content = check_model_file(file)
        layers = custom_layers(content.config)
        check_network_size(path, content)
        with one_line_out_of_memory(partial(_no_room, path)):
            return keras.models.load_model(file.place, compile=False, safe_mode=True)
    except WlaslError:
        raise
    except Exception as error:  # a zip, HDF5 or JSON error, or one of a layer
        reason = reason_of(error)
        what = f" with {', '.join(layers)}" if layers else ""
        way_out = _newer_keras(file.place) or "train again"
        raise TrainingError(
            f"cannot load {path}{what} ({reason}); {way_out}"
        ) from error


@contextlib.contextmanager
def one_line_model_errors(path: Path) -> Iterator[None]:
    """Turns what a network fails with when it is first computed into one line.

    A description that was changed by hand can be loaded, and have a layer do what
    TensorFlow cannot.

    Args:
        path: The model file.

    Raises:
        TrainingError: In place of an error of Keras or TensorFlow.
    """
    try:
        yield
    except WlaslError:
        raise
    except Exception as error:
        raise TrainingError(
            f"{path} cannot be computed ({reason_of(error)}); train again"
        ) from error


def _no_room(path: Path) -> str:
    """Returns a line on weights that do not fit in memory."""
    return (
        f"out of memory: the weights of {path} do not fit; end other programs that use "
        "much memory, or set CUDA_VISIBLE_DEVICES=-1 to compute on the CPU"
    )


def _newer_keras(path: Path) -> str | None:
    """Returns which Keras a model wants, if it was saved by a newer one than this."""
    try:
        with zipfile.ZipFile(path) as file:
            saved_by = json.loads(file.read("metadata.json"))["keras_version"]
        numbers = [
            [int(number) for number in version.split(".")[:2]]
            for version in (saved_by, keras.__version__)
        ]
    except Exception:  # it may be as damaged as what could not be loaded
        return None
    if numbers[0] <= numbers[1]:
        return None
    newer = shown(saved_by)[1:-1]
    return f"Keras {newer} saved it and this is {keras.__version__}; update Keras"


def save_h5(
    run_dir: Path,
    recipe: Recipe,
    folder: ShardFolder,
    options: Mapping[str, Any],
    say: Callable[[str], None],
) -> None:
    """Writes the best model once more, in Keras's older format."""
    model = load_network(run_dir / model_info.MODEL_FILE)
    unfold = _unfold(recipe, folder, options)
    way_out = "free some space, and give the same command again"
    with written_whole(run_dir / "model.h5", way_out=way_out) as aside:
        write_h5(model, aside, unfold)
    say(f"also wrote {run_dir / 'model.h5'}")


def check_h5(recipe: Recipe, folder: ShardFolder, options: Mapping[str, Any]) -> None:
    """Refuses a network that an h5 file cannot hold, before it is trained.

    Raises:
        RecipeError: If the recipe cannot build it, or Keras cannot write or load it.
    """
    unfold = _unfold(recipe, folder, options)
    if unfold is not None:
        # Its own refusal of options is at once; the rest of the way takes minutes.
        unfold()
        return
    with tempfile.TemporaryDirectory() as directory:
        model = build_model(recipe, folder, options, "float32")
        write_h5(model, Path(directory) / "model.h5", None)


def _unfold(
    recipe: Recipe, folder: ShardFolder, options: Mapping[str, Any]
) -> Callable[[], keras.Model] | None:
    """Returns what builds the network of layers alone, if the recipe has a way."""
    if "fold_time" not in recipe.options:
        return None
    unfolded = {**options, "fold_time": False}
    return partial(build_model, recipe, folder, unfolded, "float32")


def write_h5(
    model: keras.Model, path: Path, unfold: Callable[[], keras.Model] | None
) -> None:
    """Writes a model in Keras's older format, and reads it back.

    Args:
        model: In float32.
        path: The file.
        unfold: Builds the same network of layers alone, which are all that the format
            knows: a reshape of the batch, as folding time into it is, would not load
            again. None if the model is such a network already.

    Raises:
        OSError: If it does not fit on the disk.
        RecipeError: If the network has more than layers.
    """
    if unfold is not None:
        weights = model.get_weights()
        model = unfold()
        model.set_weights(weights)
        model = without_copies(model)
    _check_room(path, model)
    level = logging.get_verbosity()
    # Keras would recommend its newer format, which is what was not asked for.
    logging.set_verbosity(logging.ERROR)
    try:
        model.save(path)
        keras.models.load_model(path, compile=False)
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"{model.name} cannot be written as h5, which holds layers only "
            f"({str(error).splitlines()[0]}); use the .keras file, or a recipe with "
            "an option fold_time that builds it without keras.ops; if you received "
            "the model, name the recipe with --model"
        ) from error
    finally:
        logging.set_verbosity(level)


def _check_room(path: Path, model: keras.Model) -> None:
    """Finds out whether a model's weights fit on the disk.

    HDF5 ends the process with a segmentation fault where a write fails.

    Raises:
        OSError: If they do not.
    """
    num_bytes = sum(read_variable(one).nbytes for one in model.weights)
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):  # macOS has none
            # The half again and the mebibyte are for the names and HDF5's own tables.
            os.posix_fallocate(file.fileno(), 0, num_bytes * 3 // 2 + 2**20)

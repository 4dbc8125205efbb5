"""The pose finder on the backbone of the default recipe, with weights from a file."""

import os

import keras

from wlasl_tfrecord.errors import RecipeError, WlaslError
from wlasl_tfrecord.network.model_file import opened_weights
from wlasl_tfrecord.network.pose_finder import pose_finder
from wlasl_tfrecord.network.recipes import load_recipe
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.text import reason_of

__all__ = ["build_finder", "load_finder"]


def build_finder(
    weights: str | os.PathLike[str], *, alpha: float, frame_size: int
) -> keras.Model:
    """Builds a finder that has learned nothing yet.

    Args:
        weights: Of the backbone: "imagenet", "none" or a file; see `mobilenetv2_lstm`.
        alpha: Width of the backbone.
        frame_size: Side of the frames in pixels.

    Raises:
        RecipeError: As of `mobilenetv2_lstm`, and of `pose_finder`.
    """
    frame = ClipSpec(num_frames=1, height=frame_size, width=frame_size)
    network = load_recipe().build(frame, 2, {"weights": weights, "alpha": alpha})
    backbone = network.get_layer("backbone")
    assert isinstance(backbone, keras.Model)
    return pose_finder(backbone)


def load_finder(
    weights: str | os.PathLike[str], *, alpha: float, frame_size: int
) -> keras.Model:
    """Builds a finder with the weights that `bin/pretrain` wrote.

    Args:
        weights: The file; "none" for random weights.
        alpha: Width of the backbone.
        frame_size: Side of the frames in pixels.

    Raises:
        RecipeError: If the file cannot be read or does not fit.
    """
    finder = build_finder("none", alpha=alpha, frame_size=frame_size)
    if weights != "none":
        _load(finder, os.fspath(weights), alpha)
    for layer in finder.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return finder


def _load(finder: keras.Model, path: str, alpha: float) -> None:
    if not os.path.isfile(path):
        raise RecipeError(f"no weights file {path}; bin/pretrain makes one")
    try:
        with opened_weights(path) as source:
            finder.load_weights(source)
    except WlaslError:
        raise
    except Exception as error:  # zipfile, json, h5py and Keras have many
        raise RecipeError(
            f"{path} does not fit a pose finder with alpha {alpha} "
            f"({reason_of(error)}); give the --alpha that bin/pretrain had, and a file "
            "that it wrote"
        ) from error

"""Weights that a recipe makes from the shards before its first training; kept for all.

A recipe says how, by a function

    def pretrain(folder, path, *, weights, stopped, say, max_bad_records, **options)

which writes to `path`, a `….weights.h5`, what its `build_model` takes as `weights`.
`options` are those of the recipe that the function names. Runs on the same shards, with
the same recipe, options and number of damaged records to skip, share the file.
"""

import hashlib
import inspect
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.network import saving
from wlasl_tfrecord.network.recipes import Recipe
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.training import strategies
from wlasl_tfrecord.training.config import TrainConfig, weights_identity
from wlasl_tfrecord.training.phases import phase_names

__all__ = ["build_options", "pretrained_weights"]

# What a recipe has pretrained; other files are what it begins with.
_SUFFIX = ".weights.h5"


def build_options(
    recipe: Recipe, config: TrainConfig, weights: str | None = None
) -> dict[str, Any]:
    """Returns the options that the recipe's `build_model` is called with.

    Args:
        recipe: The recipe of `config`, loaded.
        config: Choices of the run.
        weights: What `pretrained_weights` returned. Without it a network that is
            pretrained first gets random weights: to be checked, or to be restored.
    """
    if weights is None:
        weights = "none" if _is_pretrained_first(recipe, config) else config.weights
    return {"weights": weights, **config.recipe_options}


def pretrained_weights(
    recipe: Recipe,
    folder: ShardFolder,
    config: TrainConfig,
    strategy: tf.distribute.Strategy,
    stopped: Sequence[int],
    say: Callable[[str], None],
) -> str:
    """Returns the weights that the network is built with, making them if need be.

    Args:
        recipe: The recipe of `config`, loaded.
        folder: The shards.
        config: Choices of the run.
        strategy: Devices of the run. One of them pretrains.
        stopped: Signals received; see `stop_signals`.
        say: Takes lines of progress.

    Raises:
        OutputError: If the file cannot be written.
        RecipeError: If weights or options do not fit.
        ShardFolderError: If the shards cannot be read, or lack what is learned from.
        TrainingError: If the process is asked to stop, or is one of several workers,
            which would each pretrain something else.
    """
    if not _is_pretrained_first(recipe, config):
        return config.weights
    if strategies.is_one_of_several(strategy):
        raise TrainingError(
            f"{recipe.name} is pretrained first, and each of several workers would "
            "learn something else; run bin/pretrain once, and give its file to all "
            "workers with --weights"
        )
    assert recipe.pretrain is not None
    # No others, such as the path: options may come from the run folder of a stranger.
    named = inspect.signature(recipe.pretrain).parameters.keys() & recipe.options
    options = {k: v for k, v in config.recipe_options.items() if k in named}
    weights = weights_identity(config.weights)
    facts = [recipe.sha256, folder.table_sha256["train"], weights]
    # Shards that are whole do not begin with what a damaged copy has taught.
    text = json.dumps([*facts, options, config.max_bad_records], sort_keys=True)
    name = f"{recipe.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}{_SUFFIX}"
    path = _cache_folder() / name
    if path.is_file():
        say(f"pretrained before, with these shards: {path}")
        return os.fspath(path)
    # What is wrong with an option is said now, not in half an hour.
    model = saving.build_model(recipe, folder, build_options(recipe, config), "float32")
    phase_names(model, recipe, config)
    say(f"pretraining first, once for these shards; it is kept as {path}")
    recipe.pretrain(
        folder,
        path,
        weights=config.weights,
        stopped=stopped,
        say=say,
        max_bad_records=config.max_bad_records,
        **options,
    )
    return os.fspath(path)


def _is_pretrained_first(recipe: Recipe, config: TrainConfig) -> bool:
    return recipe.pretrain is not None and not config.weights.endswith(_SUFFIX)


def _cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home, "wlasl_tfrecord", "pretrained")

"""bin/train: shards -> a trained recogniser in a run folder."""

import argparse
import contextlib
import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from wlasl_tfrecord.cli import command, process
from wlasl_tfrecord.cli._train_parser import train_parser
from wlasl_tfrecord.cli.cache_options import load_cached
from wlasl_tfrecord.errors import OutputError, RecipeError, TrainingError
from wlasl_tfrecord.network import recipes
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.text import text_of
from wlasl_tfrecord.training import run_folder
from wlasl_tfrecord.training.config import TrainConfig, changed_options
from wlasl_tfrecord.training.connect_limit import sigterm_watched
from wlasl_tfrecord.training.run_config import (
    read_run_config,
    shared_facts,
    trusted_recipe,
)

__all__ = ["main"]

# Options of the default recipe; a recipe of the user's own may have these, or others
# that --option gives.
_RECIPE_OPTIONS = ("alpha", "lstm_units", "dropout")
# What --weights takes besides a file.
_NO_FILE = ("imagenet", "none")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs bin/train and returns its exit code."""
    return command.run("train", train_parser(), partial(_train, argv), argv)


def _train(argv: Sequence[str] | None, arguments: argparse.Namespace) -> int:
    data, out, folder, config = _chosen(arguments, _typed(arguments, argv))
    # Of several workers only the first one writes.
    if out is not None and arguments.strategy != "multi_worker":
        run_folder.check_writable(out)

    # Only now TensorFlow: `--help` and a typing mistake should answer at once.
    several = arguments.strategy == "multi_worker"
    with sigterm_watched() if several else contextlib.nullcontext():
        process.import_tensorflow()
    import tensorflow as tf

    from wlasl_tfrecord.training import strategies, trainer

    if arguments.fit_memory:
        config = _fit_memory(arguments, data, config)
    if arguments.check:
        return _check(folder, config, arguments.h5)
    if arguments.data_service is not None:
        from wlasl_tfrecord.input_pipeline.data_service import wait_for_service

        wait_for_service(arguments.data_service, arguments.connect_timeout)
    if arguments.logical_cpus > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * arguments.logical_cpus
        )
    strategy = strategies.make_strategy(
        arguments.strategy,
        tuple(filter(None, arguments.workers.split(","))),
        arguments.worker_index,
        facts=shared_facts(config, folder),
        connect_timeout=arguments.connect_timeout,
    )
    with _new_folder() if out is None else contextlib.nullcontext(out) as run_dir:
        report = trainer.train(
            folder,
            run_dir,
            config,
            strategy=strategy,
            checkpoint_minutes=arguments.checkpoint_minutes,
            save_h5=arguments.h5,
            data_service=arguments.data_service,
        )
    if strategies.is_chief(strategy):
        print(report)
    return 0


def _chosen(
    arguments: argparse.Namespace, typed: argparse.Namespace
) -> tuple[str, str | None, ShardFolder, TrainConfig]:
    """Returns the shards, the run folder and the choices, all checked."""
    data, out, config = arguments.data, arguments.out, None
    if arguments.resume is not None:
        data, out, config = _resumed(arguments.resume, typed)
    max_bad_records = (config or arguments).max_bad_records
    _refuse_what_does_not_fit(arguments, out, max_bad_records)
    if arguments.model is not None:
        recipes.find_recipe(_recipe(arguments.model))
    folder = load_cached(data, arguments, check_shards=max_bad_records == 0)
    if config is None:
        config = _config(arguments, typed, folder)
    if config.weights not in _NO_FILE and not os.path.exists(config.weights):
        raise RecipeError(
            f"no weights file {config.weights}; give --weights imagenet, none or the "
            "path of a Keras weights file"
        )
    return data, out, folder, config


def _refuse_what_does_not_fit(
    arguments: argparse.Namespace, out: str | None, max_bad_records: int
) -> None:
    """Checks the options that make no sense, alone or together.

    Raises:
        ValueError: If one does not.
    """
    several = arguments.strategy == "multi_worker"
    if out is None and several:
        raise ValueError(
            "--strategy multi_worker needs --out, the same on every worker: each would "
            "name a folder by its own clock"
        )
    if arguments.fit_memory and several:
        raise ValueError(
            "--fit-memory tries on one machine; find the number there by --check "
            "--fit-memory with a worker's share of --batch-size, and give it to all "
            "workers with --accumulate"
        )
    if not arguments.checkpoint_minutes >= 0:
        raise ValueError(
            "--checkpoint-minutes must be at least 0, got "
            f"{arguments.checkpoint_minutes}"
        )
    if arguments.data_service is not None and max_bad_records:
        raise ValueError(
            "--data-service cannot count damaged records, which its workers would "
            "read; leave out --max-bad-records, or the service"
        )
    if not arguments.connect_timeout > 0:
        raise ValueError(
            f"--connect-timeout must be above 0, got {arguments.connect_timeout}"
        )


def _fit_memory(
    arguments: argparse.Namespace, data: str, config: TrainConfig
) -> TrainConfig:
    """Finds the smallest --accumulate that fits, before this process uses a GPU."""
    from wlasl_tfrecord.training.fit_memory import fit_accumulate

    return fit_accumulate(
        data,
        config,
        strategy=arguments.strategy,
        logical_cpus=arguments.logical_cpus,
        say=partial(print, file=sys.stderr, flush=True),
    )


def _check(folder: ShardFolder, config: TrainConfig, save_h5: bool) -> int:
    """Checks the recipe with one clip, and trains nothing."""
    from wlasl_tfrecord.network import saving
    from wlasl_tfrecord.training.pretraining import build_options
    from wlasl_tfrecord.training.recipe_check import check_recipe

    recipe = recipes.load_recipe(config.recipe)
    check_recipe(recipe, folder, config)
    if save_h5:
        saving.check_h5(recipe, folder, build_options(recipe, config))
    print(f"{recipe.path}: built, run, saved and loaded again: it can be trained")
    return 0


def _config(
    arguments: argparse.Namespace, typed: argparse.Namespace, folder: ShardFolder
) -> TrainConfig:
    """Gathers the choices that decide the weights: typed, the recipe's, or usual."""
    if arguments.model is None:
        has_landmarks = folder.has_landmarks
        arguments.model = (
            recipes.LANDMARKS_RECIPE if has_landmarks else recipes.DEFAULT_RECIPE
        )
    names = set(TrainConfig.__dataclass_fields__) - {"recipe", "recipe_options"}
    values: dict[str, Any] = {name: getattr(arguments, name) for name in names}
    defaults = recipes.training_defaults(_recipe(arguments.model))
    for name, value in defaults.items():
        if name not in names:
            raise RecipeError(
                f"{recipes.find_recipe(arguments.model)}: TRAINING has {name!r}, which "
                "is no option of a training; see TrainConfig"
            )
        if getattr(typed, name) is None:
            values[name] = value
    return TrainConfig(
        **values
        | {
            "recipe": _recipe(arguments.model),
            "recipe_options": _recipe_options(arguments),
            "weights": _weights(values["weights"]),
        }
    )


def _recipe(model: str) -> str:
    """Returns a recipe's name, or a path that is valid in any current folder."""
    if model not in recipes.recipe_paths() and model.endswith(".py"):
        return os.path.abspath(model)
    return model


def _weights(weights: str) -> str:
    """Returns the weights' name, or a path that is valid in any current folder."""
    return weights if weights in _NO_FILE else os.path.abspath(weights)


def _recipe_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Gathers what is passed to the recipe."""
    options: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in _RECIPE_OPTIONS
        if getattr(arguments, name) is not None
    }
    for assignment in arguments.option or ():
        name, separator, value = assignment.partition("=")
        if not separator:
            raise ValueError(f"--option must be NAME=VALUE, got {assignment!r}")
        options[name] = _number(value)
    return options


def _typed(
    arguments: argparse.Namespace, argv: Sequence[str] | None
) -> argparse.Namespace:
    """Parses the arguments again, with None for all that was not typed."""
    untyped = argparse.Namespace(**dict.fromkeys(vars(arguments)))
    return train_parser().parse_args(sys.argv[1:] if argv is None else argv, untyped)


def _resumed(run_dir: str, typed: argparse.Namespace) -> tuple[str, str, TrainConfig]:
    """Returns the choices of a run, and refuses options that would change them.

    The shards may have moved; their checksums tell whether they are the same.
    """
    stored = read_run_config(run_dir)
    if typed.out is not None and os.path.realpath(typed.out) != os.path.realpath(
        run_dir
    ):
        raise TrainingError(
            f"--resume {run_dir} trains in that folder, not in --out {typed.out}; "
            "omit --out, or omit --resume to start a new run"
        )
    old = stored.training
    values: dict[str, Any] = {
        name: value
        for name in TrainConfig.__dataclass_fields__
        if (value := getattr(typed, name, None)) is not None
    }
    if typed.model is not None:
        values["recipe"] = _recipe(typed.model)
    else:
        values["recipe"] = trusted_recipe(run_dir, stored)
    if typed.weights is not None:
        values["weights"] = _weights(typed.weights)
    values["recipe_options"] = {**old.recipe_options, **_recipe_options(typed)}
    config = dataclasses.replace(old, **values)
    changed = changed_options(old, config)
    if changed:
        raise TrainingError(
            f"{run_dir} was started with other options ({'; '.join(changed)}); omit "
            "them to resume it, or start another run with --out"
        )
    if not stored.is_own:
        _check_named(run_dir, "--data", typed.data, stored.data)
        if old.weights not in _NO_FILE:
            _check_named(run_dir, "--weights", typed.weights, old.weights)
    return typed.data or stored.data, run_dir, config


def _check_named(run_dir: str, option: str, typed: str | None, stored: str) -> None:
    """Refuses to open, for somebody else's run, what the user has not named."""
    if typed is None:
        raise TrainingError(
            f"{run_dir} is no run that you have started on this machine, so "
            f"{text_of(stored)}, which it names, is not opened unasked; name it, or "
            f"your own copy, with {option}"
        )


@contextlib.contextmanager
def _new_folder() -> Iterator[str]:
    """Makes a run folder named by the time, which no other run has or gets.

    It is removed again if the run wrote nothing into it.
    """
    now = os.path.join("runs", time.strftime("%Y%m%d-%H%M%S"))
    number = 1
    while True:
        out = now if number == 1 else f"{now}-{number}"
        try:
            os.makedirs(out)
            break
        except FileExistsError:
            number += 1
        except OSError as error:
            raise OutputError(
                f"cannot create {out} ({error.strerror}); choose a folder with --out"
            ) from error
    try:
        yield out
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(out)


def _number(value: str) -> Any:
    """Reads an option's value as JSON has it, else as text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


if __name__ == "__main__":
    sys.exit(main())

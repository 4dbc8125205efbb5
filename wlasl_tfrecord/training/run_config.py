"""The choices that a run was started with: `config.json`, written once."""

import contextlib
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wlasl_tfrecord
from wlasl_tfrecord import files
from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.network import model_info, recipes
from wlasl_tfrecord.network.own_recipes import (
    is_own_recipe,
    is_own_run,
    remember_run,
)
from wlasl_tfrecord.network.recipes import Recipe
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.text import reason_of, text_of
from wlasl_tfrecord.training import run_folder
from wlasl_tfrecord.training.config import (
    TrainConfig,
    changed_options,
    weights_identity,
)

__all__ = [
    "RunConfig",
    "check_same_run",
    "read_run_config",
    "shared_facts",
    "trusted_recipe",
    "write_run_config",
]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What must be the same when a run is resumed.

    Attributes:
        training: Choices that decide the weights.
        data: Path of the shard folder; it may have moved since.
        index_sha256: Split -> checksum of its index, which covers every record.
        recipe_sha256: Hash of the recipe's file.
        is_own: Whether this user has started the run on this machine.
    """

    training: TrainConfig
    data: str
    index_sha256: Mapping[str, str]
    recipe_sha256: str
    is_own: bool


def read_run_config(run_dir: str | os.PathLike[str]) -> RunConfig:
    """Reads the choices that a run was started with.

    Raises:
        TrainingError: If the folder holds no run, or one that cannot be read.
    """
    path = Path(run_dir) / run_folder.CONFIG_FILE
    if not path.is_file():
        raise TrainingError(
            f"no run to resume in {os.fspath(run_dir)}: it has no "
            f"{run_folder.CONFIG_FILE}; start one with --out"
        )
    try:
        content = files.read_bytes(str(path))
        stored = files.parse_json(content)
    except (OSError, ValueError) as error:
        raise TrainingError(f"cannot read {path} ({error}); train again") from error
    try:
        data, sha256 = stored["data"], stored["index_sha256"]
        recipe_sha256 = stored["recipe_sha256"]
        if not isinstance(data, str):
            raise TypeError(f"data is {data!r}")
        if not isinstance(recipe_sha256, str):
            raise TypeError(f"recipe_sha256 is {recipe_sha256!r}")
        if not isinstance(sha256, dict):
            raise TypeError(f"index_sha256 is {sha256!r}")
        return RunConfig(
            training=TrainConfig(**stored["training"]),
            data=data,
            index_sha256=sha256,
            recipe_sha256=recipe_sha256,
            is_own=is_own_run(hashlib.sha256(content).hexdigest()),
        )
    except (
        *(KeyError, TypeError, ValueError, AttributeError),
        *(OverflowError, RecursionError),
    ) as error:
        raise TrainingError(
            f"{path} is damaged or of another release ({type(error).__name__}: "
            f"{reason_of(error)}); train again with another --out"
        ) from error


def trusted_recipe(run_dir: str | os.PathLike[str], stored: RunConfig) -> str:
    """Returns the recipe to resume a run with, if it may be executed unasked.

    A recipe of the library may. A file may if this user has trained with exactly this
    file on this machine: at its old place, or else as the copy in the run folder.

    Raises:
        TrainingError: If the user has to name the file with --model.
    """
    recipe = stored.training.recipe
    if recipe in recipes.recipe_paths():
        return recipe
    copy = Path(run_dir) / model_info.RECIPE_FILE
    if not is_own_recipe(stored.recipe_sha256):
        raise TrainingError(
            f"{os.fspath(run_dir)} was trained with the recipe {text_of(recipe)}, "
            "which is code, and no recipe that you have trained with on this machine; "
            f"if you trust it, name it with --model {copy}"
        )
    for path in (Path(recipe), copy):
        with contextlib.suppress(OSError):
            if (
                hashlib.sha256(files.read_bytes(str(path))).hexdigest()
                == stored.recipe_sha256
            ):
                return str(path)
    raise TrainingError(
        f"{text_of(recipe)} and {copy} have changed since {os.fspath(run_dir)} was "
        "started; put the file back, or train again with another --out"
    )


def check_same_run(
    run_dir: Path,
    stored: RunConfig,
    config: TrainConfig,
    folder: ShardFolder,
) -> None:
    """Refuses to resume a run with other choices or other shards.

    That the recipe is the same is checked before it is executed.

    Raises:
        TrainingError: If anything differs; it names what.
    """
    changed = changed_options(stored.training, config)
    if dict(stored.index_sha256) != dict(folder.table_sha256):
        same_place, data = _place(folder) == stored.data, text_of(stored.data)
        changed.append(
            f"the shards in {data} were rewritten since"
            if same_place
            else f"data {data}, not {_place(folder)}, which holds other clips"
        )
    if changed:
        raise TrainingError(
            f"{run_dir} holds a run with other options ({'; '.join(changed)}); "
            "give the same ones to resume it, or another --out"
        )


def shared_facts(config: TrainConfig, folder: ShardFolder) -> dict[str, str]:
    """Returns all that decides the weights, as text that workers compare.

    Files are compared by content: each machine may have them at another place. The
    recipe is read, not executed.
    """
    facts = {
        f"--{name.replace('_', '-')}": str(value)
        for name, value in dataclasses.asdict(config).items()
    }
    facts["--option"] = facts.pop("--recipe-options")
    recipe = files.read_bytes(str(recipes.find_recipe(facts.pop("--recipe"))))
    facts["--model, by its hash"] = hashlib.sha256(recipe).hexdigest()
    if os.path.isfile(config.weights):
        facts["--weights"] = f"a file of hash {weights_identity(config.weights)}"
    for split, sha256 in folder.table_sha256.items():
        facts[f"the {split} shards, by the hash of their index"] = sha256
    return {**facts, **{f"the version of {k}": v for k, v in _versions().items()}}


def write_run_config(
    run_dir: Path,
    config: TrainConfig,
    folder: ShardFolder,
    recipe: Recipe,
    num_replicas: int,
) -> None:
    """Describes a new run in its folder.

    Raises:
        OutputError: If it cannot be written.
    """
    value: dict[str, Any] = {
        "training": dataclasses.asdict(config),
        "data": _place(folder),
        "index_sha256": dict(folder.table_sha256),
        "recipe_sha256": recipe.sha256,
        "command_line": sys.argv,
        "num_replicas": num_replicas,
        "versions": _versions(),
        "git_revision": _git_revision(Path(__file__)),
    }
    files.write_whole(run_dir / model_info.RECIPE_FILE, recipe.content)
    content = json.dumps(value, indent=2).encode() + b"\n"
    files.write_whole(run_dir / run_folder.CONFIG_FILE, content)
    remember_run(hashlib.sha256(content).hexdigest())


def _place(folder: ShardFolder) -> str:
    """Returns the path of a shard folder that is valid in any current folder."""
    if "://" in folder.directory:
        return folder.directory
    return os.path.abspath(folder.directory)


def _versions() -> dict[str, str]:
    import keras
    import numpy as np
    import tensorflow as tf

    return {
        "wlasl_tfrecord": wlasl_tfrecord.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": sys.version.split()[0],
    }


def _git_revision(file: Path) -> str | None:
    """Returns the commit of the checkout that a file of the package is part of.

    Of no other one: a package in a virtual environment may lie inside of somebody's
    repository, whose settings name commands that git would run.

    Args:
        file: A file in a room of the package.
    """
    checkout = file.resolve().parents[2]
    if not (checkout / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=checkout,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()

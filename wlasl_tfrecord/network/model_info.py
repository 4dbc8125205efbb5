"""Inputs and outputs of a saved model: `model.json` beside it.

Plain JSON, so that no TensorFlow is needed to read it.
"""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wlasl_tfrecord import files
from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.files import write_json
from wlasl_tfrecord.network.inputs import FRAMES, LANDMARKS
from wlasl_tfrecord.shard_format.clips import FRAMINGS, ClipSpec, Framing
from wlasl_tfrecord.shard_format.glosses import check_glosses
from wlasl_tfrecord.shard_format.landmarks import (
    LANDMARK_GROUPS,
    LANDMARK_NETWORKS,
    LANDMARK_SOURCE,
    NUM_LANDMARKS,
)
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.text import reason_of, shown

__all__ = [
    "MODEL_FILE",
    "MODEL_FORMAT_VERSION",
    "MODEL_INFO_FILE",
    "RECIPE_FILE",
    "ModelInfo",
    "check_fits",
    "check_network",
    "find_run",
    "input_facts",
    "model_path",
    "read_json",
    "read_model_info",
    "write_model_info",
]

MODEL_FILE = "model.keras"
MODEL_INFO_FILE = "model.json"
# The copy of the recipe in a run folder.
RECIPE_FILE = "recipe.py"
# 1 of a model that takes frames alone.
MODEL_FORMAT_VERSION = 2

_INPUTS = ((FRAMES,), (LANDMARKS,), (FRAMES, LANDMARKS))


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a saved model's inputs and outputs mean; `model.json` beside it.

    Attributes:
        glosses: Words by output.
        clip: Shape of the input clips.
        framing: Framing of the clips it was trained on.
        recipe: Name of the recipe that built it, and the options it was given.
        recipe_sha256: Hash of the recipe's file, which lies beside it as `recipe.py`.
        inputs: What it takes of a clip: "frames", "landmarks" or both. In the file
            there is a key `landmarks` besides, which says how they were found.
    """

    glosses: tuple[str, ...]
    clip: ClipSpec
    framing: Framing
    recipe: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    recipe_sha256: str | None = None
    inputs: tuple[str, ...] = (FRAMES,)

    def __post_init__(self) -> None:
        """Reject what no model has; `model.json` is a file that anybody can edit."""
        check_glosses(self.glosses)
        if self.framing not in FRAMINGS:
            raise ValueError(
                f"framing must be one of {', '.join(FRAMINGS)}, got "
                f"{shown(self.framing)}"
            )
        if not isinstance(self.recipe, Mapping):
            raise ValueError(f"recipe must be an object, got {shown(self.recipe)}")
        name = self.recipe.get("name", "")
        if not isinstance(name, str):
            raise ValueError(f"the name of a recipe must be text, got {shown(name)}")
        if not isinstance(self.recipe_sha256, str | None):
            raise ValueError(
                f"recipe_sha256 must be text, got {shown(self.recipe_sha256)}"
            )
        if self.inputs not in _INPUTS:
            known = ", ".join(map(str, map(list, _INPUTS)))
            raise ValueError(
                f"inputs must be one of {known}, got {shown(list(self.inputs))}"
            )

    @property
    def takes_landmarks(self) -> bool:
        """Whether it needs the landmarks of a clip."""
        return LANDMARKS in self.inputs


def write_model_info(run_dir: str | os.PathLike[str], info: ModelInfo) -> None:
    """Writes `model.json` into a run folder.

    Raises:
        OutputError: If the folder cannot be written to.
    """
    value = {"format_version": 1, **dataclasses.asdict(info)}
    if info.takes_landmarks:
        # A release that knows no landmarks must not try.
        value["format_version"] = MODEL_FORMAT_VERSION
        value["landmarks"] = {
            "source": LANDMARK_SOURCE,
            "networks": dict(LANDMARK_NETWORKS),
            "groups": dict(LANDMARK_GROUPS),
        }
    else:
        del value["inputs"]
    write_json(Path(run_dir) / MODEL_INFO_FILE, value)


def model_path(run: str | os.PathLike[str]) -> Path:
    """Returns the file of a run's model: in a run folder, or the one that is named."""
    path = Path(run)
    return path if path.suffix in (".keras", ".h5") else path / MODEL_FILE


def read_model_info(run_dir: str | os.PathLike[str]) -> ModelInfo:
    """Reads the description of a run's model.

    Args:
        run_dir: A run folder, or the path of the `.keras` or `.h5` file in it.

    Raises:
        TrainingError: If there is no finished model, or it is of a newer format.
    """
    model = model_path(run_dir)
    path = model.with_name(MODEL_INFO_FILE)
    for file in (path, model):
        if not file.is_file():
            raise TrainingError(
                f"no trained model in {file.parent}: it has no {file.name}; run "
                "bin/train first, or name another folder with --run"
            )
    raw = read_json(path)
    try:
        version = raw["format_version"]
        if type(version) is not int:
            raise ValueError(f"format_version must be a number, got {shown(version)}")
        if not isinstance(raw["glosses"], list):
            raise ValueError(f"glosses must be a list, got {shown(raw['glosses'])}")
        if version > MODEL_FORMAT_VERSION:
            raise TrainingError(
                f"{path} has format {version}, this release reads up to "
                f"{MODEL_FORMAT_VERSION}; update wlasl_tfrecord"
            )
        return ModelInfo(
            glosses=tuple(raw["glosses"]),
            clip=ClipSpec(**raw["clip"]),
            framing=raw["framing"],
            recipe=raw.get("recipe", {}),
            recipe_sha256=raw.get("recipe_sha256"),
            inputs=tuple(raw.get("inputs", [FRAMES])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{path} is damaged ({type(error).__name__}: {reason_of(error)}); train "
            "again"
        ) from error


def check_fits(
    info: ModelInfo, folder: ShardFolder, run: str | os.PathLike[str]
) -> None:
    """Refuses a shard folder with other clips or glosses than a model was trained on.

    Args:
        info: What the model takes and knows.
        folder: The shard folder.
        run: Where the model is, for the message.

    Raises:
        TrainingError: If the clip, the framing or the glosses differ, or the model
            takes landmarks and the folder has none.
    """
    for name in ("clip", "framing", "glosses"):
        trained, found = getattr(info, name), getattr(folder, name)
        if trained != found:
            raise TrainingError(
                f"the {name} of the model in {os.fspath(run)} and of the shards in "
                f"{folder.directory} differ: {_short(trained, found)} and "
                f"{_short(found, trained)}; shard again with the same options, or name "
                "the run with --run"
            )
    if info.takes_landmarks and not folder.has_landmarks:
        raise TrainingError(
            f"the model in {os.fspath(run)} takes landmarks, and {folder.directory} "
            "has none; shard again with bin/shard --landmarks, or name another run "
            "with --run"
        )


def input_facts(info: ModelInfo) -> list[tuple[str, tuple[int | None, ...], Any]]:
    """Lists what a model takes: its name, its shape with None for B, and its dtype."""
    clip = info.clip
    known = {
        FRAMES: ((None, *clip.shape), np.uint8),
        LANDMARKS: ((None, clip.num_frames, NUM_LANDMARKS, 3), np.float32),
    }
    return [(name, *known[name]) for name in info.inputs]


def check_network(network: Any, info: ModelInfo, path: Path) -> None:
    """Refuses a network that is not the one of its description.

    Args:
        network: What `saving.load_network` returned.
        info: Its `model.json`.
        path: The model file, for the message.

    Raises:
        TrainingError: If it maps something else than such clips to these glosses.
    """
    shapes: list[Any] = [shape for _, shape, _ in input_facts(info)]
    wanted = (shapes[0] if len(shapes) == 1 else shapes, (None, len(info.glosses)))
    # A file may hold a layer in the place of a model, which has no shapes.
    names = ("input_shape", "output_shape")
    found = tuple(getattr(network, name, None) for name in names)
    if found != wanted:
        raise TrainingError(
            f"{path} maps {found[0]} to {found[1]}, its {MODEL_INFO_FILE} says "
            f"{wanted[0]} to {wanted[1]}; they are not from the same training run"
        )


def find_run(runs_dir: str | os.PathLike[str] = "runs") -> Path:
    """Finds the newest run that has a model.

    Args:
        runs_dir: The folder of run folders.

    Raises:
        TrainingError: If there is none.
    """
    found = list(Path(runs_dir).glob(f"*/{MODEL_INFO_FILE}"))
    if not found:
        raise TrainingError(
            f"no trained model under {os.fspath(runs_dir)}/; run bin/train first, or "
            "name its folder with --run"
        )
    return max(found, key=lambda path: path.stat().st_mtime).parent


def read_json(path: str | os.PathLike[str]) -> Any:
    """Reads a JSON file of a run.

    Raises:
        TrainingError: If it cannot be read or is not JSON.
    """
    try:
        return files.read_json(os.fspath(path))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"cannot read {os.fspath(path)} ({error}); train again"
        ) from error


def _short(value: Any, other: Any) -> str:
    """Shows a value as one types it; of many words the first that differs."""
    if isinstance(value, ClipSpec):
        return f"{value.num_frames} frames of {value.height}x{value.width}"
    if not isinstance(value, tuple):
        return str(value)
    if len(value) != len(other):
        return f"{len(value)} of them"
    label = next(k for k, gloss in enumerate(value) if gloss != other[k])
    return f"label {label} is {value[label]!r}"

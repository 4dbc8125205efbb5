"""Checkpoints: everything that a run needs to continue as if it had never stopped."""

import dataclasses
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.files import write_whole
from wlasl_tfrecord.training.progress import Progress

__all__ = ["Checkpoint", "load_newest", "save_checkpoint"]

# One that a crash of the machine damaged must not be the only one.
_NUM_KEPT = 2
_PROGRESS = "progress.json"
# A key that is missing, or one that this release does not know, is a TypeError.
_DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError)


class Checkpoint(NamedTuple):
    """The state of a run between two steps.

    Attributes:
        step: Number of steps since the run began, over all phases.
        progress: How far the run has come.
        arrays: Weights, optimizer, random state and so on, by name: `model/…`,
            `optimizer/…`, `step/…`, and the best epoch's weights under `best/…`.
    """

    step: int
    progress: Progress
    arrays: Mapping[str, NDArray[Any]]


def save_checkpoint(directory: Path, checkpoint: Checkpoint) -> Path:
    """Writes a checkpoint, whole or not at all, and removes those before the last two.

    Raises:
        OutputError: If it cannot be written.
    """
    content = io.BytesIO()
    text = np.frombuffer(
        json.dumps(dataclasses.asdict(checkpoint.progress)).encode(), np.uint8
    )
    # Not compressed: weights do not get smaller. Zip keeps a CRC of each array.
    np.savez(content, allow_pickle=False, **{_PROGRESS: text}, **checkpoint.arrays)
    path = directory / f"step-{checkpoint.step:09d}.npz"
    write_whole(path, content.getvalue())
    # One that is newer than this is damaged: the run was resumed from one before it.
    older = [one for one in _paths(directory) if one.name <= path.name]
    for old in older[:-_NUM_KEPT]:
        old.unlink(missing_ok=True)
    return path


def load_newest(directory: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """Reads the newest checkpoint that is whole.

    Args:
        directory: The folder of checkpoints.
        say: Takes a line for each one that is damaged.

    Returns:
        The checkpoint; None if none was ever written.

    Raises:
        TrainingError: If there are some, and all of them are damaged.
    """
    paths = _paths(directory)
    for path in reversed(paths):
        checkpoint = _load(path, say)
        if checkpoint is not None:
            return checkpoint
    if paths:
        raise TrainingError(
            f"every checkpoint in {directory} is damaged or of another release; train "
            "again with another --out"
        )
    return None


def _load(path: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """Reads one checkpoint; None if it is damaged."""
    try:
        # Opened here, because numpy leaves a file that is no zip open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        progress = Progress.from_json(json.loads(arrays.pop(_PROGRESS).tobytes()))
    except (zipfile.BadZipFile, *_DAMAGE) as error:
        say(f"{path} is damaged or of another release ({error}); trying the one before")
        return None
    return Checkpoint(int(path.stem.split("-")[1]), progress, arrays)


def _paths(directory: Path) -> list[Path]:
    """Lists the checkpoints, oldest first."""
    found = directory.glob("step-*.npz")
    return sorted(path for path in found if re.fullmatch(r"step-\d{9}", path.stem))

"""Checkpoints: everything that a run needs to continue as if it had never stopped."""

import contextlib
import dataclasses
import io
import json
import math
import os
import re
import struct
import tokenize
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.files import open_regular, write_whole
from wlasl_tfrecord.text import reason_of
from wlasl_tfrecord.training.progress import Progress

__all__ = ["Checkpoint", "load_newest", "save_checkpoint"]

# One that a crash of the machine damaged must not be the only one.
_NUM_KEPT = 2
_PROGRESS = "progress.json"
# A key that is missing, or one that this release does not know, is a TypeError; a
# compression or an encryption that zipfile does not know, a RuntimeError.
_DAMAGE = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, MemoryError),
    *(OverflowError, SyntaxError, tokenize.TokenError),
    *(struct.error, zipfile.BadZipFile),
)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


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
        # A folder of that name, in a run folder of others, stays.
        with contextlib.suppress(OSError):
            old.unlink()
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
        with open(path, "rb", opener=open_regular) as file:
            arrays = _read_arrays(file)
        progress = Progress.from_json(json.loads(arrays.pop(_PROGRESS).tobytes()))
    except _DAMAGE as error:
        say(
            f"{path} is damaged or of another release ({reason_of(error)}); trying the "
            "one before"
        )
        return None
    return Checkpoint(int(path.stem.split("-")[1]), progress, arrays)


def _read_arrays(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    """Reads the arrays of an npz file that is not compressed.

    A run folder may be received from others: no array takes more memory than the file
    has bytes, whatever its description claims.

    Raises:
        ValueError: If they take more, or are no arrays of numbers.
        Exception: One of `_DAMAGE`, for a damaged file.
    """
    arrays: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        num_bytes = sum(member.file_size for member in members)
        if num_bytes > file.seek(0, os.SEEK_END):
            raise ValueError("its arrays are larger than the file")
        for member in members:
            with archive.open(member) as stored:
                read_header = _HEADERS[np.lib.format.read_magic(stored)]
                shape, _, dtype = read_header(stored)
                num_bytes = math.prod(shape) * dtype.itemsize
                # TensorFlow takes no numbers of more than 8 bytes.
                is_known = dtype.kind in "biuf" and dtype.itemsize <= 8
                if not is_known or min(shape, default=0) < 0:
                    raise ValueError(f"{member.filename} is no array of numbers")
                if num_bytes != member.file_size - stored.tell():
                    raise ValueError(f"{member.filename} is not of its length")
            with archive.open(member) as stored:
                array = np.lib.format.read_array(stored, allow_pickle=False)
            arrays[member.filename.removesuffix(".npy")] = array
    return arrays


def _paths(directory: Path) -> list[Path]:
    """Lists the checkpoints, oldest first."""
    found = directory.glob("step-*.npz")
    return sorted(path for path in found if re.fullmatch(r"step-\d{9}", path.stem))

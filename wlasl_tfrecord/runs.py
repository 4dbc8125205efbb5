"""The run folder: what a training leaves behind, and how others find and read it.

    runs/<name>/
      model.keras, model.json     the best model, and what its inputs and outputs mean
      config.json                 every option, versions, the shard folder's fingerprint
      history.csv, history.png    one row an epoch, and the curves
      tensorboard/                the same for TensorBoard
      checkpoints/                what `--resume` continues from
      features/                   what a frozen backbone made of every clip

Plain JSON, so that no TensorFlow is needed to ask what a run is.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wlasl_tfrecord import locks
from wlasl_tfrecord.clips import ClipSpec, Framing
from wlasl_tfrecord.errors import OutputError, TrainingError
from wlasl_tfrecord.storage import existing_place

__all__ = [
    "ModelInfo",
    "check_place",
    "find_run",
    "model_path",
    "own_folder",
    "read_json",
    "read_model_info",
    "write_json",
    "write_model_info",
    "write_whole",
]

MODEL_FILE = "model.keras"
INFO_FILE = "model.json"
CONFIG_FILE = "config.json"
MODEL_FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a saved model's inputs and outputs mean; `model.json` beside it.

    Attributes:
        glosses: The words, by output.
        clip: The shape of the clips that it takes.
        framing: How frames were made to fit when it was trained.
        recipe: Which file of `models/` built it, and the options it was given.
    """

    glosses: tuple[str, ...]
    clip: ClipSpec
    framing: Framing
    recipe: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def write_model_info(run_dir: str | os.PathLike[str], info: ModelInfo) -> None:
    """Writes `model.json` into a run folder.

    Raises:
        OutputError: If the folder cannot be written to.
    """
    value = {"format_version": MODEL_FORMAT_VERSION, **dataclasses.asdict(info)}
    write_json(Path(run_dir) / INFO_FILE, value)


def model_path(run: str | os.PathLike[str]) -> Path:
    """Gives the file of a run's model: in a run folder, or the one that is named."""
    path = Path(run)
    return path if path.suffix in (".keras", ".h5") else path / MODEL_FILE


def read_model_info(run_dir: str | os.PathLike[str]) -> ModelInfo:
    """Reads what the model of a run takes and gives.

    Args:
        run_dir: A run folder, or the path of the `.keras` or `.h5` file in it.

    Raises:
        TrainingError: If there is no finished model, or it is of a newer format.
    """
    model = model_path(run_dir)
    path = model.with_name(INFO_FILE)
    for file in (path, model):
        if not file.is_file():
            raise TrainingError(
                f"no trained model in {file.parent}: it has no {file.name}; run "
                "bin/train first, or name another folder with --run"
            )
    raw = read_json(path)
    try:
        version = int(raw["format_version"])
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
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{path} is damaged ({type(error).__name__}: {error}); train again"
        ) from error


def find_run(runs_dir: str | os.PathLike[str] = "runs") -> Path:
    """Finds the newest run that has a model.

    Args:
        runs_dir: The folder of run folders.

    Raises:
        TrainingError: If there is none.
    """
    found = list(Path(runs_dir).glob(f"*/{INFO_FILE}"))
    if not found:
        raise TrainingError(
            f"no trained model under {os.fspath(runs_dir)}/; run bin/train first, or "
            "name its folder with --run"
        )
    return max(found, key=lambda path: path.stat().st_mtime).parent


def check_place(out: str | os.PathLike[str]) -> None:
    """Refuses a folder that cannot be made or written to, and makes none.

    Raises:
        OutputError: If a file is in its way, or nobody may write there.
    """
    place = existing_place(out)
    if not os.path.isdir(place):
        raise OutputError(
            f"cannot write to {os.fspath(out)}: {place} is no folder; choose another "
            "--out"
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(
            f"cannot write to {os.fspath(out)}: {place} is not writable; choose "
            "another --out"
        )


@contextlib.contextmanager
def own_folder(run_dir: Path) -> Iterator[None]:
    """Makes a run folder, and keeps other runs out of it.

    It is taken away again if the run wrote nothing into it.

    Raises:
        OutputError: If it cannot be made, or another run has it.
    """
    is_new = not run_dir.exists()
    with contextlib.ExitStack() as held:
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
            held.enter_context(locks.locked(run_dir))
        except OSError as error:
            raise OutputError(
                f"cannot create {run_dir} ({error.strerror}); choose another --out"
            ) from error
        # What a run that was killed had begun to write; nobody else writes here now.
        for path in run_dir.rglob(".*.part*"):
            path.unlink(missing_ok=True)
        try:
            yield
        finally:
            if is_new:
                with contextlib.suppress(OSError):
                    run_dir.rmdir()


def write_json(path: str | os.PathLike[str], value: object) -> None:
    """Writes a JSON file, whole or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_whole(path, text.encode())


def read_json(path: str | os.PathLike[str]) -> Any:
    """Reads a JSON file of a run.

    Raises:
        TrainingError: If it cannot be read or is not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"cannot read {os.fspath(path)} ({error}); train again"
        ) from error


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file beside its place and renames it, so that no half is ever seen.

    Raises:
        OutputError: If it cannot be written.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise OutputError(
            f"cannot write {path} ({error.strerror}); free some space, or choose "
            "another folder with --out"
        ) from error

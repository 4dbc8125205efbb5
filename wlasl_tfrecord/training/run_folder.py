"""The run folder: what a training writes, and the one process that writes it.

    runs/<name>/
      model.keras, model.json     the best model, and what its inputs and outputs mean
      config.json                 every option, versions, the shard folder's fingerprint
      history.csv, history.png    one row an epoch, and the curves
      tensorboard/                the same for TensorBoard
      checkpoints/                what `--resume` continues from
      feature_cache/              the frozen backbone's output for every clip

Plain JSON, so that no TensorFlow is needed to read what a run is.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from wlasl_tfrecord import files
from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.files import existing_place

__all__ = [
    "check_writable",
    "own_folder",
]

CONFIG_FILE = "config.json"
# The folders in it that are written to.
FOLDERS = ("checkpoints", "feature_cache", "tensorboard")


def check_writable(out: str | os.PathLike[str]) -> None:
    """Refuses a folder that cannot be made or written to, and makes none.

    Raises:
        OutputError: If a file is in its way, or nobody may write there.
    """
    place = existing_place(out)
    if not os.path.isdir(place):
        raise OutputError(
            f"cannot write to {os.fspath(out)}: {place} is not a folder; choose "
            "another --out"
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(
            f"cannot write to {os.fspath(out)}: {place} is not writable; choose "
            "another --out"
        )


@contextlib.contextmanager
def own_folder(run_dir: Path) -> Iterator[None]:
    """Makes a run folder, and keeps other runs out of it.

    It is removed again if the run wrote nothing into it.

    Raises:
        OutputError: If it cannot be made, another run has it, or a folder in it is a
            link: what is written or removed there would be elsewhere.
    """
    is_new = not run_dir.exists()
    with contextlib.ExitStack() as held:
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
            held.enter_context(files.locked(run_dir))
        except OSError as error:
            raise OutputError(
                f"cannot create {run_dir} ({error.strerror}); choose another --out"
            ) from error
        for name in FOLDERS:
            if (run_dir / name).is_symlink():
                raise OutputError(
                    f"{run_dir / name} is a link, and may lead to somebody else's "
                    "files; remove it, or choose another --out"
                )
        # What a run that was killed had begun to write; nobody else writes here now.
        for path in run_dir.rglob(".*.part*"):
            with contextlib.suppress(OSError):
                path.unlink()
        try:
            yield
        finally:
            if is_new:
                with contextlib.suppress(OSError):
                    run_dir.rmdir()

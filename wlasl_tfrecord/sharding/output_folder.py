"""The output folder: one run at a time, whole files only, finished or not."""

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from wlasl_tfrecord import files as root_files
from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.files import existing_place, read_bytes, written_whole
from wlasl_tfrecord.shard_format import layout
from wlasl_tfrecord.shard_format.layout import FAILURES_FILE, REPORT_FILE
from wlasl_tfrecord.shard_format.shard_options import ShardOptions

__all__ = [
    "WORK_DIR",
    "check_place",
    "finish_folder",
    "local_folder",
    "locked_folder",
    "open_work_folder",
    "output_errors",
    "unfinished_options",
]

_OUR_FILE = re.compile(
    rf"{layout.DATASET_NAME}-({'|'.join(layout.SPLITS)})"
    rf"\.(tfrecord-\d+-of-\d+|index\.csv)"
    rf"|{layout.INFO_FILE}|{layout.FEATURES_FILE}|{layout.LABELS_FILE}"
    rf"|{layout.INDEX_FILE}|{REPORT_FILE}|{FAILURES_FILE}"
)
# By these a file of a name as common as theirs is known to be ours.
_KEYS = {
    layout.INDEX_FILE: {"clip", "codec", "glosses", "splits"},
    REPORT_FILE: {"format_version", "options", "shards", "instances"},
}


def local_folder(out: str | os.PathLike[str]) -> str:
    """Gives the path of a folder to write.

    Raises:
        ValueError: If it names none, or a remote one: a run that can be killed at any
            moment needs a file system that renames and locks.
    """
    path = os.fspath(out)
    if not path:
        raise ValueError("--out must name a folder, got ''")
    if "://" in path:
        raise ValueError(
            f"shards are written to a local folder, got {path!r}; choose a local "
            "--out, and copy it there when it is finished"
        )
    return path


@contextlib.contextmanager
def output_errors(path: str) -> Iterator[None]:
    """Turns what the system says of a full or read-only place into one line.

    Raises:
        OutputError: Instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(
                f"no space left to write {path}; free some and run the same command "
                "again: it continues"
            ) from error
        # Of two, where something was to go: a folder is in its place, perhaps.
        where = error.filename2 or error.filename or path
        raise OutputError(
            f"cannot write {where}: {error.strerror or error}; check --out"
        ) from error


@contextlib.contextmanager
def locked_folder(out: str) -> Iterator[None]:
    """Makes a folder, and keeps other runs out of it.

    Raises:
        OutputError: If it cannot be made, or another run has it.
    """
    with contextlib.ExitStack() as held:
        with output_errors(out):
            os.makedirs(out, exist_ok=True)
            held.enter_context(root_files.locked(out))
        yield


def check_place(out: str) -> None:
    """Refuses what can be no folder, or has files of others of the names we write.

    A folder of ours says so by its index; one without a clip, or without a good index,
    by its report; and an interrupted run by its working folder.

    Raises:
        OutputError: If it is such a place, or cannot be read.
    """
    path = existing_place(out)
    if not os.path.isdir(path):
        raise OutputError(f"cannot write {out}: {path} is no folder; check --out")
    if not os.path.isdir(out):
        return
    with output_errors(out):
        names = sorted(filter(_OUR_FILE.fullmatch, os.listdir(out)))
    if (
        names
        and not os.path.isdir(os.path.join(out, WORK_DIR))
        and not any(_has_keys(os.path.join(out, name), _KEYS[name]) for name in _KEYS)
    ):
        raise OutputError(
            f"{out} holds {names[0]}, but no index.json or report.json of bin/shard: "
            "it may be somebody else's; choose another --out, or move it away"
        )


def _has_keys(path: str, keys: set[str]) -> bool:
    """Says whether a file is a JSON object that has these keys."""
    if not os.path.isfile(path):
        return False
    try:
        values = json.loads(read_bytes(path))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and keys <= values.keys()


def finish_folder(
    out: str, work_dir: str, shard_names: Iterable[str], files: Mapping[str, bytes]
) -> None:
    """Puts finished shards and the files about them in their places.

    At any moment the folder is either finished, and `index.json` says so, or it has no
    `index.json`. A run that is killed in between finds in the working folder what it
    needs to do this again.

    Args:
        out: The folder.
        work_dir: The working folder in it.
        shard_names: All shards of the folder, those in their places included.
        files: Name -> content of all other files; `index.json` among them, unless the
            folder holds no clip.
    """
    names = set(shard_names)
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(out, layout.INDEX_FILE))
    for name in sorted(names):
        with contextlib.suppress(FileNotFoundError):
            os.replace(os.path.join(work_dir, name), os.path.join(out, name))
        with open(os.path.join(out, name), "ab"):
            # One without records may not have a file yet.
            pass
    for name in sorted(os.listdir(out)):
        is_ours = _OUR_FILE.fullmatch(name)
        if is_ours and name not in names and name not in files:
            os.remove(os.path.join(out, name))
    # The index last.
    for name in sorted(files, key=lambda name: name == layout.INDEX_FILE):
        _write_whole(os.path.join(out, name), work_dir, files[name])
    shutil.rmtree(work_dir)


def _write_whole(path: str, work_dir: str, content: bytes) -> None:
    """Writes a file aside and renames it; leaves one alone that is the same."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        if file.read() == content:
            return
    # The shards are on the disk; after a power cut, what says so must not be empty.
    with written_whole(path, aside_dir=work_dir) as aside:
        aside.write_bytes(content)


# Inside the folder of shards, so that renaming a finished file moves no bytes.
WORK_DIR = ".shard-work"
_OPTIONS_FILE = "options.json"


def open_work_folder(root: str, options: ShardOptions, useful: Collection[str]) -> str:
    """Makes the working folder, or clears the one of an interrupted run.

    A file that is of no use must go: a shard in here replaces the one of its name in
    the folder when the run ends, and that one may be right where this one is not.

    Args:
        root: The folder of shards.
        options: What decides the bytes; noted, so that a later run can compare.
        useful: The names of the files that stay.

    Returns:
        Its path.

    Raises:
        OSError: If it cannot be written.
    """
    work_dir = os.path.join(root, WORK_DIR)
    os.makedirs(work_dir, exist_ok=True)
    with written_whole(os.path.join(work_dir, _OPTIONS_FILE), sync=False) as aside:
        aside.write_text(json.dumps(options.to_dict()), encoding="utf-8")
    for name in os.listdir(work_dir):
        if name not in useful and name != _OPTIONS_FILE:
            os.remove(os.path.join(work_dir, name))
    return work_dir


def unfinished_options(root: str) -> Mapping[str, Any] | None:
    """Gives the options of an interrupted run that has finished a shard.

    Returns:
        What `ShardOptions.to_dict` gave; None if there is no such run, or none that
        says so.
    """
    work_dir = os.path.join(root, WORK_DIR)
    try:
        notes = {name for name in os.listdir(work_dir) if name.endswith(".json")}
        if notes <= {_OPTIONS_FILE}:
            return None
        values = json.loads(read_bytes(os.path.join(work_dir, _OPTIONS_FILE)))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None

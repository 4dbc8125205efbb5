"""The output folder: one run at a time, whole files only, finished or not.

A folder may have been received from others, so nothing in it is followed: no link is
written through, and none is followed to remove its target.
"""

import contextlib
import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.files import (
    existing_place,
    locked,
    read_bytes,
    read_json,
    real_folder,
    remove_folder,
    written_whole,
)
from wlasl_tfrecord.shard_format import layout
from wlasl_tfrecord.shard_format.layout import FAILURES_FILE, REPORT_FILE
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.storage.urls import without_secrets

__all__ = [
    "OPTIONS_FILE",
    "OUR_FILE",
    "PLAN_FILE",
    "WORK_DIR",
    "check_output_folder",
    "finish_folder",
    "local_folder",
    "locked_folder",
    "open_work_folder",
    "output_errors",
    "remove_work_folder",
    "unfinished_options",
]

# Inside the folder of shards, so that renaming a finished file moves no bytes.
WORK_DIR = ".shard-work"
OPTIONS_FILE = "options.json"
# Of a run that several processes have joined.
PLAN_FILE = "plan"

OUR_FILE = re.compile(
    rf"{layout.DATASET_NAME}-({'|'.join(layout.SPLITS)})"
    rf"\.(tfrecord-\d+-of-\d+|index\.csv)"
    rf"|{layout.INFO_FILE}|{layout.FEATURES_FILE}|{layout.LABELS_FILE}"
    rf"|{layout.INDEX_FILE}|{REPORT_FILE}|{FAILURES_FILE}"
)
# The names index.json and report.json are common; these keys tell ours from others.
_KEYS = {
    layout.INDEX_FILE: {"clip", "codec", "glosses", "splits"},
    REPORT_FILE: {"format_version", "options", "shards", "instances"},
}


def local_folder(out: str | os.PathLike[str]) -> str:
    """Returns the path of a folder to write.

    Raises:
        ValueError: If it names none, or a URL.
    """
    path = os.fspath(out)
    if not path:
        raise ValueError("--out must name a folder, got ''")
    if "://" in path:
        raise ValueError(
            "shards are written to a folder, or to s3://, gs:// or az://, got "
            f"{without_secrets(path)!r}"
        )
    return path


@contextlib.contextmanager
def output_errors(path: str) -> Iterator[None]:
    """Turns the system's error about a full or read-only disk into one line.

    Raises:
        OutputError: Instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(
                f"no space left to write {path}; free some and run the same command "
                "again: it resumes"
            ) from error
        # A renaming has two paths; a folder may be in the way of the second one.
        where = error.filename2 or error.filename or path
        raise OutputError(
            f"cannot write {where}: {error.strerror or error}; check --out"
        ) from error


@contextlib.contextmanager
def locked_folder(out: str, *, shared: bool = False) -> Iterator[None]:
    """Makes a folder, and keeps other runs out of it, but those that share it.

    Raises:
        OutputError: If it cannot be made, or another run has locked it.
    """
    with contextlib.ExitStack() as held:
        with output_errors(out):
            os.makedirs(out, exist_ok=True)
            held.enter_context(locked(out, shared=shared))
        yield


def check_output_folder(out: str) -> None:
    """Refuses a path that cannot be a folder, or a folder with somebody else's files.

    A folder of ours has an index.json; without a clip, or with a damaged index.json, it
    has a report.json; after an interrupted run it has a working folder.

    Raises:
        OutputError: If it is such a path, or cannot be read.
    """
    path = existing_place(out)
    if not os.path.isdir(path):
        raise OutputError(f"cannot write {out}: {path} is not a folder; check --out")
    if not os.path.isdir(out):
        return
    work_dir = os.path.join(out, WORK_DIR)
    has_work = os.path.lexists(work_dir)
    if has_work and not stat.S_ISDIR(os.lstat(work_dir).st_mode):
        raise OutputError(
            f"{work_dir} is a link or a file, but runs write and remove files in a "
            "folder of this name; remove it"
        )
    with output_errors(out):
        names = sorted(filter(OUR_FILE.fullmatch, os.listdir(out)))
    is_ours = has_work or any(
        _has_keys(os.path.join(out, name), keys) for name, keys in _KEYS.items()
    )
    if names and not is_ours:
        raise OutputError(
            f"{out} holds {names[0]}, but no index.json or report.json of bin/shard: "
            "it may be somebody else's; choose another --out, or move it away"
        )


def _has_keys(path: str, keys: set[str]) -> bool:
    """Whether a file is a JSON object that has these keys."""
    try:
        values = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and keys <= values.keys()


def open_work_folder(root: str, options: ShardOptions, useful: Collection[str]) -> str:
    """Makes the working folder, or clears the one of an interrupted run.

    A file that is of no use is removed first: at the end of the run a shard in here
    replaces the one of its name in the folder, which may be right where this one is
    not.

    Args:
        root: The folder of shards.
        options: What decides the bytes; noted, so that a later run can compare.
        useful: The names of the files that stay.

    Returns:
        Its path.

    Raises:
        OSError: If it cannot be written, or is a link.
    """
    work_dir = os.path.join(root, WORK_DIR)
    real_folder(work_dir)
    kept = {*useful, OPTIONS_FILE}
    with os.scandir(work_dir) as entries:
        for entry in list(entries):
            if not entry.is_file(follow_symlinks=False) or entry.name not in kept:
                _remove(entry)
    with written_whole(os.path.join(work_dir, OPTIONS_FILE), sync=False) as aside:
        aside.write_text(json.dumps(options.to_dict()), encoding="utf-8")
    return work_dir


def _remove(entry: os.DirEntry[str]) -> None:
    """Removes a file, a link or a folder; what a link leads to stays."""
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path)
    else:
        os.remove(entry.path)


def remove_work_folder(root: str) -> None:
    """Removes the working folder, as far as the system lets us."""
    remove_folder(os.path.join(root, WORK_DIR))


def finish_folder(
    out: str, work_dir: str, shard_names: Iterable[str], files: Mapping[str, bytes]
) -> None:
    """Moves finished shards to their places, and writes the files about them.

    At any moment the folder either is finished and has an `index.json`, or has none. A
    run that is killed in between finds in the working folder what it needs to do this
    again.

    Args:
        out: The folder.
        work_dir: The working folder in it.
        shard_names: All shards of the folder, those in their places included.
        files: Name -> content of all other files; `index.json` among them, unless the
            folder holds no clip.
    """
    names = set(shard_names)
    os.lstat(work_dir)  # or a process that shares the run has done all of this
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(out, layout.INDEX_FILE))
    for name in sorted(names):
        path = os.path.join(out, name)
        with contextlib.suppress(FileNotFoundError):
            os.replace(os.path.join(work_dir, name), path)
        if not os.path.lexists(path):
            # One without records may not have a file yet.
            with written_whole(path, aside_dir=work_dir):
                pass
    for name in sorted(os.listdir(out)):
        is_ours = OUR_FILE.fullmatch(name)
        if is_ours and name not in names and name not in files:
            os.remove(os.path.join(out, name))
    # The index last.
    for name in sorted(files, key=lambda name: name == layout.INDEX_FILE):
        _write_changed(os.path.join(out, name), work_dir, files[name])
    # First what says that the run goes on, for the processes that have joined it.
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(work_dir, PLAN_FILE))
    try:
        shutil.rmtree(work_dir)
    except OSError:  # one of them looked at a claim meanwhile
        shutil.rmtree(work_dir)


def _write_changed(path: str, work_dir: str, content: bytes) -> None:
    """Writes a file aside and renames it; leaves it alone if it is the same."""
    with contextlib.suppress(OSError):
        if not os.path.islink(path) and read_bytes(path) == content:
            return
    # The shards are on the disk; after a power cut, what describes them must not be
    # empty.
    with written_whole(path, aside_dir=work_dir) as aside:
        aside.write_bytes(content)


def unfinished_options(root: str) -> Mapping[str, Any] | None:
    """Returns the options of an interrupted run that has finished a shard.

    Returns:
        What `ShardOptions.to_dict` returned; None if there is no such run, or its
        options are unknown.
    """
    work_dir = os.path.join(root, WORK_DIR)
    try:
        notes = {name for name in os.listdir(work_dir) if name.endswith(".json")}
        if notes <= {OPTIONS_FILE}:
            return None
        values = read_json(os.path.join(work_dir, OPTIONS_FILE))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None

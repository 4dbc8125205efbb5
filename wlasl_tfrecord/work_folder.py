"""The working folder of a run: what an interruption leaves for the next one."""

import json
import os
from collections.abc import Collection, Mapping
from typing import Any

from wlasl_tfrecord.plan import ShardOptions
from wlasl_tfrecord.storage import read_bytes

__all__ = ["WORK_DIR", "open_work_folder", "unfinished_options"]

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
    path = os.path.join(work_dir, _OPTIONS_FILE)
    with open(f"{path}.tmp", "w", encoding="utf-8") as file:
        json.dump(options.to_dict(), file)
    os.replace(f"{path}.tmp", path)
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

"""Recipes and runs that are this user's on this machine, by the hash of their file.

A recipe is code. A run folder holds a copy of its recipe, and may have come from
somebody else. Its copy is executed only if the user has trained with a file of the very
same content before. A run names the shards and weights that it was started with; they
are opened unasked only if the user has started it. Both are remembered outside of all
run folders: in `$XDG_STATE_HOME/wlasl_tfrecord`, by default below `~/.local/state`.
"""

import contextlib
import os
import re
from pathlib import Path

__all__ = ["is_own_recipe", "is_own_run", "remember_recipe", "remember_run"]


def remember_recipe(sha256: str) -> None:
    """Remembers that this user has named the recipe with this hash.

    Where the folder cannot be written nothing is remembered, and the user has to name
    the recipe each time.

    Args:
        sha256: Hash of the recipe's file, in hexadecimal.
    """
    _remember("recipes", sha256)


def is_own_recipe(sha256: str) -> bool:
    """Returns whether this user has named the recipe with this hash before.

    A folder that others can write to is not believed.
    """
    return _is_own("recipes", sha256)


def remember_run(sha256: str) -> None:
    """Remembers that this user has started the run with this `config.json`.

    Args:
        sha256: Hash of that file, in hexadecimal.
    """
    _remember("runs", sha256)


def is_own_run(sha256: str) -> bool:
    """Returns whether this user has started the run with this `config.json`."""
    return _is_own("runs", sha256)


def _remember(kind: str, sha256: str) -> None:
    with contextlib.suppress(OSError):
        directory = _directory(kind)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / sha256).touch(mode=0o600)


def _is_own(kind: str, sha256: str) -> bool:
    if re.fullmatch("[0-9a-f]{64}", sha256) is None:
        return False
    try:
        facts = _directory(kind).stat()
        is_private = facts.st_uid == os.geteuid() and not facts.st_mode & 0o022
        return is_private and (_directory(kind) / sha256).is_file()
    except OSError:
        return False


def _directory(kind: str) -> Path:
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(state) / "wlasl_tfrecord" / kind

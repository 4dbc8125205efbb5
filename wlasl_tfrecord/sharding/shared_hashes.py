"""The hashes of many videos, shared out among processes that plan the same run.

Each process needs all hashes to make the plan, and each video needs to be read once. So
the processes claim blocks of videos, and note what they found beside the shards. A note
counts for exactly these paths, sizes and times of change; a video that was changed
without them is found when it is decoded, as in every run.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator, Sequence

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.files import read_bytes, real_folder, written_whole
from wlasl_tfrecord.sharding.claims import Claims
from wlasl_tfrecord.sharding.video_hashes import hash_videos

__all__ = ["hash_together", "remove_shared_hashes"]

_HASHES_DIR = ".shard-hashes"
# Some seconds of reading: a claim costs four operations of a network disk.
_BLOCK = 256
_POLL_SECONDS = 0.2
_SHA256 = re.compile(r"[0-9a-f]{64}")

Result = str | VideoError


def hash_together(
    out: str, paths: Sequence[str], timeout_seconds: float
) -> Iterator[tuple[str, Result]]:
    """Returns the hash of every video, and reads only those that no other process does.

    Where the folder for the notes cannot be used, this process reads what is left: the
    notes only save work.

    Args:
        out: The output folder, which the processes share.
        paths: Files, or folders of images.
        timeout_seconds: How long one of them may take.

    Yields:
        As `hash_videos`.

    Raises:
        WlaslError: If the system starts no thread.
    """
    folder = os.path.join(out, _HASHES_DIR)
    with contextlib.ExitStack() as held:
        claims = None
        with contextlib.suppress(OSError):
            real_folder(folder)
            claims = held.enter_context(Claims(folder))
        blocks = _Blocks(claims, folder, paths, timeout_seconds)
        for number in range(blocks.num_blocks):
            yield from blocks.hashes(number)


def remove_shared_hashes(out: str) -> None:
    """Removes the notes of a run that has ended, as far as the system lets us."""
    shutil.rmtree(os.path.join(out, _HASHES_DIR), ignore_errors=True)


class _Blocks:
    """The blocks of one process, which it reads itself or finds noted."""

    def __init__(
        self,
        claims: Claims | None,
        folder: str,
        paths: Sequence[str],
        timeout_seconds: float,
    ) -> None:
        self._claims = claims
        self._folder = folder
        self._blocks = [paths[k : k + _BLOCK] for k in range(0, len(paths), _BLOCK)]
        self._names = [_note_name(block) for block in self._blocks]
        self._timeout_seconds = timeout_seconds
        self._done: dict[int, list[tuple[str, Result]]] = {}

    @property
    def num_blocks(self) -> int:
        return len(self._blocks)

    def hashes(self, number: int) -> list[tuple[str, Result]]:
        """Returns those of a block; meanwhile reads others that nobody reads."""
        while number not in self._done:
            if not self._finish_one(number):
                time.sleep(_POLL_SECONDS)
        return self._done.pop(number)

    def _finish_one(self, first: int) -> bool:
        """Finishes one block; False if other processes read all that are left."""
        for number in range(first, len(self._blocks)):
            if number not in self._done:
                found = self._find(number)
                if found is not None:
                    self._done[number] = found
                    return True
        return False

    def _find(self, number: int) -> list[tuple[str, Result]] | None:
        """Reads a block, or its note; None if another process reads it."""
        if self._claims is not None:
            try:
                return self._claim(self._claims, number)
            except OSError:  # the folder is gone, or full
                self._claims = None
        return self._read(self._blocks[number])

    def _claim(self, claims: Claims, number: int) -> list[tuple[str, Result]] | None:
        name, block = self._names[number], self._blocks[number]
        path = os.path.join(self._folder, f"{name}.json")
        noted = _load_note(path, len(block))
        if noted is None and claims.take(name):
            try:
                noted = _load_note(path, len(block))  # between the two looks
                if noted is None:
                    found = self._read(block)
                    _save_note(path, found)
                    return found
            finally:
                claims.release(name)
        if noted is None:
            return None
        # One that could not be read is each process's own affair.
        unread = [one for one, sha256 in zip(block, noted) if sha256 is None]
        others = dict(self._read(unread))
        return [
            (one, others[one] if sha256 is None else sha256)
            for one, sha256 in zip(block, noted)
        ]

    def _read(self, block: Sequence[str]) -> list[tuple[str, Result]]:
        return list(hash_videos(block, self._timeout_seconds))


def _note_name(block: Sequence[str]) -> str:
    """Returns a name that no other content of these files has, but on purpose."""
    facts: list[object] = []
    for path in block:
        try:
            status = os.stat(path)
        except OSError:
            facts.append([path, None])
            continue
        if not stat.S_ISREG(status.st_mode):
            # The images in a folder may change, and it does not. No other process has
            # this name: each reads such a block itself.
            facts.append([path, os.urandom(16).hex()])
        else:
            facts.append([path, status.st_size, status.st_mtime_ns])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _save_note(path: str, found: Sequence[tuple[str, Result]]) -> None:
    values = [sha256 if isinstance(sha256, str) else None for _, sha256 in found]
    with written_whole(path, sync=False) as aside:
        aside.write_text(json.dumps(values), encoding="utf-8")


def _load_note(path: str, length: int) -> list[str | None] | None:
    """Reads what `_save_note` wrote; None if it is missing or damaged."""
    try:
        values = json.loads(read_bytes(path))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    if not isinstance(values, list) or len(values) != length:
        return None
    is_right = all(
        one is None or (isinstance(one, str) and _SHA256.fullmatch(one))
        for one in values
    )
    return values if is_right else None

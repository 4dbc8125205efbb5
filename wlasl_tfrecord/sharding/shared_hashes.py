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
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.sharding.claims import Claims
from wlasl_tfrecord.sharding.shared_folder import SharedFolder

__all__ = ["HASHES_DIR", "file_facts", "hash_together", "parse_note"]

# In the output folder.
HASHES_DIR = ".shard-hashes"
# Some seconds of reading: a claim costs four operations of a network disk.
_BLOCK = 256
_SHA256 = re.compile(r"[0-9a-f]{64}")

Result = str | VideoError
HashAll = Callable[[Sequence[str], float], Iterable[tuple[str, Result]]]
# What of a video tells that it is the same; None if nothing does.
FactsOf = Callable[[str], Sequence[object] | None]


def hash_together(
    folder: SharedFolder,
    hash_all: HashAll,
    facts_of: FactsOf,
    paths: Sequence[str],
    timeout_seconds: float,
) -> Iterator[tuple[str, Result]]:
    """Returns the hash of every video, and reads only those that no other process does.

    Where the folder for the notes cannot be used, this process reads what is left: the
    notes only save work.

    Args:
        folder: Where the processes note what they have read.
        hash_all: Reads videos, as `hash_videos` does.
        facts_of: What of a video changes with its content, such as `file_facts`.
        paths: Files, or folders of images.
        timeout_seconds: How long one of them may take.

    Yields:
        As `hash_videos`.

    Raises:
        WlaslError: If the system starts no thread.
    """
    with contextlib.ExitStack() as held:
        claims = None
        with contextlib.suppress(OSError):
            folder.open()
            claims = held.enter_context(Claims(folder))
        names = [
            _note_name([facts_of(path) for path in block]) for block in _blocks(paths)
        ]
        blocks = _Blocks(claims, folder, paths, names, hash_all, timeout_seconds)
        for number in range(len(names)):
            yield from blocks.hashes(number)


def file_facts(path: str) -> Sequence[object] | None:
    """Returns path, size and time of change; None for a folder, whose images change."""
    try:
        status = os.stat(path)
    except OSError:
        return [path, None]
    if not stat.S_ISREG(status.st_mode):
        return None
    return [path, status.st_size, status.st_mtime_ns]


class _Blocks:
    """The blocks of one process, which it reads itself or finds noted."""

    def __init__(
        self,
        claims: Claims | None,
        folder: SharedFolder,
        paths: Sequence[str],
        names: Sequence[str],
        hash_all: HashAll,
        timeout_seconds: float,
    ) -> None:
        self._claims = claims
        self._folder = folder
        self._blocks = _blocks(paths)
        self._names = names
        self._hash_all = hash_all
        self._timeout_seconds = timeout_seconds
        self._done: dict[int, list[tuple[str, Result]]] = {}

    def hashes(self, number: int) -> list[tuple[str, Result]]:
        """Returns those of a block; meanwhile reads others that nobody reads."""
        while number not in self._done:
            if not self._finish_one(number):
                time.sleep(self._folder.poll_seconds)
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
        noted = self._load_note(name, len(block))
        if noted is None and claims.take(name):
            try:
                noted = self._load_note(name, len(block))  # between the two looks
                if noted is None:
                    found = self._read(block)
                    self._folder.write(f"{name}.json", _note(found))
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
        return list(self._hash_all(block, self._timeout_seconds))

    def _load_note(self, name: str, length: int) -> list[str | None] | None:
        try:
            content = self._folder.read(f"{name}.json")
        except FileNotFoundError:
            return None
        return parse_note(content, length)


def parse_note(content: bytes, length: int) -> list[str | None] | None:
    """Reads what `_note` returned for a block of this length; None if it is damaged."""
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, list) or len(values) != length:
        return None
    is_right = all(
        one is None or (isinstance(one, str) and _SHA256.fullmatch(one))
        for one in values
    )
    return values if is_right else None


def _blocks(paths: Sequence[str]) -> list[Sequence[str]]:
    return [paths[k : k + _BLOCK] for k in range(0, len(paths), _BLOCK)]


def _note_name(facts: Sequence[Sequence[object] | None]) -> str:
    """Returns a name that no other content of these videos has, but on purpose."""
    # What has no facts may change unseen. No other process has this name: each reads
    # such a block itself.
    known = [os.urandom(16).hex() if one is None else one for one in facts]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _note(found: Sequence[tuple[str, Result]]) -> bytes:
    values = [sha256 if isinstance(sha256, str) else None for _, sha256 in found]
    return json.dumps(values).encode()

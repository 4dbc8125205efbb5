"""Objects that are kept whole on a disk of this machine, within a bound.

    cache_dir/
      lock                 held for moments: who counts, evicts and reserves
      3f2a…/               a folder of objects; its users hold a shared lock on it
        name               an object, whole
        name.part          one that comes; its size is reserved, its writer holds a lock

The processes of a machine share it. What is in use is never evicted.
"""

import contextlib
import fcntl
import hashlib
import math
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wlasl_tfrecord.files import free_bytes, real_folder

__all__ = ["CacheConfig", "ObjectCache"]

# What is left free on the disk, for others.
_FREE_BYTES = 2**30
_PART = ".part"
_FOLDER = re.compile("[0-9a-f]{32}")
_NEW = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """Where objects are kept, and how many.

    Attributes:
        directory: The folder, on a disk of this machine.
        max_gib: How much it may hold, in GiB.

    Raises:
        ValueError: If that is not above 0 and finite.
    """

    directory: str
    max_gib: float = 64.0

    def __post_init__(self) -> None:
        """Reject what would keep nothing."""
        if not 0 < self.max_gib < math.inf:
            raise ValueError(
                f"cache_gib must be above 0 and finite, got {self.max_gib}"
            )


class ObjectCache:
    """The part of a cache for one folder of objects."""

    def __init__(self, config: CacheConfig, content: str) -> None:
        """Opens it, and keeps what is in it from being evicted.

        Args:
            config: Where, and how much in all.
            content: What the objects are: the same for the same URL and bytes alone.

        Raises:
            OSError: If the folder cannot be made, or a link has its name.
        """
        self._root = Path(config.directory)
        self._max_bytes = int(config.max_gib * 2**30)
        self._folder = self._root / hashlib.sha256(content.encode()).hexdigest()[:32]
        with contextlib.suppress(FileExistsError):
            self._root.mkdir(parents=True, mode=0o700)
        with self._locked():
            real_folder(self._folder)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._folder, flags)
            # Until this process ends, or nobody refers to the cache.
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    # As a default: at the interpreter's end the name `os` is gone before this is.
    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        descriptor = getattr(self, "_descriptor", None)
        if descriptor is not None:
            close(descriptor)

    def path(self, name: str) -> str:
        """Returns where an object is, or will be."""
        return str(self._folder / name)

    def keep(
        self, name: str, num_bytes: int, fetch: Callable[[int, Path], None]
    ) -> bool:
        """Sees to it that an object is here; waits for a process that fetches it.

        Args:
            name: Its name in the folder.
            num_bytes: Its size.
            fetch: Writes the object to an open file, given its descriptor and path, and
                raises an error unless it is right. It has that size already.

        Returns:
            Whether it is here; False if there is no room for it.

        Raises:
            OSError: If it cannot be written.
        """
        part = self._folder / f"{name}{_PART}"
        while True:
            with self._locked():
                if self._has(name, num_bytes):
                    return True
                descriptor = os.open(part, _NEW, 0o600)
                is_ours = _try_lock(descriptor) and _is_at(descriptor, part)
                if is_ours and not self._reserve(part, descriptor, num_bytes):
                    os.close(descriptor)
                    return False
            try:
                if not is_ours:
                    # Until its writer has finished, or ended.
                    fcntl.flock(descriptor, fcntl.LOCK_SH)
                    continue
                try:
                    fetch(descriptor, part)
                    os.fsync(descriptor)
                    os.replace(part, self._folder / name)
                finally:
                    with contextlib.suppress(OSError):
                        part.unlink(missing_ok=True)
                return True
            finally:
                os.close(descriptor)

    def _has(self, name: str, num_bytes: int) -> bool:
        """Returns whether an object is here, and notes that it is used."""
        path = self._folder / name
        facts = _facts(path)
        if facts is None or not stat.S_ISREG(facts.st_mode):
            return False
        if facts.st_size != num_bytes:
            path.unlink()
            return False
        os.utime(path, follow_symlinks=False)
        return True

    def _reserve(self, part: Path, descriptor: int, num_bytes: int) -> bool:
        """Takes the room for an object, evicts others for it; oldest first."""
        used, evictable = 0, []
        for path, facts in self._files():
            if path == part:
                continue
            if path.name.endswith(_PART) and _is_stale(path):
                path.unlink(missing_ok=True)
                continue
            used += facts.st_size
            evictable.append((facts.st_mtime_ns, facts.st_size, path))
        wanted = used + num_bytes - self._max_bytes
        wanted = max(wanted, num_bytes + _FREE_BYTES - free_bytes(self._root))
        for _, size, path in sorted(evictable) if num_bytes <= self._max_bytes else ():
            if wanted <= 0:
                break
            if not path.name.endswith(_PART) and _is_unused(path.parent):
                path.unlink(missing_ok=True)
                wanted -= size
        if wanted > 0:
            part.unlink(missing_ok=True)
            return False
        os.ftruncate(descriptor, num_bytes)
        return True

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Lists the regular files of all folders of the cache, and follows no link.

        Folders of other names are somebody's own: the cache may have been put beside
        them.
        """
        for folder in self._root.iterdir():
            facts = _facts(folder)
            is_ours = _FOLDER.fullmatch(folder.name) is not None
            if not is_ours or facts is None or not stat.S_ISDIR(facts.st_mode):
                continue
            for path in folder.iterdir():
                facts = _facts(path)
                if facts is not None and stat.S_ISREG(facts.st_mode):
                    yield path, facts

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Waits until no other process counts, evicts or reserves."""
        descriptor = os.open(self._root / "lock", _NEW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _facts(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Returns whether an open file still has its name.

    Its writer may have given it another one between the opening and the locking.
    """
    facts = _facts(path)
    return facts is not None and facts.st_ino == os.fstat(descriptor).st_ino


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_stale(path: Path) -> bool:
    """Returns whether the process that wrote this has ended."""
    return _can_be_locked(path, os.O_RDONLY)


def _is_unused(folder: Path) -> bool:
    """Returns whether no process reads from a folder."""
    return _can_be_locked(folder, os.O_RDONLY | os.O_DIRECTORY)


def _can_be_locked(path: Path, flags: int) -> bool:
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return _try_lock(descriptor)
    finally:
        os.close(descriptor)

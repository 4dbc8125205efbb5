"""A folder of small files that the processes of a run share: on a disk or in a store.

Of such a place two things are needed: that a file which exists is not made again, and
the time at which a file was written, by the clock of the server that holds it.
"""

import contextlib
import os
import time
from collections.abc import Collection
from typing import Protocol

from wlasl_tfrecord.files import (
    read_bytes,
    real_folder,
    remove_folder,
    written_whole,
)
from wlasl_tfrecord.storage.object_facts import ObjectFacts, Version
from wlasl_tfrecord.storage.object_store import ObjectStore

__all__ = ["DiskFolder", "SharedFolder", "StoreFolder"]

# One list of a thousand names costs as much as ten small requests. Of many thousands
# it takes seconds: then a tenth of the time at most.
_LOOK_SECONDS, _LOOK_SHARE = 2.0, 0.1


class SharedFolder(Protocol):
    """What claims and notes need; an OSError is raised where it cannot be had.

    Attributes:
        poll_seconds: How long to wait for others before the next look.
    """

    poll_seconds: float

    def open(self) -> None:
        """Makes the folder, if it is not there."""
        ...

    def names(self) -> Collection[str]:
        """Lists the files; none if the folder is gone."""
        ...

    def read(self, name: str) -> bytes:
        """Reads a file; raises FileNotFoundError if there is none."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, whole or not at all."""
        ...

    def make(self, name: str, content: bytes) -> bool:
        """Makes a file; returns False if there is one."""
        ...

    def touch(self, name: str, content: bytes) -> bool:
        """Renews the time of a file that this process has made; False if it cannot."""
        ...

    def take_over(self, name: str, content: bytes) -> bool:
        """Makes an old file anew; of several that try, at least one fails."""
        ...

    def age_seconds(self, name: str) -> float | None:
        """Returns how long ago a file was written; None if there is none."""
        ...

    def remove(self, name: str) -> None:
        """Removes a file; without effect if it, or the folder, is gone."""
        ...

    def clear(self) -> None:
        """Removes the folder and all that is in it, as far as it can."""
        ...


class DiskFolder:
    """A folder on a disk, which may be a network's.

    Locks of network file systems differ; that a file which exists is not made again
    holds everywhere (O_EXCL: NFS version 3 and later, Lustre, CephFS).
    """

    poll_seconds = 0.5

    def __init__(self, path: str) -> None:
        self._path = path

    def open(self) -> None:
        """Makes the folder, and refuses a link."""
        real_folder(self._path)

    def names(self) -> Collection[str]:
        """Lists the files."""
        try:
            return set(os.listdir(self._path))
        except FileNotFoundError:
            return ()

    def read(self, name: str) -> bytes:
        """Reads a file."""
        return read_bytes(self._at(name))

    def write(self, name: str, content: bytes) -> None:
        """Writes a file aside and renames it."""
        with written_whole(self._at(name), sync=False) as aside:
            aside.write_bytes(content)

    def make(self, name: str, content: bytes) -> bool:
        """Makes a file."""
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
        try:
            descriptor = os.open(self._at(name), flags, 0o666)
        except FileExistsError:
            return False
        try:
            os.write(descriptor, content)
        finally:
            os.close(descriptor)
        return True

    def touch(self, name: str, content: bytes) -> bool:  # noqa: ARG002
        """Renews the time of a file, whoever has made it."""
        os.utime(self._at(name), follow_symlinks=False)
        return True

    def take_over(self, name: str, content: bytes) -> bool:
        """Makes an old file anew."""
        # Renamed, not removed: of several that see it, one succeeds.
        aside = self._at(f".{os.urandom(8).hex()}.{name}")
        try:
            os.rename(self._at(name), aside)
        except FileNotFoundError:
            return False
        os.remove(aside)
        return self.make(name, content)

    def age_seconds(self, name: str) -> float | None:
        """Returns the difference of times that the file system itself wrote."""
        try:
            # Opened, because a network file system then asks the server; without a
            # wait for the other end, should it be a pipe.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            held = os.open(self._at(name), flags)
            try:
                touched = os.fstat(held).st_mtime
            finally:
                os.close(held)
            return self._now() - touched
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        with contextlib.suppress(OSError):
            os.remove(self._at(name))

    def clear(self) -> None:
        """Removes the folder."""
        remove_folder(self._path)

    def _at(self, name: str) -> str:
        return os.path.join(self._path, name)

    def _now(self) -> float:
        """Returns the time of the file system, which may be another machine's."""
        path = self._at(f".{os.urandom(8).hex()}.now")
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o666)
        try:
            return os.fstat(descriptor).st_mtime
        finally:
            os.close(descriptor)
            os.remove(path)


class StoreFolder:
    """A folder at a URL: files are made and replaced by conditional requests.

    One list tells which files there are, and when each was written. So what others
    hold costs no request of its own, and is known with a delay of some seconds.
    """

    poll_seconds = 2.0

    def __init__(self, url: str) -> None:
        """Connects to nothing yet.

        Raises:
            StoreError: If the URL cannot be used.
        """
        self._store = ObjectStore(url, is_patient=True)
        self._seen: dict[str, ObjectFacts] = {}
        # By this process's own clock.
        self._seen_at = self._look_again = 0.0
        # The versions of the files that this process has made.
        self._made: dict[str, Version] = {}
        self._clock_offset: float | None = None

    def open(self) -> None:
        """Does nothing: a store has no folders."""

    def names(self) -> Collection[str]:
        """Lists the objects, by a request for each thousand."""
        began = time.monotonic()
        self._seen = self._store.objects() or {}
        self._seen_at, ended = began, time.monotonic()
        self._look_again = ended + max(_LOOK_SECONDS, (ended - began) / _LOOK_SHARE)
        return set(self._seen)

    def read(self, name: str) -> bytes:
        """Reads an object."""
        return bytes(self._store.read(name).data)

    def write(self, name: str, content: bytes) -> None:
        """Writes an object."""
        self._store.write(name, content)

    def make(self, name: str, content: bytes) -> bool:
        """Makes an object that was not in the last list, by `If-None-Match: *`."""
        if name in self._recent():
            return False
        return self._keep(name, self._store.write_if(name, content, None))

    def touch(self, name: str, content: bytes) -> bool:
        """Writes an object again, unless another process has it by now."""
        before = self._made.get(name)
        if before is None:
            return False
        return self._keep(name, self._store.write_if(name, content, before))

    def take_over(self, name: str, content: bytes) -> bool:
        """Replaces an object that is still as it was in the last list."""
        seen = self._seen.get(name)
        try:
            found = self._store.facts(name)
        except FileNotFoundError:
            return False
        # The ETag alone: no two contents of claims are the same, and Google's lists
        # have fractions of seconds, where other answers have whole ones.
        if seen is None or _tag(found) != _tag(seen):
            return False
        return self._keep(name, self._store.write_if(name, content, found.version))

    def age_seconds(self, name: str) -> float | None:
        """Returns how old an object was at the last list, by the server's clock."""
        found = self._recent().get(name)
        if found is None:
            return None
        return self._seen_at + self._ask_clock() - found.written_seconds

    def remove(self, name: str) -> None:
        """Removes an object, if it is there."""
        self._made.pop(name, None)
        self._seen.pop(name, None)
        with contextlib.suppress(OSError):
            self._store.delete([name])

    def clear(self) -> None:
        """Removes all objects."""
        with contextlib.suppress(OSError):
            for name in self.names():
                self.remove(name)

    def _recent(self) -> dict[str, ObjectFacts]:
        """Returns what the last list said, or a new one."""
        if time.monotonic() >= self._look_again:
            self.names()
        return self._seen

    def _keep(self, name: str, version: Version | None) -> bool:
        if version is None:
            self._made.pop(name, None)
            return False
        self._made[name] = version
        return True

    def _ask_clock(self) -> float:
        """Returns the server's clock less this process's own; it is asked once."""
        if self._clock_offset is None:
            name = f".{os.urandom(8).hex()}.now"
            self._store.write(name, b"")
            written = self._store.facts(name).written_seconds
            self._clock_offset = written - time.monotonic()
            self.remove(name)
        return self._clock_offset


def _tag(facts: ObjectFacts) -> str:
    """Returns the ETag, which Azure's lists have without its quotes."""
    return facts.version.get("e_tag", "").strip('"')

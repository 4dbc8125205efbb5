"""Claims: files by which processes on several machines share out work in one folder.

Locks of network file systems differ; that a file which exists is not made again holds
everywhere (O_EXCL: NFS version 3 and later, Lustre, CephFS). What a claim guards must
be harmless if it is done twice: where a machine stands still for longer than a claim
lasts, two processes may hold it.
"""

import contextlib
import os
import socket
import threading
from types import TracebackType

__all__ = ["Claims"]

# A process that lives touches its claims every few seconds. Network file systems may
# show the time of a file up to a minute late.
LASTS_SECONDS = 120.0
_TOUCH_SECONDS = 10.0


class Claims:
    """The claims of one process; a context that releases them at its end.

    A claim is kept fresh by a thread. That of a process that died, or lost the folder,
    is taken over after `LASTS_SECONDS`. Ages are differences of times that the file
    system itself wrote, so the clocks of the machines need not agree.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.owner = f"{socket.gethostname()}.{os.getpid()}"
        self._held: set[str] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep_fresh, daemon=True)

    def __enter__(self) -> "Claims":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()
        for name in list(self._held):
            self.release(name)

    def take(self, name: str) -> bool:
        """Takes a claim, if no living process holds it.

        Raises:
            OSError: If the folder cannot be written, or is gone.
        """
        path = self._path(name)
        if self._make(path):
            self._held.add(name)
            return True
        if not self.is_stale(name):
            return False
        # Renamed, not removed: of several that see it, one succeeds.
        aside = f"{path}.{self.owner}"
        try:
            os.rename(path, aside)
        except FileNotFoundError:
            return False
        os.remove(aside)
        if not self._make(path):
            return False
        self._held.add(name)
        return True

    def release(self, name: str) -> None:
        """Gives a claim back; without effect if it, or the folder, is gone."""
        self._held.discard(name)
        with contextlib.suppress(OSError):
            os.remove(self._path(name))

    def is_stale(self, name: str) -> bool:
        """Whether a claim is there, and its process has stopped touching it."""
        try:
            # Opened, because a network file system then asks the server; without a
            # wait for the other end, should it be a pipe.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            held = os.open(self._path(name), flags)
            try:
                touched = os.fstat(held).st_mtime
            finally:
                os.close(held)
            # One of the future is no living process's either.
            return abs(self._now() - touched) > LASTS_SECONDS
        except FileNotFoundError:
            return False

    def _now(self) -> float:
        """Returns the time of the file system, which may be another machine's."""
        path = os.path.join(self._folder, f".{self.owner}.now")
        flags = os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o666)
        try:
            os.utime(descriptor)
            return os.fstat(descriptor).st_mtime
        finally:
            os.close(descriptor)
            os.remove(path)

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, f"{name}.claim")

    def _make(self, path: str) -> bool:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
        try:
            descriptor = os.open(path, flags, 0o666)
        except FileExistsError:
            return False
        try:
            os.write(descriptor, f"{self.owner}\n".encode())
        finally:
            os.close(descriptor)
        return True

    def _keep_fresh(self) -> None:
        while not self._stopped.wait(min(_TOUCH_SECONDS, LASTS_SECONDS / 4)):
            for name in list(self._held):
                with contextlib.suppress(OSError):
                    os.utime(self._path(name), follow_symlinks=False)

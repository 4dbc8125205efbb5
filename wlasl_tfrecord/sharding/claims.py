"""Claims: files by which processes on several machines share out work in one folder.

What a claim guards must be harmless if it is done twice: where a machine stands still
for longer than a claim lasts, two processes may hold it.
"""

import contextlib
import os
import socket
import threading
from types import TracebackType

from wlasl_tfrecord.sharding.shared_folder import SharedFolder

__all__ = ["ALONE", "Claims"]

# The claim of a run that shares its folder with no other.
ALONE = "alone"

# A process that lives touches its claims every few seconds. Network file systems may
# show the time of a file up to a minute late.
LASTS_SECONDS = 120.0
_TOUCH_SECONDS = 10.0


class Claims:
    """The claims of one process; a context that releases them at its end.

    A claim is kept fresh by a thread. That of a process that died, or lost the folder,
    is taken over after `LASTS_SECONDS`. Ages are differences of times that the folder's
    own server wrote, so the clocks of the machines need not agree.
    """

    def __init__(self, folder: SharedFolder) -> None:
        self._folder = folder
        # Containers may share a name, and the numbers of their processes.
        random = os.urandom(4).hex()
        self.owner = f"{socket.gethostname()}.{os.getpid()}.{random}"
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

    def take(self, name: str, lasts_seconds: float | None = None) -> bool:
        """Takes a claim, if no living process holds it.

        Args:
            name: What is claimed.
            lasts_seconds: How long it lasts that its process does not touch it; by
                default `LASTS_SECONDS`.

        Raises:
            OSError: If the folder cannot be written, or is gone.
        """
        file = _file(name)
        if self._folder.make(file, self._content()) or (
            self.is_stale(name, lasts_seconds)
            and self._folder.take_over(file, self._content())
        ):
            self._held.add(name)
            return True
        return False

    def release(self, name: str) -> None:
        """Gives a claim back; without effect if it, or the folder, is gone."""
        self._held.discard(name)
        self._folder.remove(_file(name))

    def holds(self, name: str) -> bool:
        """Whether a claim is this process's, and nobody has taken it over.

        Raises:
            OSError: If the folder cannot be read.
        """
        try:
            content = self._folder.read(_file(name))
        except FileNotFoundError:
            return False
        return content.startswith(f"{self.owner} ".encode())

    def is_stale(self, name: str, lasts_seconds: float | None = None) -> bool:
        """Whether a claim is there, and its process has stopped touching it."""
        age = self._folder.age_seconds(_file(name))
        lasts = LASTS_SECONDS if lasts_seconds is None else lasts_seconds
        # One of the future is no living process's either.
        return age is not None and abs(age) > lasts

    def _content(self) -> bytes:
        """Returns who holds a claim, and what no other file holds."""
        return f"{self.owner} {os.urandom(8).hex()}\n".encode()

    def _keep_fresh(self) -> None:
        while not self._stopped.wait(min(_TOUCH_SECONDS, LASTS_SECONDS / 4)):
            for name in list(self._held):
                with contextlib.suppress(OSError):
                    if not self._folder.touch(_file(name), self._content()):
                        self._held.discard(name)


def _file(name: str) -> str:
    return f"{name}.claim"

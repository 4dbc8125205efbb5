"""Locks on folders: what one process writes, no other writes at the same time."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from wlasl_tfrecord.errors import OutputError

__all__ = ["locked"]


@contextlib.contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Keeps other processes that ask for the same out of a folder.

    The system lets go of the lock when the process ends, however it does.

    Raises:
        OutputError: If another process has the folder.
        OSError: If the folder cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"another run is writing to {os.fspath(folder)}; wait for it, or "
                "choose another --out"
            ) from error
        except OSError:
            # Some network file systems lock no folders; then the user must see to it.
            pass
        yield
    finally:
        os.close(descriptor)

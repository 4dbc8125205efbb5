"""Files and folders: read (remote ones too), written whole, locked."""

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wlasl_tfrecord.errors import OutputError

__all__ = [
    "existing_place",
    "file_sizes",
    "join_path",
    "locked",
    "nameless_file",
    "num_cores",
    "read_bytes",
    "write_json",
    "write_whole",
]


def existing_place(path: str | os.PathLike[str]) -> str:
    """Gives the nearest of a local path and the folders above it that is there."""
    place = os.path.abspath(path)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    return place


def join_path(directory: str, name: str) -> str:
    """Joins a folder, local or remote, and a name."""
    if "://" in directory:
        return f"{directory.rstrip('/')}/{name}"
    return os.path.join(directory, name)


def read_bytes(path: str, start: int = 0) -> bytes:
    """Reads a file, local or remote, from byte `start` to its end.

    Raises:
        OSError: If it cannot be read.
    """
    if "://" not in path:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read()
    # Only a remote folder costs the import of TensorFlow.
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            file.seek(start)
            return file.read()
    except tf.errors.OpError as error:
        raise OSError(error.message) from error


def file_sizes(directory: str) -> dict[str, int]:
    """Lists the files of a folder by name, with their sizes in bytes.

    Raises:
        OSError: If it cannot be read.
    """
    if "://" not in directory:
        with os.scandir(directory) as entries:
            return {e.name: e.stat().st_size for e in entries if e.is_file()}
    import tensorflow as tf

    try:
        names = tf.io.gfile.listdir(directory)
        return {
            name: tf.io.gfile.stat(join_path(directory, name)).length
            for name in names
            if not name.endswith("/")
        }
    except tf.errors.OpError as error:
        raise OSError(error.message) from error


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


def num_cores() -> int:
    """Counts the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def write_json(path: str | os.PathLike[str], value: object) -> None:
    """Writes a JSON file, whole or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_whole(path, text.encode())


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file beside its place and renames it, so that no half is ever seen.

    Raises:
        OutputError: If it cannot be written.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise OutputError(
            f"cannot write {path} ({error.strerror}); free some space, or choose "
            "another folder with --out"
        ) from error


def nameless_file(num_bytes: int) -> int:
    """Makes a file that has no name, in memory where the system can.

    Returns:
        Its descriptor.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("wlasl-clips")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.truncate(descriptor, num_bytes)
    return descriptor

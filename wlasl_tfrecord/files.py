"""Files and folders of this machine: read, written whole, locked."""

import contextlib
import errno
import fcntl
import glob
import json
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wlasl_tfrecord.errors import OutputError

__all__ = [
    "MAX_READ_BYTES",
    "existing_place",
    "free_bytes",
    "locked",
    "nameless_file",
    "num_cores",
    "open_regular",
    "open_small",
    "output_errors",
    "parse_json",
    "read_bytes",
    "read_json",
    "real_folder",
    "remove_folder",
    "temporary_folder",
    "too_large",
    "write_all",
    "write_json",
    "write_whole",
    "written_whole",
]

# A report of a million instances has 300 MB.
MAX_READ_BYTES = 2**29


def existing_place(path: str | os.PathLike[str]) -> str:
    """Returns a local path if it exists, else the nearest folder above it that does."""
    place = os.path.abspath(path)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    return place


def open_regular(path: str | os.PathLike[str], flags: int) -> int:
    """Opens a regular file: an `opener` for `open`.

    A pipe or a device may block for ever, or never end. Files that are received from
    others are opened in this way, or by `open_small`.

    Raises:
        OSError: If it is no regular file, or cannot be opened.
    """
    # Without O_NONBLOCK the opening of a pipe waits until somebody writes to it.
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))


def open_small(path: str | os.PathLike[str], flags: int) -> int:
    """Opens a regular file that fits in memory: an `opener` for `open`.

    Raises:
        OSError: If it has more than `MAX_READ_BYTES`, or is not what `open_regular`
            opens.
    """
    descriptor = open_regular(path, flags)
    num_bytes = os.fstat(descriptor).st_size
    if num_bytes > MAX_READ_BYTES:
        os.close(descriptor)
        raise too_large(path, num_bytes)
    return descriptor


def too_large(path: str | os.PathLike[str], num_bytes: int) -> OSError:
    """Returns what to raise for a file of more than `MAX_READ_BYTES`."""
    reason = f"it has {num_bytes:,} bytes, and at most {MAX_READ_BYTES:,} are read"
    return OSError(errno.EFBIG, reason, os.fspath(path))


def read_json(path: str) -> Any:
    """Reads a JSON file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no JSON.
    """
    return parse_json(read_bytes(path))


def parse_json(content: bytes) -> Any:
    """Parses what a JSON file holds.

    Raises:
        ValueError: If it is no JSON.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_bytes(path: str, start: int = 0, num_bytes: int | None = None) -> bytes:
    """Reads a file, or a part of it.

    Args:
        path: The file.
        start: The first byte.
        num_bytes: At most so many; None for all up to its end.

    Raises:
        OSError: If it cannot be read, is no regular file, or that is more than
            `MAX_READ_BYTES`.
    """
    with open(path, "rb", opener=open_regular) as file:
        # A file that was cut off may end before the start.
        rest = max(os.fstat(file.fileno()).st_size - start, 0)
        if num_bytes is None and rest > MAX_READ_BYTES:
            raise too_large(path, rest)
        file.seek(start)
        return file.read(rest if num_bytes is None else num_bytes)


@contextlib.contextmanager
def locked(folder: str | os.PathLike[str], *, shared: bool = False) -> Iterator[None]:
    """Locks a folder against other processes that lock it.

    The system releases the lock when the process ends, however it ends.

    Args:
        folder: The folder.
        shared: Whether others may hold it at the same time, if they share it, too.

    Raises:
        OutputError: If another process has locked the folder.
        OSError: If the folder cannot be opened.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"another run is writing to {os.fspath(folder)}; wait for it, or "
                "choose another --out"
            ) from error
        except OSError:
            # Some network file systems cannot lock a folder; then nothing protects it.
            pass
        yield
    finally:
        os.close(descriptor)


def num_cores() -> int:
    """Counts the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_bytes(path: str | os.PathLike[str]) -> int:
    """Returns the free space of the disk that a path is or will be on, in bytes.

    Raises:
        OSError: If the file system does not report it.
    """
    return shutil.disk_usage(existing_place(path)).free


def real_folder(path: str | os.PathLike[str]) -> None:
    """Makes a folder, or accepts an existing one that is no link.

    A link in a folder that was received from others may lead anywhere: what is written
    or removed through it would be the user's own files.

    Raises:
        OSError: If it cannot be made, or something else has its name.
    """
    while True:
        try:
            os.mkdir(path)
        except FileExistsError:
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                continue  # another process has just removed it
            if not stat.S_ISDIR(mode):
                reason = "a link or a file has the name of a folder; remove it"
                raise OSError(errno.ENOTDIR, reason, os.fspath(path)) from None
        return


def remove_folder(path: str | os.PathLike[str]) -> None:
    """Removes a folder and all that is in it, as far as the system lets us.

    What is no folder stays: `shutil.rmtree` waits at a pipe until somebody writes to
    it.
    """
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def temporary_folder(prefix: str) -> Iterator[str]:
    """Yields an empty folder below TMPDIR, which is gone afterwards.

    What a process of this machine left there when it was killed, which may be
    gigabytes, is removed by the next one.

    Raises:
        OSError: If it cannot be made.
    """
    # TMPDIR may be on a disk of several machines, whose locks need not see each other.
    # No name of a machine has an @: `node` is not the beginning of `node-1`.
    prefix = f"{prefix}{socket.gethostname()}@"
    for left in Path(tempfile.gettempdir()).glob(f"{glob.escape(prefix)}*"):
        with contextlib.suppress(OSError):
            _remove_unlocked(left)
    with tempfile.TemporaryDirectory(prefix=prefix) as outer:
        descriptor = os.open(outer, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            # Inside, so that it can be locked, too.
            inner = os.path.join(outer, "folder")
            os.mkdir(inner)
            yield inner
        finally:
            os.close(descriptor)


def _remove_unlocked(folder: Path) -> None:
    """Removes a folder of this user that no process has locked.

    Raises:
        OSError: If one has, or it cannot be opened.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(folder, flags)
    try:
        facts = os.fstat(descriptor)
        # One that is new may not be locked yet.
        if facts.st_uid == os.getuid() and time.time() - facts.st_mtime > 60:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def written_whole(
    path: str | os.PathLike[str],
    *,
    way_out: str | None = None,
    aside_dir: str | os.PathLike[str] | None = None,
    sync: bool = True,
) -> Iterator[Path]:
    """Yields a path to write to, which is renamed to `path` at the end.

    After an exception or a kill `path` is unchanged. All files of the library are
    written in this way, so that no reader ever sees half of one.

    Args:
        path: The file; an existing one is replaced.
        way_out: What the user can do if it cannot be written; None leaves the OSError
            of the system as it is.
        aside_dir: The folder to write in, on the same file system; by default that of
            `path`. The name there begins with a dot and contains ".part".
        sync: Whether to wait until the content is on the disk. Without that a power
            cut may leave an empty file.

    Raises:
        OutputError: If it cannot be written, and `way_out` is given.
        OSError: The same without `way_out`.
    """
    path = Path(path)
    directory = path.parent if aside_dir is None else Path(aside_dir)
    # Workers of several machines may share a disk: a process number is not enough.
    owner = f"{socket.gethostname()}.{os.getpid()}"
    # The name keeps its suffix: Keras chooses a format by it.
    aside = directory / f".{owner}.part.{path.name}"
    errors = output_errors(path, way_out) if way_out else contextlib.nullcontext()
    with errors:
        try:
            _make_new(aside)
            yield aside
            if sync:
                with open(aside, "rb") as file:
                    os.fsync(file.fileno())
            os.replace(aside, path)
        finally:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)


def _make_new(path: Path) -> None:
    """Makes an empty file; a link that lies there is removed, not followed."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(path, flags, 0o666))


def write_all(descriptor: int, content: bytes | memoryview) -> None:
    """Writes everything to an open file, in several calls where needed.

    Where a disk fills up the system takes what fits; the next call then says that the
    disk is full.

    Raises:
        OSError: If it cannot be written.
    """
    written = 0
    with memoryview(content) as view:
        while written < len(view):
            with view[written:] as rest:
                written += os.write(descriptor, rest)


def write_json(path: str | os.PathLike[str], value: object) -> None:
    """Writes a JSON file, whole or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_whole(path, text.encode())


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file, whole or not at all, and makes its folder.

    Raises:
        OutputError: If it cannot be written.
    """
    way_out = "free some space, or choose another folder with --out"
    with output_errors(path, way_out):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path, way_out=way_out) as aside:
        aside.write_bytes(content)


@contextlib.contextmanager
def output_errors(path: str | os.PathLike[str], way_out: str) -> Iterator[None]:
    """Turns an error of the system into one line: the path, the reason, the way out.

    Raises:
        OutputError: Instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write {os.fspath(path)} ({error.strerror or error}); {way_out}"
        ) from error


def nameless_file(num_bytes: int) -> int:
    """Makes a file without a name, in memory if the system supports it.

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

"""The content of a video: the bytes of a file, or of the images of a folder."""

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.files import open_regular
from wlasl_tfrecord.video.image_folder import image_files

__all__ = ["open_file", "sha256_of", "sha256_of_file"]

_READ_BYTES = 1 << 20


def sha256_of(
    path: str | os.PathLike[str], given_up: threading.Event | None = None
) -> str:
    """Returns the digest of a video file, or of all images of a folder, in hex.

    Args:
        path: The file or folder.
        given_up: An event that stops the reading, from another thread, within a
            mebibyte.

    Raises:
        CancelledError: If `given_up` was set.
        VideoError: If it is neither.
        OSError: If it cannot be read.
    """
    if not os.path.isdir(path):
        with open_file(path) as descriptor:
            return sha256_of_file(descriptor, given_up)
    digest = hashlib.sha256()
    for image_path in image_files(path):
        with open_file(image_path) as descriptor:
            digest.update(bytes.fromhex(sha256_of_file(descriptor, given_up)))
    return digest.hexdigest()


def sha256_of_file(descriptor: int, given_up: threading.Event | None = None) -> str:
    """Returns the digest of an open file, in hex; see `sha256_of`."""
    digest = hashlib.sha256()
    while data := os.read(descriptor, _READ_BYTES):
        if given_up is not None and given_up.is_set():
            raise CancelledError
        digest.update(data)
    return digest.hexdigest()


@contextmanager
def open_file(path: str | os.PathLike[str]) -> Iterator[int]:
    """Opens a file for reading, and nothing that could block or never end.

    Raises:
        VideoError: If it is a pipe, a device or a folder.
        OSError: If it cannot be opened.
    """
    try:
        descriptor = open_regular(path, os.O_RDONLY)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EISDIR):
            raise VideoError("unreadable", "not a regular file") from error
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)

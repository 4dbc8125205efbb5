"""What files hold, by path or URL: the small ones whole, of others a part."""

import os
from typing import Any, BinaryIO, cast

from wlasl_tfrecord import files
from wlasl_tfrecord.storage.object_store import open_store
from wlasl_tfrecord.storage.urls import is_object_url, is_url, join_path

__all__ = ["file_sizes", "open_binary", "read_bytes", "read_json"]


def read_json(path: str) -> Any:
    """Reads a JSON file, by path or URL.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no JSON.
        StoreError: If the URL cannot be used.
    """
    return files.parse_json(read_bytes(path))


def read_bytes(path: str, start: int = 0, num_bytes: int | None = None) -> bytes:
    """Reads a file, or a part of it, by path or URL; an object by one request.

    Args:
        path: The file.
        start: The first byte.
        num_bytes: At most so many; None for all up to its end.

    Raises:
        OSError: If it cannot be read, is no regular file, or that is more than
            `MAX_READ_BYTES`.
        StoreError: If the URL cannot be used.
    """
    if not is_url(path):
        return files.read_bytes(path, start, num_bytes)
    if is_object_url(path):
        directory, _, name = path.rpartition("/")
        stop = None if num_bytes is None else start + num_bytes
        return bytes(open_store(directory).read(name, start, stop).data)
    # Only such a folder costs the import of TensorFlow.
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            if num_bytes is None and file.size() - start > files.MAX_READ_BYTES:
                raise files.too_large(path, file.size() - start)
            file.seek(start)
            return file.read(-1 if num_bytes is None else num_bytes)
    except tf.errors.OpError as error:
        raise OSError(error.message) from error


def open_binary(path: str) -> BinaryIO:
    """Opens a file to read some of its bytes, without a buffer; no object.

    Raises:
        OSError: If it is no regular file, or cannot be opened; what TensorFlow opens it
            opens when it is read, and then raises its own errors.
    """
    if not is_url(path):
        return open(path, "rb", opener=files.open_regular, buffering=0)
    import tensorflow as tf

    return cast(BinaryIO, tf.io.gfile.GFile(path, "rb"))


def file_sizes(directory: str) -> dict[str, int] | None:
    """Lists the files of a folder by name, with their sizes in bytes.

    Returns:
        None if there are no lists of folders at such a URL.

    Raises:
        OSError: If it cannot be read.
        StoreError: If the URL cannot be used.
    """
    if not is_url(directory):
        with os.scandir(directory) as entries:
            return {e.name: e.stat().st_size for e in entries if e.is_file()}
    if is_object_url(directory):
        return open_store(directory).sizes()
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

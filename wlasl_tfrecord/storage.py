"""Files of a folder that may be local or remote (`gs://…`, `s3://…`)."""

import os

__all__ = ["existing_place", "file_sizes", "join_path", "read_bytes"]


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

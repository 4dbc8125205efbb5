"""Files of the feature cache: arrays as numpy writes them, followed by a checksum.

Written with plain writes: a page of a mapped file that finds no room on the disk kills
the process with SIGBUS, where a write raises an error.
"""

import io
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.files import open_regular, write_all, written_whole

__all__ = ["is_whole", "new_array"]

# A little-endian CRC-32 of everything before it; numpy does not read that far.
_NUM_CRC_BYTES = 4
_CHUNK_BYTES = 1 << 22


@contextmanager
def new_array(
    path: Path, shape: tuple[int, ...], dtype: np.dtype
) -> Iterator[Callable[[NDArray[np.int64], NDArray[Any]], None]]:
    """Yields a function that writes rows of a new array; it is whole, or not there.

    Args:
        path: The file.
        shape: Shape of the array, rows first.
        dtype: Dtype of its values.

    Raises:
        OutputError: If it cannot be written.
    """
    way_out = "free some space, or train with --no-feature-cache"
    with (
        written_whole(path, way_out=way_out) as aside,
        open(aside, "w+b", buffering=0) as file,
    ):
        header = _header(shape, dtype)
        write_all(file.fileno(), header)
        start = len(header)
        row_bytes = int(np.prod(shape[1:])) * dtype.itemsize

        def write(rows: NDArray[np.int64], values: NDArray[Any]) -> None:
            for row, value in zip(rows, np.ascontiguousarray(values)):
                file.seek(start + int(row) * row_bytes)
                write_all(file.fileno(), value.tobytes())

        yield write
        file.seek(0)
        crc = _crc(file, start + shape[0] * row_bytes)
        write_all(file.fileno(), crc.to_bytes(_NUM_CRC_BYTES, "little"))


def is_whole(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Returns whether a file is there, as it was written, and such an array.

    Args:
        path: The file, which may have been received from others.
        shape: Shape that the array must have.
        dtype: Dtype that its values must have.
    """
    header = _header(shape, dtype)
    num_bytes = len(header) + int(np.prod(shape)) * dtype.itemsize
    try:
        with open(path, "rb", opener=open_regular) as file:
            if os.fstat(file.fileno()).st_size != num_bytes + _NUM_CRC_BYTES:
                return False
            if file.read(len(header)) != header:
                return False
            file.seek(0)
            crc = _crc(file, num_bytes)
            stored = file.read()
    except OSError:
        return False
    return stored == crc.to_bytes(_NUM_CRC_BYTES, "little")


def _header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """Returns what stands before the values of an array."""
    header = io.BytesIO()
    facts = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(header, facts)
    return header.getvalue()


def _crc(file: BinaryIO, num_bytes: int) -> int:
    """Reads `num_bytes` bytes and returns their checksum."""
    crc = 0
    while num_bytes > 0:
        chunk = file.read(min(num_bytes, _CHUNK_BYTES))
        if not chunk:
            raise OSError(None, "a file ended early")
        crc = zlib.crc32(chunk, crc)
        num_bytes -= len(chunk)
    return crc

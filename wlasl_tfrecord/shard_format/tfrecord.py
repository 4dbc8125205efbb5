"""A TFRecord: length and its checksum, then a proto and its checksum.

Reference:
    docs/shard-format.md section 3.
"""

import os
from collections.abc import Iterable
from functools import lru_cache
from typing import BinaryIO

from numpy.typing import NDArray

try:
    # Twice as fast on processors with AVX-512: `pip install '.[fast]'`.
    from awscrt.checksums import crc32c  # pyright: ignore[reportMissingImports]
except ImportError:
    from crc32c import crc32c

__all__ = [
    "CRC_BYTES",
    "FRAME_BYTES",
    "HEADER_BYTES",
    "footer",
    "has_header",
    "header",
    "masked_crc",
    "stored_crc",
]

# Eight bytes of length and four of its checksum; after the proto four of the proto's.
HEADER_BYTES, CRC_BYTES = 12, 4
FRAME_BYTES = HEADER_BYTES + CRC_BYTES


@lru_cache
def header(num_bytes: int) -> bytes:
    """Returns the bytes before a proto of `num_bytes` bytes."""
    length = num_bytes.to_bytes(8, "little")
    return length + footer(masked_crc([length]))


def has_header(file: BinaryIO, offset: int, num_bytes: int) -> bool:
    """Returns whether an open shard has a record of a length at an offset.

    TensorFlow's reader takes memory for whatever length a record claims to have, and
    ends the process where there is not so much. So this is asked first.

    Args:
        file: The shard.
        offset: Where the record starts.
        num_bytes: Length of the proto, as the index has it.
    """
    file.seek(offset)
    return file.read(HEADER_BYTES) == header(num_bytes)


def footer(crc: int) -> bytes:
    """Returns the bytes after a proto with this masked CRC."""
    return crc.to_bytes(CRC_BYTES, "little")


def masked_crc(pieces: Iterable[bytes | bytearray | memoryview | NDArray]) -> int:
    """Computes the masked CRC-32C of bytes that follow each other.

    >>> hex(masked_crc([b"1234", b"56789"]))
    '0xc78ab0e5'
    """
    crc = 0
    for piece in pieces:
        # Without the lock of Python, where a piece is large.
        crc = crc32c(piece, crc)  # pyright: ignore[reportArgumentType]
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def stored_crc(descriptor: int, offset: int, num_bytes: int) -> int:
    """Reads the masked CRC that a shard stores after the proto of a record.

    Args:
        descriptor: The open shard.
        offset: Where the record starts.
        num_bytes: Length of the proto.
    """
    stored = os.pread(descriptor, CRC_BYTES, offset + HEADER_BYTES + num_bytes)
    return int.from_bytes(stored, "little")

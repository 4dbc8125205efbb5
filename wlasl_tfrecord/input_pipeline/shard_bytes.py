"""Where the bytes of a split's records come from, and the shards on this machine."""

import contextlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from typing import Any, NamedTuple, Protocol

from wlasl_tfrecord.files import open_regular

__all__ = ["MAX_OPEN_FILES", "LocalShards", "Place", "RecordBytes", "ShardBytes"]

# Of one reader. A process may have 1,024 in all by default, and a training process has
# several readers.
MAX_OPEN_FILES = 64


class Place(NamedTuple):
    """Where a record lies.

    Attributes:
        shard_index: In which shard of the split.
        offset: At which byte of it.
        num_bytes: How many bytes it has, with what is around the proto.
    """

    shard_index: int
    offset: int
    num_bytes: int


class RecordBytes(Protocol):
    """The bytes of one record."""

    def read_into(self, pieces: Sequence[Any], start: int = 0) -> int:
        """Fills buffers, one after the other.

        Args:
            pieces: Contiguous buffers of bytes.
            start: The first byte, counted from the record's.

        Returns:
            How many bytes there were; less where the shard ends.

        Raises:
            OSError: If they cannot be read.
        """
        ...


class ShardBytes(Protocol):
    """The shards of one split. Its calls may come from several threads."""

    def record(self, place: Place) -> RecordBytes:
        """Opens a record.

        Raises:
            OSError: If its shard cannot be opened, or is damaged.
            StoreError: If the store of its shard fails.
        """
        ...

    def requested(self, places: Sequence[Place]) -> AbstractContextManager[None]:
        """Reads records at once that are opened within this block, where that helps."""
        ...

    def read_ahead(self, place: Place) -> None:
        """Makes a record that is opened later come sooner, where that helps."""
        ...


class LocalShards:
    """Shards that are files of this machine."""

    def __init__(self, paths: Sequence[str], *, follows_links: bool = True) -> None:
        """Opens no file yet.

        Args:
            paths: Of the shards, in order.
            follows_links: Whether one may be a link.
        """
        self._paths = paths
        flags = os.O_RDONLY | (0 if follows_links else os.O_NOFOLLOW)
        # A file is closed when the last thread that reads from it lets go of it.
        self._open = lru_cache(maxsize=MAX_OPEN_FILES)(partial(_OpenFile, flags))

    def record(self, place: Place) -> RecordBytes:
        """Opens a record."""
        return _LocalRecord(self._open(self._paths[place.shard_index]), place.offset)

    def requested(
        self,
        places: Sequence[Place],  # noqa: ARG002
    ) -> AbstractContextManager[None]:
        """Does nothing: a file has no latency to hide."""
        return contextlib.nullcontext()

    def read_ahead(self, place: Place) -> None:
        """Asks the system to have a record in its page cache soon."""
        if not hasattr(os, "posix_fadvise"):
            return
        try:
            file = self._open(self._paths[place.shard_index])
        except OSError:
            return  # reading it will tell
        advice = os.POSIX_FADV_WILLNEED
        os.posix_fadvise(file.descriptor, place.offset, place.num_bytes, advice)


class _LocalRecord(NamedTuple):
    """A record of an open file."""

    file: "_OpenFile"
    offset: int

    def read_into(self, pieces: Sequence[Any], start: int = 0) -> int:
        """Fills buffers by one call, without the lock of Python, and without a copy."""
        return os.preadv(self.file.descriptor, pieces, self.offset + start)


class _OpenFile:
    """A shard that is open for reading, until nobody refers to it."""

    def __init__(self, flags: int, path: str) -> None:
        self.descriptor = open_regular(path, flags)

    # As a default: at the interpreter's end the name `os` is gone before this is.
    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        descriptor = getattr(self, "descriptor", None)
        if descriptor is not None:
            close(descriptor)

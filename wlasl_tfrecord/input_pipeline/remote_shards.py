"""The shards of a split behind a URL: a record is one request for a range of bytes."""

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from wlasl_tfrecord.errors import ShardFolderError, StoreError
from wlasl_tfrecord.input_pipeline.shard_bytes import Place, RecordBytes
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import Shard, ShardFolder
from wlasl_tfrecord.shard_format.tfrecord import CRC_BYTES, footer
from wlasl_tfrecord.storage.object_facts import Content
from wlasl_tfrecord.storage.object_store import ObjectChanged, open_store
from wlasl_tfrecord.storage.urls import join_path

__all__ = ["PinnedShard", "RemoteShards", "failures_by_name", "pin_shards"]

# Of one process: as many as four batches of 16 clips.
_MAX_REQUESTS = 64


@dataclass(frozen=True, kw_only=True)
class PinnedShard:
    """A shard as it was when the folder was opened.

    Attributes:
        name: Its name in the folder.
        e_tag: What names its content to the server; None if the server has no such.
        problem: Why it is not the one of the index; None if it is.
    """

    name: str
    e_tag: str | None = None
    problem: str | None = None


def pin_shards(
    folder: ShardFolder, split: str, records: Records, *, check: bool
) -> tuple[PinnedShard, ...]:
    """Compares each shard with the index, and notes which object it is.

    A request a shard, for its last bytes: its size, its ETag and the checksum of its
    last record come with one answer.

    Args:
        folder: The folder, at a URL.
        split: The split.
        records: Its table of records.
        check: Whether a shard that is not the one of the index is refused; otherwise
            its records count as damaged.

    Returns:
        All shards of the split, in order.

    Raises:
        ShardFolderError: If one is refused.
        StoreError: If the store fails.
    """
    store = open_store(folder.directory, is_patient=True)
    shards = folder.split_shards(split)
    last = np.searchsorted(records.shard_indices, np.arange(len(shards)), "right") - 1

    def pin(index: int) -> PinnedShard:
        shard = shards[index]
        if shard.num_records == 0:
            return PinnedShard(name=shard.name)
        found, problem, end = None, None, shard.num_bytes
        with failures_by_name():
            try:
                found = store.read(shard.name, end - CRC_BYTES, end)
                problem = _difference(found, shard, int(records.crcs[last[index]]))
            except FileNotFoundError:
                problem = "is missing"
            except OSError as error:
                # 416: it ends before that.
                if "416" not in str(error.strerror):
                    raise
                problem = f"has fewer than the {end} bytes that the index says"
        if problem is not None and check:
            raise ShardFolderError(
                f"{join_path(folder.directory, shard.name)} {problem}; run bin/shard "
                "again, or copy the folder again"
            )
        e_tag = None if found is None else found.e_tag
        return PinnedShard(name=shard.name, e_tag=e_tag, problem=problem)

    with ThreadPoolExecutor(_MAX_REQUESTS) as pool:
        return tuple(pool.map(pin, range(len(shards))))


def _difference(found: Content, shard: Shard, crc: int) -> str | None:
    """Returns how an object differs from the shard of the index, by its end."""
    if found.num_bytes != shard.num_bytes:
        return f"has {found.num_bytes} bytes, the index says {shard.num_bytes}"
    if found.data != footer(crc):
        return "is not the shard that the index was written with"
    return None


class RemoteShards:
    """Shards that are objects of a store."""

    def __init__(self, url: str, pins: Sequence[PinnedShard]) -> None:
        """Requests nothing yet.

        Args:
            url: The folder.
            pins: What `pin_shards` returned.
        """
        self._store = open_store(url, is_patient=True)
        self._pins = pins
        self._pool = ThreadPoolExecutor(_MAX_REQUESTS, "wlasl-requests")
        self._lock = threading.Lock()
        # A record may be wanted by two batches at a time: each has its own request.
        self._under_way: dict[Place, list[Future[memoryview]]] = defaultdict(list)

    def record(self, place: Place) -> RecordBytes:
        """Waits for a record that was requested, or requests it."""
        future = self._take(place)
        return _RemoteRecord(self._read(place) if future is None else future.result())

    @contextlib.contextmanager
    def requested(self, places: Sequence[Place]) -> Iterator[None]:
        """Requests records at once; those that nobody opens are dropped at the end."""
        started = [(place, self._pool.submit(self._read, place)) for place in places]
        with self._lock:
            for place, future in started:
                self._under_way[place].append(future)
        try:
            yield
        finally:
            for place, future in started:
                self._take(place, future)

    def read_ahead(self, place: Place) -> None:
        """Does nothing: what comes of a store has no other place to wait."""

    def _take(
        self, place: Place, wanted: Future[memoryview] | None = None
    ) -> Future[memoryview] | None:
        """Takes a request out of those under way, any one or that one."""
        with self._lock:
            futures = self._under_way.get(place, [])
            future = wanted if wanted in futures else None
            if wanted is None and futures:
                future = futures[0]
            if future is not None:
                futures.remove(future)
                if not futures:
                    del self._under_way[place]
        if wanted is not None and future is not None:
            future.cancel()
        return future

    def _read(self, place: Place) -> memoryview:
        pin = self._pins[place.shard_index]
        if pin.problem is not None:
            raise OSError(f"the shard {pin.problem}")
        stop = place.offset + place.num_bytes
        with failures_by_name():
            content = self._store.read(pin.name, place.offset, stop, e_tag=pin.e_tag)
        return content.data


@contextlib.contextmanager
def failures_by_name() -> Iterator[None]:
    """Raises what a store fails with as an error that is no damaged record.

    A record that another one may stand in for is not what an outage makes.
    """
    try:
        yield
    except ObjectChanged as error:
        raise StoreError(
            f"{error.filename} was replaced after it was opened; start again, with one "
            "version of the folder"
        ) from error
    except OSError as error:
        way_out = (
            "it was there when the folder was opened; put it back"
            if isinstance(error, FileNotFoundError)
            else "check the network, the endpoint and the credentials"
        )
        raise StoreError(
            f"cannot read {error.filename} ({error.strerror}); {way_out}"
        ) from error


class _RemoteRecord:
    """A record in memory."""

    def __init__(self, data: memoryview) -> None:
        self._data = np.frombuffer(data, np.uint8)

    def read_into(self, pieces: Sequence[Any], start: int = 0) -> int:
        """Fills buffers by a copy, which frees the lock of Python."""
        first = start
        for piece in pieces:
            target = np.frombuffer(piece, np.uint8)
            source = self._data[start : start + len(target)]
            target[: len(source)] = source
            start += len(source)
        return start - first

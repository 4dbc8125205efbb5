"""The shards of a split behind a URL, fetched whole to a cache on the disk."""

import contextlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np

from wlasl_tfrecord.errors import StoreError
from wlasl_tfrecord.input_pipeline.remote_shards import (
    PinnedShard,
    RemoteShards,
    failures_by_name,
)
from wlasl_tfrecord.input_pipeline.shard_bytes import LocalShards, Place, RecordBytes
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.shard_format.tfrecord import CRC_BYTES, HEADER_BYTES, masked_crc
from wlasl_tfrecord.storage.object_cache import CacheConfig, ObjectCache
from wlasl_tfrecord.storage.object_store import open_store

__all__ = ["CachedShards"]

# Requests at once, of this size. And shards: some come while others are compared with
# the index, and wait for the disk.
_MAX_SHARDS, _MAX_REQUESTS = 12, 12
_PART_BYTES = 8 * 2**20


class CachedShards:
    """Shards that are objects, each of which is fetched when it is first needed.

    A record of a shard that does not fit in the cache is read by a request of its own.
    """

    def __init__(
        self,
        folder: ShardFolder,
        split: str,
        records: Records,
        pins: Sequence[PinnedShard],
        cache: CacheConfig,
    ) -> None:
        """Fetches nothing yet.

        Args:
            folder: The folder, at a URL.
            split: The split.
            records: Its table of records.
            pins: What `pin_shards` returned.
            cache: Where shards are kept.

        Raises:
            StoreError: If the cache cannot be used.
        """
        self._shards = folder.split_shards(split)
        self._records = records
        self._pins = pins
        self._store = open_store(folder.directory, is_patient=True)
        self._remote = RemoteShards(folder.directory, pins)
        # The table's digest stands for the bytes of all records.
        content = f"{folder.directory}\n{folder.table_sha256[split]}"
        try:
            self._cache = ObjectCache(cache, content)
        except OSError as error:
            raise StoreError(
                f"cannot use the cache {cache.directory} ({error.strerror or error}); "
                "choose another folder"
            ) from error
        paths = [self._cache.path(shard.name) for shard in self._shards]
        self._local = LocalShards(paths, follows_links=False)
        self._shard_pool = ThreadPoolExecutor(_MAX_SHARDS, "wlasl-shards")
        self._part_pool = ThreadPoolExecutor(_MAX_REQUESTS, "wlasl-parts")
        self._lock = threading.Lock()
        self._fetched: dict[int, Future[bool]] = {}

    def record(self, place: Place) -> RecordBytes:
        """Opens a record; waits until its shard is here, if it fits in the cache."""
        if self._fetch(place.shard_index).result():
            return self._local.record(place)
        return self._remote.record(place)

    def requested(self, places: Sequence[Place]) -> AbstractContextManager[None]:
        """Fetches the shards of records, or the records of shards that do not fit."""
        fetched = [self._fetch(place.shard_index) for place in places]
        if all(one.done() and not one.exception() and one.result() for one in fetched):
            return contextlib.nullcontext()
        wait(fetched)
        others = [
            place
            for place, one in zip(places, fetched)
            if not one.exception() and not one.result()
        ]
        return self._remote.requested(others)

    def read_ahead(self, place: Place) -> None:
        """Fetches the shard of a record, and asks for the record as on any disk."""
        fetched = self._fetch(place.shard_index)
        if fetched.done() and not fetched.exception() and fetched.result():
            self._local.read_ahead(place)

    def _fetch(self, shard_index: int) -> Future[bool]:
        """Starts to fetch a shard, once; the result is whether it is here."""
        with self._lock:
            future = self._fetched.get(shard_index)
            if future is None or (future.done() and future.exception()):
                future = self._shard_pool.submit(self._keep, shard_index)
                self._fetched[shard_index] = future
            return future

    def _keep(self, shard_index: int) -> bool:
        """Sees to it that a shard is in the cache."""
        shard, pin = self._shards[shard_index], self._pins[shard_index]
        if pin.problem is not None:
            return False
        try:
            return self._cache.keep(
                shard.name, shard.num_bytes, partial(self._write, shard_index)
            )
        except OSError:
            # A full or broken disk: what is not kept is read from the store.
            return False

    def _write(self, shard_index: int, descriptor: int, path: Path) -> None:
        """Writes a shard to an open file, and compares it with the index."""
        shard, pin = self._shards[shard_index], self._pins[shard_index]

        def write(start: int) -> None:
            stop = min(start + _PART_BYTES, shard.num_bytes)
            with failures_by_name():
                found = self._store.read(pin.name, start, stop, e_tag=pin.e_tag)
            written = 0
            while written < len(found.data):
                written += os.pwrite(descriptor, found.data[written:], start + written)

        starts = range(0, shard.num_bytes, _PART_BYTES)
        for _ in self._part_pool.map(write, starts):
            pass
        self._check(shard_index, descriptor, path)

    def _check(self, shard_index: int, descriptor: int, path: Path) -> None:
        """Compares the checksum of every record that came with the index.

        Raises:
            OSError: If one is another: such a shard is not kept, and whoever reads the
                record is told.
        """
        records = self._records
        rows = np.flatnonzero(records.shard_indices == shard_index)
        for row in rows.tolist():
            num_bytes = int(records.num_bytes[row])
            start = int(records.offsets[row]) + HEADER_BYTES
            proto = os.pread(descriptor, num_bytes, start)
            stored = os.pread(descriptor, CRC_BYTES, start + num_bytes)
            crc = int(records.crcs[row])
            if masked_crc([proto]) != crc or int.from_bytes(stored, "little") != crc:
                raise OSError(f"{path.name} is not the shard of the index")

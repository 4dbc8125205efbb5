"""Clips by their number as NumPy arrays: the shards without TensorFlow.

`input_fn` reads through it; a PyTorch Dataset, grain, JAX or a script can do the same.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import RecordError, ShardFolderError
from wlasl_tfrecord.input_pipeline.cached_shards import CachedShards
from wlasl_tfrecord.input_pipeline.clip_change import ClipChange
from wlasl_tfrecord.input_pipeline.damaged_records import damage_text, record_numbers
from wlasl_tfrecord.input_pipeline.record_frames import RecordFrames
from wlasl_tfrecord.input_pipeline.remote_shards import RemoteShards, pin_shards
from wlasl_tfrecord.input_pipeline.shard_bytes import LocalShards, ShardBytes
from wlasl_tfrecord.shard_format.landmarks import NUM_LANDMARKS
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import (
    ShardFolder,
    check_landmarks,
    load_folder,
    load_records,
)
from wlasl_tfrecord.storage.urls import is_object_url, is_url

__all__ = ["ShardReader"]


class ShardReader:
    """The clips of one split, by their number.

    It can be called from several threads, pickled, and used on both sides of a fork.
    """

    def __init__(
        self,
        data: str | os.PathLike[str] | ShardFolder,
        split: str = "train",
        *,
        records: Records | None = None,
        check_shards: bool = True,
    ) -> None:
        """Reads the index; shards of this machine are opened when they are needed.

        Those at a URL are compared with the index at once, and must stay what they are.

        Args:
            data: The shard folder's path or URL, or what `load_folder` returned.
            split: "train", "val" or "test".
            records: The split's table of records, where it is loaded already.
            check_shards: False to count the records of a shard at a URL that is missing
                or another one as damaged; by default the folder is refused.

        Raises:
            ShardFolderError: If the folder or the split cannot be used.
            StoreError: If its store cannot.
        """
        folder = data if isinstance(data, ShardFolder) else load_folder(data)
        if is_url(folder.directory) and not is_object_url(folder.directory):
            raise ShardFolderError(
                f"{folder.directory} is read by TensorFlow alone; copy it to a local "
                'disk, or read it with input_fn(reader="graph")'
            )
        self.folder = folder
        self.split = split
        self.records = load_records(folder, split) if records is None else records
        self._pins = None
        if is_object_url(folder.directory):
            self._pins = pin_shards(folder, split, self.records, check=check_shards)
        self._prepare()

    def __repr__(self) -> str:
        """The same in every process: grain compares it when it resumes."""
        return f"ShardReader({self.folder.directory!r}, {self.split!r})"

    def __len__(self) -> int:
        """Returns the number of clips."""
        return len(self.records)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        """Reads one clip.

        Args:
            index: The number of its record, in file order; from the end if negative.

        Returns:
            "frames" (uint8 [T, H, W, 3], RGB), "record", "label", "gloss", "video_id",
            "signer_id" (-1 if unknown) and "num_distinct_frames", as in
            `input_fn(element="dict")`; and "landmarks" (float32 [T, K, 3], see
            `shard_format.landmarks`), if the folder has them.

        Raises:
            IndexError: If there is no such record.
            RecordError: If the record is damaged.
        """
        record = self._record(index)
        label = int(self.records.labels[record])
        clip = self.folder.clip
        frames = np.empty(clip.shape, np.uint8)
        read: dict[str, Any] = {"frames": frames}
        if self.folder.has_landmarks:
            shape = (clip.num_frames, NUM_LANDMARKS, 3)
            read["landmarks"] = np.empty(shape, np.float32)
        self.read_frames(record, frames, landmarks=read.get("landmarks"))
        return {
            **read,
            "record": record,
            "label": label,
            "gloss": self.folder.glosses[label],
            "video_id": self.records.video_ids[record],
            "signer_id": int(self.records.signer_ids[record]),
            "num_distinct_frames": int(self.records.num_distinct_frames[record]),
        }

    def read_batch(
        self,
        indices: Sequence[SupportsIndex] | NDArray[np.integer],
        *,
        out: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8]:
        """Reads the frames of several clips.

        Args:
            indices: n numbers of records.
            out: uint8 [n, T, H, W, 3] to read into, contiguous; by default new memory.

        Returns:
            uint8 [n, T, H, W, 3], RGB; `out` if it was given.

        Raises:
            IndexError: If there is no such record.
            RecordError: If a record is damaged.
            StoreError: If the store of a shard at a URL fails.
            ValueError: If `out` is not of that shape and type.
        """
        shape = (len(indices), *self.folder.clip.shape)
        if out is None:
            out = np.empty(shape, np.uint8)
        elif out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise ValueError(
                f"out must be a contiguous uint8 array of shape {shape}, got "
                f"{out.dtype} of shape {out.shape}"
            )
        records = [self._record(index) for index in indices]
        with self.requested(records):
            for place, record in enumerate(records):
                self.read_frames(record, out[place])
        return out

    def read_landmarks(
        self, indices: Sequence[SupportsIndex] | NDArray[np.integer]
    ) -> NDArray[np.float32]:
        """Reads the landmarks of several clips, without their frames.

        Args:
            indices: n numbers of records.

        Returns:
            float32 [n, T, K, 3]; see `shard_format.landmarks`.

        Raises:
            IndexError: If there is no such record.
            RecordError: If a record is damaged.
            ShardFolderError: If the folder has no landmarks.
        """
        check_landmarks(self.folder)
        shape = (len(indices), self.folder.clip.num_frames, NUM_LANDMARKS, 3)
        landmarks = np.empty(shape, np.float32)
        records = [self._record(index) for index in indices]
        with self.requested(records):
            for place, record in enumerate(records):
                with self._damage_named(record):
                    self._frames.read_landmarks(record, landmarks[place])
        return landmarks

    def requested(self, records: Sequence[int]) -> AbstractContextManager[None]:
        """Requests records of a URL at once, which are read within this block."""
        return self._shards.requested(
            [self._frames.place(record) for record in records]
        )

    def read_frames(
        self,
        record: int,
        out: NDArray[np.uint8],
        change: ClipChange | None = None,
        *,
        landmarks: NDArray[np.float32] | None = None,
    ) -> None:
        """Reads the frames of one clip into place, and its landmarks if asked to.

        Args:
            record: The number of the record, in [0, N).
            out: uint8 [T, H, W, 3], contiguous; undefined after an error.
            change: How to change the frames on the way; None for not at all.
            landmarks: float32 [T, K, 3], receives those of the unchanged clip; the
                folder has some. They are read with the frames, at once.

        Raises:
            RecordError: If the record is damaged; the message names it.
        """
        with self._damage_named(record):
            self._frames.read(record, out, change, landmarks)

    @contextlib.contextmanager
    def _damage_named(self, record: int) -> Iterator[None]:
        """Raises what goes wrong while a record is read as an error that names it."""
        try:
            yield
        except (ValueError, OSError) as error:
            raise RecordError(self.damage(record)) from error

    def check_record(self, record: int) -> None:
        """Reads a record and compares its length and checksums, and decodes nothing.

        Args:
            record: The number of the record, in [0, N).

        Raises:
            RecordError: If the record is damaged; the message names it.
        """
        with self._damage_named(record):
            self._frames.check(record)

    def read_ahead(self, records: NDArray[np.integer]) -> None:
        """Asks the system to have the bytes of records in its page cache soon.

        Does nothing where the system has no such request, and at a URL.
        """
        for record in records.tolist():
            self._shards.read_ahead(self._frames.place(record))

    def damage(self, record: int) -> str:
        """Returns the line that names a record if it is damaged."""
        number = record_numbers(self.records)[record]
        shards = self.folder.split_shards(self.split)
        return "".join(
            damage_text(
                self.folder.shard_path(shards[self.records.shard_indices[record]]),
                str(number),
                str(self.records.offsets[record]),
                self.records.video_ids[record],
            )
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out open files and memory; another process has its own."""
        kept = ("folder", "split", "records", "_pins")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Starts with no open file."""
        vars(self).update(state)
        self._prepare()

    def _prepare(self) -> None:
        self._shards: ShardBytes
        folder = self.folder
        if self._pins is not None and folder.cache is not None:
            self._shards = CachedShards(
                folder, self.split, self.records, self._pins, folder.cache
            )
        elif self._pins is not None:
            self._shards = RemoteShards(folder.directory, self._pins)
        else:
            shards = self.folder.split_shards(self.split)
            self._shards = LocalShards([self.folder.shard_path(one) for one in shards])
        self._frames = RecordFrames(folder, self.records, self._shards)

    def _record(self, index: SupportsIndex) -> int:
        """Returns the number of a record that exists."""
        record = index.__index__()
        if not -len(self) <= record < len(self):
            raise IndexError(f"no record {record}: {self.split} has {len(self)}")
        return record % len(self)

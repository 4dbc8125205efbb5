"""Clips by their number as NumPy arrays: the shards without TensorFlow.

`input_fn` reads through it; a PyTorch Dataset, grain, JAX or a script can do the same.
"""

import contextlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import RecordError, ShardFolderError
from wlasl_tfrecord.input_pipeline.cached_shards import CachedShards
from wlasl_tfrecord.input_pipeline.clip_change import ClipChange, write_changed
from wlasl_tfrecord.input_pipeline.damaged_records import damage_text, record_numbers
from wlasl_tfrecord.input_pipeline.frame_buffers import Scratch
from wlasl_tfrecord.input_pipeline.remote_shards import RemoteShards, pin_shards
from wlasl_tfrecord.input_pipeline.shard_bytes import (
    LocalShards,
    Place,
    RecordBytes,
    ShardBytes,
)
from wlasl_tfrecord.shard_format.codecs import codec_facts
from wlasl_tfrecord.shard_format.decode_images import decode_image
from wlasl_tfrecord.shard_format.landmarks import NUM_LANDMARKS
from wlasl_tfrecord.shard_format.protobuf import example_of
from wlasl_tfrecord.shard_format.record_bytes import (
    find_frames,
    find_images,
    read_landmarks,
)
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import (
    ShardFolder,
    check_landmarks,
    load_folder,
    load_records,
)
from wlasl_tfrecord.shard_format.tfrecord import (
    CRC_BYTES,
    FRAME_BYTES,
    HEADER_BYTES,
    footer,
    header,
    masked_crc,
)
from wlasl_tfrecord.storage.urls import is_object_url, is_url

__all__ = ["ShardReader"]

# Of a record of images: they stay in the processor's cache until they are copied.
_FRAMES_AT_ONCE = 4
# Where a scan of a JPEG starts, and how many an image may have; progressive ones have
# some ten. Each goes over all pixels, and one that changes none takes twelve bytes.
_SCAN, _MOST_SCANS = b"\xff\xda", 500
# The keys before the frames of a raw record take some 60 bytes.
_HEAD_BYTES = 1024


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
        clip, codec = self.folder.clip, self.folder.codec
        check_landmarks(self.folder)
        shape = (len(indices), clip.num_frames, NUM_LANDMARKS, 3)
        landmarks = np.empty(shape, np.float32)
        records = [self._record(index) for index in indices]
        with self.requested(records):
            for place, record in enumerate(records):
                with self._damage_named(record), self._scratch() as scratch:
                    proto = self._read_proto(self._open(record), record, scratch)
                    landmarks[place] = read_landmarks(proto, clip, codec)
        return landmarks

    def requested(self, records: Sequence[int]) -> AbstractContextManager[None]:
        """Requests records of a URL at once, which are read within this block."""
        return self._shards.requested([self._place(record) for record in records])

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
        read = self._read_images if self._stores_images else self._read_raw
        with self._damage_named(record), self._scratch() as scratch:
            read(record, out, change, landmarks, scratch)

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
        with self._damage_named(record), self._scratch() as scratch:
            self._read_proto(self._open(record), record, scratch)

    def read_ahead(self, records: NDArray[np.integer]) -> None:
        """Asks the system to have the bytes of records in its page cache soon.

        Does nothing where the system has no such request, and at a URL.
        """
        for record in records.tolist():
            self._shards.read_ahead(self._place(record))

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
        self._stores_images = codec_facts(self.folder.codec).stores_images
        # Where the frames lie in the proto of a raw record; -1 until it has been read.
        self._frames_starts = np.full(len(self.records), -1)
        # Where the images start and stop in the proto of a record that has been read.
        self._image_places: dict[int, NDArray[np.int64]] = {}
        # Not of a thread: TensorFlow's are new to Python at each call.
        self._unused: deque[Scratch] = deque()

    def _record(self, index: SupportsIndex) -> int:
        """Returns the number of a record that exists."""
        record = index.__index__()
        if not -len(self) <= record < len(self):
            raise IndexError(f"no record {record}: {self.split} has {len(self)}")
        return record % len(self)

    def _place(self, record: int) -> Place:
        return Place(
            int(self.records.shard_indices[record]),
            int(self.records.offsets[record]),
            int(self.records.num_bytes[record]) + FRAME_BYTES,
        )

    def _open(self, record: int) -> RecordBytes:
        return self._shards.record(self._place(record))

    def _read_raw(
        self,
        record: int,
        out: NDArray[np.uint8],
        change: ClipChange | None,
        landmarks: NDArray[np.float32] | None,
        scratch: Scratch,
    ) -> None:
        """Reads a record of raw frames, straight into place if nothing changes them."""
        stored = self._open(record)
        num_bytes = int(self.records.num_bytes[record])
        start = int(self._frames_starts[record])
        if start < 0:
            start = self._find_frames(stored, record, out.nbytes, scratch)
        frames = out if change is None else scratch.array("frames", out.shape)
        before = bytearray(HEADER_BYTES + start)
        after = bytearray(num_bytes - start - out.nbytes + CRC_BYTES)
        # One call; of a file without the lock of Python, and without a copy.
        read = stored.read_into([before, frames, after])
        if read != num_bytes + FRAME_BYTES:
            raise ValueError("the file ends within it")
        proto = [memoryview(before)[HEADER_BYTES:], frames, after[:-CRC_BYTES]]
        self._check(record, before, proto, after)
        if landmarks is not None:
            rest = after[:-CRC_BYTES]
            self._copy_landmarks(stored, record, rest, landmarks, scratch)
        # The same checksum another time means the same bytes, and so the same place.
        self._frames_starts[record] = start
        if change is not None:
            frame = scratch.array("frame", out.shape[1:])
            write_changed(frames.__getitem__, change, out, frame)

    def _copy_landmarks(
        self,
        stored: RecordBytes,
        record: int,
        after: bytearray,
        landmarks: NDArray[np.float32],
        scratch: Scratch,
    ) -> None:
        """Reads the landmarks of a raw record, of whose proto the end was read."""
        clip, codec = self.folder.clip, self.folder.codec
        try:
            # Ours stand after the frames, where other features begin.
            landmarks[:] = read_landmarks(example_of(after), clip, codec)
        except ValueError:
            # Other writers may put them anywhere.
            proto = self._read_proto(stored, record, scratch)
            landmarks[:] = read_landmarks(proto, clip, codec)

    def _find_frames(
        self, stored: RecordBytes, record: int, frames_bytes: int, scratch: Scratch
    ) -> int:
        """Finds where the frames of a raw record start in its proto."""
        head = bytearray(_HEAD_BYTES)
        read = stored.read_into([head], HEADER_BYTES)
        place = find_frames(head[:read])
        if place is None:
            # Other writers may put the frames behind other keys.
            place = find_frames(self._read_proto(stored, record, scratch))
        num_bytes = int(self.records.num_bytes[record])
        if place is None or len(place) != frames_bytes or place.stop > num_bytes:
            raise ValueError("the frames are of another shape")
        return place.start

    def _read_images(
        self,
        record: int,
        out: NDArray[np.uint8],
        change: ClipChange | None,
        landmarks: NDArray[np.float32] | None,
        scratch: Scratch,
    ) -> None:
        """Reads a record of encoded images, and decodes them into place."""
        proto = self._read_proto(self._open(record), record, scratch)
        places = self._find_images(record, proto)
        codec = self.folder.codec
        if landmarks is not None:
            landmarks[:] = read_landmarks(proto, self.folder.clip, codec)
        decoded = scratch.decoded((_FRAMES_AT_ONCE, *out.shape[1:]))
        if change is None:
            for first in range(0, len(out), _FRAMES_AT_ONCE):
                ready = decoded[: len(out) - first]
                for (start, stop), frame in zip(places[first:], ready):
                    decode_image(proto[start:stop], codec, frame)
                np.copyto(out[first : first + len(ready)], ready)
            return

        def read_frame(index: int) -> NDArray[np.uint8]:
            start, stop = places[index]
            decode_image(proto[start:stop], codec, decoded[0])
            return decoded[0]

        frame = scratch.array("frame", out.shape[1:])
        write_changed(read_frame, change, out, frame)

    def _find_images(self, record: int, proto: memoryview) -> list[list[int]]:
        """Finds where the images of a record start and stop in its proto."""
        places = self._image_places.get(record)
        if places is None:
            num_frames = self.folder.clip.num_frames
            images = find_images(proto, num_frames + 1)
            if len(images) != num_frames:
                raise ValueError(f"it has not {num_frames} images")
            if any(place.stop > len(proto) for place in images):
                raise ValueError("it ends within an image")
            is_lossy = codec_facts(self.folder.codec).has_quality
            scans = bytes(proto).count(_SCAN) if is_lossy else 0
            if scans > _MOST_SCANS * num_frames:
                raise ValueError(f"its images have {scans} scans")
            places = np.array([(place.start, place.stop) for place in images])
            # The same checksum another time means the same bytes, and the same places.
            self._image_places[record] = places
        return places.tolist()

    def _read_proto(
        self, stored: RecordBytes, record: int, scratch: Scratch
    ) -> memoryview:
        """Reads a whole record into memory of this call, and checks it."""
        num_bytes = int(self.records.num_bytes[record]) + FRAME_BYTES
        largest = int(self.records.num_bytes.max()) + FRAME_BYTES
        data = scratch.array("record", (largest,)).data[:num_bytes]
        if stored.read_into([data]) != num_bytes:
            raise ValueError("the file ends within it")
        proto = data[HEADER_BYTES:-CRC_BYTES]
        self._check(record, data, [proto], data)
        return proto

    def _check(self, record: int, start: Any, proto: list[Any], end: Any) -> None:
        """Compares a record with the index: its length, its bytes, its checksums."""
        if bytes(start[:HEADER_BYTES]) != header(int(self.records.num_bytes[record])):
            raise ValueError("its header is damaged")
        # The index's, not the stored one: so it is the record that the index names.
        crc = int(self.records.crcs[record])
        if masked_crc(proto) != crc or bytes(end[-CRC_BYTES:]) != footer(crc):
            raise ValueError("its checksum does not fit its bytes")

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[Scratch]:
        """Lends memory to one call; there is as much as there were calls at once."""
        try:
            scratch = self._unused.pop()
        except IndexError:
            scratch = Scratch()
        try:
            yield scratch
        finally:
            self._unused.append(scratch)

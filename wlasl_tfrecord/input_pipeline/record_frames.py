"""Records of one split: their bytes, compared with the index, and their frames."""

import contextlib
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.input_pipeline.clip_change import ClipChange, write_changed
from wlasl_tfrecord.input_pipeline.frame_buffers import Scratch
from wlasl_tfrecord.input_pipeline.shard_bytes import Place, RecordBytes, ShardBytes
from wlasl_tfrecord.shard_format.codecs import codec_facts
from wlasl_tfrecord.shard_format.decode_images import decode_image
from wlasl_tfrecord.shard_format.protobuf import example_of
from wlasl_tfrecord.shard_format.record_bytes import (
    count_costly_parts,
    find_frames,
    find_images,
    read_landmarks,
)
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.shard_format.tfrecord import (
    CRC_BYTES,
    FRAME_BYTES,
    HEADER_BYTES,
    footer,
    header,
    masked_crc,
)

__all__ = ["RecordFrames"]

# Of a record of images: they stay in the processor's cache until they are copied.
_FRAMES_AT_ONCE = 4
# The keys before the frames of a raw record take some 60 bytes.
_HEAD_BYTES = 1024


class RecordFrames:
    """The records of one split. Its calls may come from several threads.

    What is wrong with a record is a ValueError or an OSError that does not name it.
    """

    def __init__(
        self, folder: ShardFolder, records: Records, shards: ShardBytes
    ) -> None:
        """Reads nothing yet.

        Args:
            folder: The shard folder.
            records: The split's table of records.
            shards: Where their bytes come from.
        """
        self._folder, self._records, self._shards = folder, records, shards
        self._stores_images = codec_facts(folder.codec).stores_images
        # Where the frames lie in the proto of a raw record; -1 until it has been read.
        self._frames_starts = np.full(len(records), -1)
        # Where the images start and stop in the proto of a record that has been read.
        self._image_places: dict[int, NDArray[np.int64]] = {}
        # Not of a thread: TensorFlow's are new to Python at each call.
        self._unused: deque[Scratch] = deque()

    def place(self, record: int) -> Place:
        """Returns where a record lies."""
        return Place(
            int(self._records.shard_indices[record]),
            int(self._records.offsets[record]),
            int(self._records.num_bytes[record]) + FRAME_BYTES,
        )

    def read(
        self,
        record: int,
        out: NDArray[np.uint8],
        change: ClipChange | None,
        landmarks: NDArray[np.float32] | None,
    ) -> None:
        """Reads frames, and landmarks if asked to; see `ShardReader.read_frames`."""
        read = self._read_images if self._stores_images else self._read_raw
        with self._scratch() as scratch:
            read(record, out, change, landmarks, scratch)

    def read_landmarks(self, record: int, out: NDArray[np.float32]) -> None:
        """Reads landmarks alone, float32 [T, K, 3]."""
        with self._scratch() as scratch:
            proto = self._read_proto(self._open(record), record, scratch)
            out[:] = read_landmarks(proto, self._folder.clip, self._folder.codec)

    def check(self, record: int) -> None:
        """Compares length and checksums with the index, and decodes nothing."""
        with self._scratch() as scratch:
            self._read_proto(self._open(record), record, scratch)

    def _open(self, record: int) -> RecordBytes:
        return self._shards.record(self.place(record))

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
        num_bytes = int(self._records.num_bytes[record])
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
        clip, codec = self._folder.clip, self._folder.codec
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
        num_bytes = int(self._records.num_bytes[record])
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
        codec = self._folder.codec
        if landmarks is not None:
            landmarks[:] = read_landmarks(proto, self._folder.clip, codec)
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
            num_frames = self._folder.clip.num_frames
            images = find_images(proto, num_frames + 1)
            if len(images) != num_frames:
                raise ValueError(f"it has not {num_frames} images")
            if any(place.stop > len(proto) for place in images):
                raise ValueError("it ends within an image")
            codec = self._folder.codec
            num_costly = count_costly_parts(proto, codec)
            if num_costly > codec_facts(codec).most_costly * num_frames:
                raise ValueError(f"its images have {num_costly} costly parts")
            places = np.array([(place.start, place.stop) for place in images])
            # The same checksum another time means the same bytes, and the same places.
            self._image_places[record] = places
        return places.tolist()

    def _read_proto(
        self, stored: RecordBytes, record: int, scratch: Scratch
    ) -> memoryview:
        """Reads a whole record into memory of this call, and checks it."""
        num_bytes = int(self._records.num_bytes[record]) + FRAME_BYTES
        largest = int(self._records.num_bytes.max()) + FRAME_BYTES
        data = scratch.array("record", (largest,)).data[:num_bytes]
        if stored.read_into([data]) != num_bytes:
            raise ValueError("the file ends within it")
        proto = data[HEADER_BYTES:-CRC_BYTES]
        self._check(record, data, [proto], data)
        return proto

    def _check(self, record: int, start: Any, proto: list[Any], end: Any) -> None:
        """Compares a record with the index: its length, its bytes, its checksums."""
        if bytes(start[:HEADER_BYTES]) != header(int(self._records.num_bytes[record])):
            raise ValueError("its header is damaged")
        # The index's, not the stored one: so it is the record that the index names.
        crc = int(self._records.crcs[record])
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

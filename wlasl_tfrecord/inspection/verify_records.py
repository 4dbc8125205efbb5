"""Checks every record of a split: is it whole, and what the index says?"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.errors import ShardFolderError
from wlasl_tfrecord.input_pipeline.damaged_records import record_numbers
from wlasl_tfrecord.inspection.verify_files import Damage
from wlasl_tfrecord.shard_format import (
    clip_proto,
    decode_frames,
    layout,
    parsing,
    shard_folder,
)
from wlasl_tfrecord.shard_format.parsing import read_record
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import Shard, ShardFolder
from wlasl_tfrecord.shard_format.tfrecord import (
    CRC_BYTES,
    FRAME_BYTES,
    HEADER_BYTES,
    footer,
    header,
    masked_crc,
)
from wlasl_tfrecord.storage.contents import open_binary
from wlasl_tfrecord.storage.object_store import open_store
from wlasl_tfrecord.storage.urls import is_object_url

__all__ = ["verify_split"]


def verify_split(folder: ShardFolder, split: str) -> Iterator[Damage | None]:
    """Checks every record of a split: checksum, parse, shapes and values.

    Args:
        folder: What `load_folder(…, check_shards=False)` returned.
        split: Which of its splits.

    Yields:
        For every record its damage, or None if it is whole; before them what is wrong
        with whole files or the table of records.
    """
    try:
        records = shard_folder.load_records(folder, split)
    except ShardFolderError as error:
        yield Damage(file=layout.record_table_file(split), reason=str(error))
        return
    shards = folder.split_shards(split)
    problems = [_file_problem(folder, shard) for shard in shards]
    for shard, problem in zip(shards, problems):
        if problem is not None:
            yield Damage(file=shard.name, reason=problem)
    if is_object_url(folder.directory):
        # A record is one request: what is around its proto is compared with it.
        ends = [_End(None, int(crc)) for crc in records.crcs]
    else:
        ends = _read_ends(folder, split, records)
    # TensorFlow would take memory for the length that a record claims to have.
    safe = np.array([end.problem is None for end in ends], bool)
    found = _read_records(folder, split, records, np.flatnonzero(safe))
    numbers = record_numbers(records)
    for k, end in enumerate(ends):
        shard = shards[int(records.shard_indices[k])]
        reason = end.problem
        if reason is None:
            values = next(found)
            if isinstance(values, str):
                reason = values
            elif end.crc != int(records.crcs[k]):
                reason = "it is not the record that the index was written with"
            else:
                reason = _disagreement(folder, records, k, values)
        if reason is None:
            yield None
        elif reason != _NO_FILE:
            yield Damage(
                file=shard.name,
                reason=reason,
                record=int(numbers[k]),
                video_id=records.video_ids[k],
            )


_NO_FILE = "its file cannot be read"


def _file_problem(folder: ShardFolder, shard: Shard) -> str | None:
    """Returns what is wrong with the file of a shard; None if it has its size."""
    if shard.num_bytes == 0 and is_object_url(folder.directory):
        return None
    try:
        num_bytes = _size_of(folder.shard_path(shard))
    except (FileNotFoundError, tf.errors.NotFoundError):
        return "the file is missing"
    except OSError as error:
        return f"the file cannot be read: {error.strerror or error}"
    if num_bytes != shard.num_bytes:
        return f"the file has {num_bytes} bytes, the index says {shard.num_bytes}"
    return None


def _size_of(path: str) -> int:
    if is_object_url(path):
        directory, _, name = path.rpartition("/")
        return open_store(directory).facts(name).num_bytes
    if "://" in path:
        return tf.io.gfile.stat(path).length
    with open_binary(path) as file:
        return file.seek(0, os.SEEK_END)


class _End(NamedTuple):
    """What is stored before and after a proto.

    Attributes:
        problem: Why the record must not be read; None if its length is right.
        crc: The masked CRC-32C that is stored after the proto.
    """

    problem: str | None
    crc: int = 0


def _read_ends(folder: ShardFolder, split: str, records: Records) -> list[_End]:
    """Reads the lengths and checksums around every proto, and none of the protos."""
    ends: list[_End] = []
    for shard_index, shard in enumerate(folder.split_shards(split)):
        rows = np.flatnonzero(records.shard_indices == shard_index).tolist()
        try:
            with open_binary(folder.shard_path(shard)) as file:
                ends += [
                    _read_end(file, int(records.offsets[k]), int(records.num_bytes[k]))
                    for k in rows
                ]
        except (OSError, tf.errors.OpError):
            ends += [_End(_NO_FILE)] * len(rows)
    return ends


def _read_end(file: BinaryIO, offset: int, num_bytes: int) -> _End:
    file.seek(offset)
    found = file.read(HEADER_BYTES)
    if len(found) < HEADER_BYTES:
        return _End("the file ends before it")
    if found != header(num_bytes):
        length = int.from_bytes(found[:8], "little")
        if found == header(length):
            return _End(f"its length is {length}, the index says {num_bytes}")
        return _End("its checksum does not fit its bytes")
    file.seek(offset + HEADER_BYTES + num_bytes)
    return _End(None, int.from_bytes(file.read(CRC_BYTES), "little"))


def _read_records(
    folder: ShardFolder, split: str, records: Records, rows: NDArray[np.integer]
) -> Iterator[dict[str, Any] | str]:
    """Reads, parses and decodes records; yields values, or why there are none."""
    read_proto = _proto_reader(folder, split, records)
    context_keys = tuple(parsing.context_features(folder.clip))

    def read(row: tf.Tensor) -> dict[str, tf.Tensor]:
        serialized = read_proto(row)
        parsed = parsing.parse_clip(serialized, folder.clip, folder.codec, context_keys)
        frames = decode_frames.decode_frames(parsed, folder.clip, folder.codec)
        values = {key: parsed[key] for key in context_keys}
        if folder.has_landmarks:
            landmarks = parsing.parse_landmarks(serialized, folder.clip, folder.codec)
            values[_LANDMARKS] = tf.reduce_max(tf.abs(landmarks))
        return {
            **values,
            clip_proto.TIMES_KEY: parsing.parse_times(
                serialized, folder.clip, folder.codec
            ),
            # A value that depends on the pixels. With one that needs only their shape,
            # which is known before, tf.data would leave the decoding out.
            "brightest": tf.reduce_max(frames),
            "num_bytes": tf.strings.length(serialized),
        }

    clips = tf.data.Dataset.from_tensor_slices(rows)
    # In order, so that an error belongs to the next record in turn.
    clips = iter(clips.map(read, tf.data.AUTOTUNE, deterministic=True))
    for _ in range(len(rows)):
        yield _next_values(clips)


def _proto_reader(
    folder: ShardFolder, split: str, records: Records
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns what reads the proto of a row in a graph: int64 [] to string []."""
    shards = folder.split_shards(split)
    if is_object_url(folder.directory):
        store = open_store(folder.directory, is_patient=True)

        def read(row: int) -> tuple[bytes, str]:
            name = shards[int(records.shard_indices[row])].name
            start, num_bytes = int(records.offsets[row]), int(records.num_bytes[row])
            try:
                found = store.read(name, start, start + FRAME_BYTES + num_bytes).data
            except OSError as error:
                return b"", f"it cannot be read: {error.strerror}"
            proto = found[HEADER_BYTES:-CRC_BYTES]
            crc = masked_crc([proto])
            if len(proto) < num_bytes:
                return b"", "the file ends before it"
            if found[:HEADER_BYTES] != header(num_bytes) or found[-4:] != footer(crc):
                return b"", "its checksum does not fit its bytes"
            if crc != int(records.crcs[row]):
                return b"", "it is not the record that the index was written with"
            return bytes(proto), ""

        def read_checked(row: tf.Tensor) -> tf.Tensor:
            proto, problem = tf.numpy_function(read, [row], (tf.string, tf.string))
            check = tf.debugging.Assert(tf.equal(problem, ""), [problem])
            with tf.control_dependencies([check]):
                return tf.ensure_shape(tf.identity(proto), [])

        return read_checked
    paths = tf.constant([folder.shard_path(shard) for shard in shards])
    indices, offsets = tf.constant(records.shard_indices), tf.constant(records.offsets)
    return lambda row: read_record(
        tf.gather(paths, tf.gather(indices, row)), tf.gather(offsets, row)
    )


def _next_values(clips: Iterator[dict[str, tf.Tensor]]) -> dict[str, Any] | str:
    """Returns the next element, or why there is none; the iterator stays usable."""
    try:
        return {key: value.numpy() for key, value in next(clips).items()}
    except tf.errors.DataLossError:
        return "its checksum does not fit its bytes"
    except tf.errors.OpError as error:
        return _first_words(error.message)
    except UnicodeDecodeError:
        # TensorFlow quotes what it cannot parse, and cannot quote all bytes.
        return "it is not a clip of this format"


def _disagreement(
    folder: ShardFolder, records: Records, k: int, values: Mapping[str, Any]
) -> str | None:
    """Returns how a record differs from the index, or contradicts itself."""
    clip = folder.clip
    label = int(records.labels[k])
    gloss = folder.glosses[label].encode()
    video_id = records.video_ids[k].encode()
    expected: dict[str, Any] = {
        "num_bytes": records.num_bytes[k],
        "clip/label/index": label,
        "clip/label/string": gloss,
        "clip/label/text": gloss,
        "clip/media_id": video_id,
        "example/id": video_id,
        "example/dataset_name": layout.DATASET_NAME.encode(),
        "image/channels": 3,
        "image/colorspace": b"RGB",
        "image/format": folder.codec.upper().encode(),
        "image/height": clip.height,
        "image/width": clip.width,
        "wlasl/signer_id": records.signer_ids[k],
        "wlasl/num_distinct_frames": records.num_distinct_frames[k],
    }
    for key, value in expected.items():
        if values[key] != value:
            return f"{key} is {values[key]}, the index says {value}"
    frames = values["wlasl/frame_indices"]
    num_video_frames = values["wlasl/source/num_frames"]
    inside = frames[0] >= 0 and frames[-1] < num_video_frames
    if (np.diff(frames) < 0).any() or not inside:
        return "wlasl/frame_indices are not frames of the video, in order"
    if len(np.unique(frames)) != values["wlasl/num_distinct_frames"]:
        return "wlasl/num_distinct_frames is not what wlasl/frame_indices say"
    if (np.diff(values[clip_proto.TIMES_KEY]) <= 0).any():
        return f"{clip_proto.TIMES_KEY} does not grow"
    if not np.isfinite(values.get(_LANDMARKS, 0)):
        return "its landmarks are not finite"
    return None


# What is kept of the landmarks: the largest of their values.
_LANDMARKS = "landmarks"


# The iterator is named by its place among others, which TensorFlow chooses.
_BEFORE = re.compile(r" transformation with iterator: \S+: ")


def _first_words(message: str) -> str:
    """Shortens a message of TensorFlow to what it says of the record."""
    # The name of the transformation precedes it, and the graph's nodes follow it.
    words = _BEFORE.split(" ".join(message.split("[[")[0].split()))[-1]
    # Of a record from a URL it is ours.
    words = re.sub(r"^assertion failed: \[(.*)\]", r"\1", words)
    # TensorFlow says this of an offset past the end of a file.
    return "the file ends before it" if "was empty" in words else words[:200].strip()

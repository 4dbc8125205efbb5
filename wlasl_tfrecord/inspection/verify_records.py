"""Checks every record of a split: is it whole, and what the index says?"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

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
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.shard_format.tfrecord import CRC_BYTES, FRAME_BYTES, HEADER_BYTES

__all__ = ["verify_split"]


def verify_split(folder: ShardFolder, split: str) -> Iterator[Damage | None]:
    """Checks every record of a split: checksum, parse, shapes and values.

    Args:
        folder: What `load_folder(…, check_shards=False)` returned.
        split: The split.

    Yields:
        First the damage of whole files and of the table of records; then for every
        record its damage, or None if it is whole.
    """
    try:
        records = shard_folder.load_records(folder, split)
    except ShardFolderError as error:
        yield Damage(file=layout.records_file(split), reason=str(error))
        return
    shards = folder.split_shards(split)
    sizes = [_size_of(folder.shard_path(shard)) for shard in shards]
    for shard, size in zip(shards, sizes):
        if size is None:
            yield Damage(file=shard.name, reason="the file is missing")
        elif size != shard.num_bytes:
            reason = f"the file has {size} bytes, the index says {shard.num_bytes}"
            yield Damage(file=shard.name, reason=reason)
    yield from _verify_table(folder, split, records)
    numbers = record_numbers(records)
    for k, found in enumerate(_read_records(folder, split, records)):
        shard_index = int(records.shard_indices[k])
        if sizes[shard_index] is None:
            continue
        if isinstance(found, str):
            reason = found
        elif _stored_crc(folder.shard_path(shards[shard_index]), records, k) != int(
            records.crcs[k]
        ):
            reason = "it is not the record that the index was written with"
        else:
            reason = _disagreement(folder, records, k, found)
        if reason is None:
            yield None
            continue
        yield Damage(
            file=shards[shard_index].name,
            reason=reason,
            record=int(numbers[k]),
            video_id=records.video_ids[k],
        )


def _verify_table(
    folder: ShardFolder, split: str, records: Records
) -> Iterator[Damage]:
    """Checks that the records of the table fill its shards without a gap."""
    name = layout.records_file(split)
    if len(set(records.video_ids)) != len(records):
        yield Damage(file=name, reason="a video_id occurs twice")
    for shard_index, shard in enumerate(folder.split_shards(split)):
        inside = records.shard_indices == shard_index
        ends = records.offsets[inside] + records.num_bytes[inside] + FRAME_BYTES
        starts = np.concatenate([records.offsets[inside], [shard.num_bytes]])
        filled = (starts == np.concatenate([[0], ends])).all()
        if int(inside.sum()) != shard.num_records or not filled:
            reason = f"its records do not fill {shard.name}"
            yield Damage(file=name, reason=reason)


def _read_records(
    folder: ShardFolder, split: str, records: Records
) -> Iterator[dict[str, Any] | str]:
    """Reads and decodes all records; yields their values, or why there are none."""
    paths = tf.constant([folder.shard_path(s) for s in folder.split_shards(split)])
    context_keys = tuple(parsing.context_features(folder.clip))

    def read(shard_index: tf.Tensor, offset: tf.Tensor) -> dict[str, tf.Tensor]:
        serialized = read_record(tf.gather(paths, shard_index), offset)
        parsed = parsing.parse_clip(serialized, folder.clip, folder.codec, context_keys)
        frames = decode_frames.decode_frames(parsed, folder.clip, folder.codec)
        values = {key: parsed[key] for key in context_keys}
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

    clips = tf.data.Dataset.from_tensor_slices((records.shard_indices, records.offsets))
    # In order, so that an error belongs to the next record in turn.
    clips = iter(clips.map(read, tf.data.AUTOTUNE, deterministic=True))
    for _ in range(len(records)):
        yield _next_values(clips)


def _next_values(clips: Iterator[dict[str, tf.Tensor]]) -> dict[str, Any] | str:
    """Returns the next element, or why there is none; the iterator stays usable."""
    try:
        return {key: value.numpy() for key, value in next(clips).items()}
    except tf.errors.DataLossError:
        return "its checksum does not fit its bytes"
    except tf.errors.OpError as error:
        return _first_words(error.message)


def _stored_crc(path: str, records: Records, k: int) -> int:
    """Reads the masked CRC-32C that follows a proto."""
    with tf.io.gfile.GFile(path, "rb") as file:
        file.seek(int(records.offsets[k] + HEADER_BYTES + records.num_bytes[k]))
        return int.from_bytes(file.read(CRC_BYTES), "little")


def _disagreement(
    folder: ShardFolder, records: Records, k: int, values: Mapping[str, Any]
) -> str | None:
    """Returns how a record differs from the index, or contradicts itself."""
    clip = folder.clip
    label = int(records.labels[k])
    if not 0 <= label < folder.num_classes:
        return f"label {label} is none of the {folder.num_classes} glosses"
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
    return None


def _size_of(path: str) -> int | None:
    try:
        return tf.io.gfile.stat(path).length
    except tf.errors.NotFoundError:
        return None


def _first_words(message: str) -> str:
    """Shortens a message of TensorFlow to what it says of the record."""
    # The name of the transformation precedes it, and the graph's nodes follow it.
    words = " ".join(message.split("[[")[0].split()).split("::ParallelMapV2: ")[-1]
    # TensorFlow says this of an offset past the end of a file.
    return "the file ends before it" if "was empty" in words else words[:200].strip()

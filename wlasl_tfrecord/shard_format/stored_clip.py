"""One stored clip, read by its position: for pictures, not for training."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.errors import RecordError
from wlasl_tfrecord.shard_format.decode_frames import decode_frames
from wlasl_tfrecord.shard_format.parsing import parse_clip
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_records
from wlasl_tfrecord.shard_format.tfrecord import (
    CRC_BYTES,
    FRAME_BYTES,
    HEADER_BYTES,
    header,
    masked_crc,
)
from wlasl_tfrecord.storage.contents import read_bytes

__all__ = ["read_clip"]


def read_clip(folder: ShardFolder, split: str, record: int) -> NDArray[np.uint8]:
    """Reads the frames of one clip.

    Args:
        folder: The folder.
        split: The split of the clip.
        record: Its position in the table of records of the split.

    Returns:
        uint8 [T, H, W, 3], RGB.

    Raises:
        ShardFolderError: If a table of records is damaged.
        RecordError: If the record is damaged.
    """
    records = load_records(folder, split)
    shard = folder.split_shards(split)[records.shard_indices[record]]
    path = folder.shard_path(shard)
    offset = int(records.offsets[record])
    try:
        num_bytes = int(records.num_bytes[record])
        stored = read_bytes(path, offset, num_bytes + FRAME_BYTES)
        proto, crc = stored[HEADER_BYTES:-CRC_BYTES], int(records.crcs[record])
        if stored[:HEADER_BYTES] != header(num_bytes) or masked_crc([proto]) != crc:
            raise ValueError("it is not the one of the index")
        parsed = parse_clip(tf.constant(proto), folder.clip, folder.codec, ())
        return decode_frames(parsed, folder.clip, folder.codec).numpy()
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise RecordError(
            f"{path}: the record of {records.video_ids[record]} is damaged; "
            "bin/inspect --verify says what is wrong"
        ) from error

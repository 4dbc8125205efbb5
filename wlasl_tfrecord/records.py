"""One record of a shard, read by its offset."""

import tensorflow as tf

__all__ = ["read_record"]


def read_record(path: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """Reads the record at an offset of a file; works eagerly and inside `Dataset.map`.

    `FixedLengthRecordDataset` would come to the offset by reading all before it.

    Args:
        path: string [], a shard.
        offset: int64 [], where the record starts, at its length field.

    Returns:
        string [], the proto.

    Raises:
        tf.errors.DataLossError: If length or bytes do not fit their checksums.
        tf.errors.InvalidArgumentError: If the file ends before the record starts.
    """
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type="", buffer_size=0, byte_offsets=[offset]
    )
    spec = tf.TensorSpec([], tf.string)
    dataset = tf.data.experimental.from_variant(variant, spec)
    return dataset.take(1).get_single_element()

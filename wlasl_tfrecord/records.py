"""One record of a shard, read by its offset."""

import tensorflow as tf

__all__ = ["read_record"]


def read_record(
    path: tf.Tensor, offset: tf.Tensor, *, or_empty: bool = False
) -> tf.Tensor:
    """Reads the record at an offset of a file; works eagerly and inside `Dataset.map`.

    TensorFlow's reader checks the record's CRC. Without a buffer it reads straight into
    the string; with one every byte is copied once more. `FixedLengthRecordDataset`
    would come to the offset by reading all before it.

    Args:
        path: string [], a shard.
        offset: int64 [], where the record starts, at its length field.
        or_empty: Give an empty string in place of a damaged record.

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
    # `take` leaves the records behind this one alone.
    record = tf.data.experimental.from_variant(variant, spec).take(1)
    if or_empty:
        nothing = tf.data.Dataset.from_tensors("")
        record = record.ignore_errors().concatenate(nothing).take(1)
    return record.get_single_element()

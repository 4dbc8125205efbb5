"""Records framed without TensorFlow are those that TensorFlow writes and reads."""

import random

import tensorflow as tf

from wlasl_tfrecord import tfrecords


def test_a_record_has_the_bytes_that_tensorflow_writes(tmp_path):
    generator = random.Random(0)
    protos = [generator.randbytes(n) for n in (1, 3, 4, 7, 100, 65_536, 3_000_001)]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for proto in protos:
            writer.write(proto)
    ours, offsets = b"", []
    for proto in protos:
        offsets.append(len(ours))
        crc = tfrecords.masked_crc([proto[:2], memoryview(bytearray(proto))[2:]])
        ours += tfrecords.header(len(proto)) + proto + tfrecords.footer(crc)
    assert ours == (tmp_path / "theirs").read_bytes()
    with (tmp_path / "theirs").open("rb") as file:
        for proto, offset in zip(protos, offsets):
            stored = tfrecords.stored_crc(file.fileno(), offset, len(proto))
            assert stored == tfrecords.masked_crc([proto])
    assert len(ours) == sum(len(p) + tfrecords.FRAME_BYTES for p in protos)

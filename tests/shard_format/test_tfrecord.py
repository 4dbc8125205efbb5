"""Records framed without TensorFlow are those that TensorFlow writes and reads."""

import random

import crc32c
import pytest
import tensorflow as tf

from wlasl_tfrecord.shard_format import tfrecord


def test_a_record_has_the_bytes_that_tensorflow_writes(tmp_path):
    generator = random.Random(0)
    protos = [generator.randbytes(n) for n in (1, 3, 4, 7, 100, 65_536, 3_000_001)]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for proto in protos:
            writer.write(proto)
    ours, offsets = b"", []
    for proto in protos:
        offsets.append(len(ours))
        crc = tfrecord.masked_crc([proto[:2], memoryview(bytearray(proto))[2:]])
        ours += tfrecord.header(len(proto)) + proto + tfrecord.footer(crc)
    assert ours == (tmp_path / "theirs").read_bytes()
    with (tmp_path / "theirs").open("rb") as file:
        for proto, offset in zip(protos, offsets):
            stored = tfrecord.stored_crc(file.fileno(), offset, len(proto))
            assert stored == tfrecord.masked_crc([proto])
    assert len(ours) == sum(len(p) + tfrecord.FRAME_BYTES for p in protos)


def test_the_optional_checksum_of_awscrt_is_that_of_crc32c():
    awscrt = pytest.importorskip("awscrt.checksums")
    for piece in (b"", b"123456789", random.Random(0).randbytes(100_001)):
        for start in (0, 12345):
            assert awscrt.crc32c(piece, start) == crc32c.crc32c(piece, start)

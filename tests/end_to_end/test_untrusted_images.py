"""Images that a decoder would take gigabytes or minutes for, in both readers."""

import resource
import struct
import zlib

import cv2
import numpy as np
import pytest
import tensorflow as tf
from drawn_shards import rewrite

from wlasl_tfrecord import input_fn
from wlasl_tfrecord.errors import RecordError
from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
from wlasl_tfrecord.inspection.verify_records import verify_split
from wlasl_tfrecord.shard_format.shard_folder import load_folder

# A scan that changes nothing; the decoder goes over all pixels for each.
SCANS = b"\xff\xda\0\x08\1\1\0\1\5\2" * 2501
TEXT = b"a\0\0" + zlib.compress(bytes(100), 9)
TEXT = struct.pack(">I4s", len(TEXT), b"zTXt") + TEXT
TEXTS = (TEXT + struct.pack(">I", zlib.crc32(TEXT[4:]))) * 11


@pytest.mark.parametrize("reader", ["direct", "graph"])
@pytest.mark.parametrize("codec", ["jpeg", "png"])
def test_an_image_of_another_size_is_not_decoded(write_folder, tmp_path, reader, codec):
    directory = write_folder(tmp_path / "shards", {"val": 8}, codec=codec)
    # 6000 x 6000 pixels: a hundred megabytes for each of the frames.
    huge = np.zeros((6000, 6000, 3), np.uint8)
    bomb = cv2.imencode({"jpeg": ".jpg", "png": ".png"}[codec], huge)[1].tobytes()

    def put_bombs(number, proto):
        if number == 3:
            for image in proto.feature_lists.feature_list["image/encoded"].feature:
                image.bytes_list.value[0] = bomb

    rewrite(directory, put_bombs, "val")
    before = peak_bytes()
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"image|video_id val00003"
    ):
        list(input_fn(directory, "val", 8, reader=reader))
    assert peak_bytes() - before < 100 * 2**20


@pytest.mark.parametrize(
    ("codec", "parts", "tail", "num_parts"),
    # The tail: where an image ends, or its last chunk begins.
    [("jpeg", SCANS, 2, 2506), ("png", TEXTS, 12, 11)],
)
def test_an_image_that_takes_minutes_is_not_decoded(
    write_folder, tmp_path, codec, parts, tail, num_parts
):
    directory = write_folder(tmp_path / "shards", {"val": 2}, codec=codec)

    def add_parts(number, proto):
        if number == 0:
            image = proto.feature_lists.feature_list["image/encoded"].feature[0]
            (value,) = image.bytes_list.value
            image.bytes_list.value[0] = value[:-tail] + parts + value[-tail:]

    rewrite(directory, add_parts, "val")
    with pytest.raises(RecordError, match="video_id val00000, is damaged") as caught:
        ShardReader(directory, "val").read_batch([0])
    message = f"its images have {num_parts} costly parts"
    assert str(caught.value.__cause__) == message
    ShardReader(directory, "val").read_batch([1])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"than \d+ costly parts"):
        list(input_fn(directory, "val", 2, reader="graph"))
    damage, whole = verify_split(load_folder(directory), "val")
    assert "costly parts" in damage.reason
    assert damage.video_id == "val00000"
    assert whole is None


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

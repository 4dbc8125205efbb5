import numpy as np
import pytest
import tensorflow as tf
from drawn_shards import drawn_frames

from wlasl_tfrecord.shard_format.record_bytes import find_frames, find_images
from wlasl_tfrecord.shard_format.shard_folder import load_folder


def first_proto(write_folder, tmp_path, codec):
    folder = load_folder(write_folder(tmp_path / codec, codec=codec))
    path = folder.shard_path(folder.split_shards("train")[0])
    return next(iter(tf.data.TFRecordDataset(path))).numpy(), folder.clip


def test_the_frames_of_a_raw_record_are_found(write_folder, tmp_path):
    proto, clip = first_proto(write_folder, tmp_path, "raw")
    place = find_frames(proto)
    found = np.frombuffer(proto[place.start : place.stop], np.uint8)
    np.testing.assert_array_equal(
        found.reshape(clip.shape), drawn_frames(0, clip.shape)
    )
    # They are found by the first bytes alone, which do not hold them.
    assert find_frames(proto[:200]) == place
    assert find_frames(proto[:20]) is None


def test_frames_are_found_wherever_another_writer_puts_them():
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"pixels"]))
    other = tf.train.Feature(int64_list=tf.train.Int64List(value=[-1, 300]))
    for keys in (["a", "clip/frames"], ["clip/frames", "z"]):
        # The order of the keys is that of their insertion, unless asked for.
        features = tf.train.Features(
            feature={k: feature if k == "clip/frames" else other for k in keys}
        )
        proto = tf.train.Example(features=features).SerializeToString()
        place = find_frames(proto)
        assert proto[place.start : place.stop] == b"pixels"


@pytest.mark.parametrize("codec", ["jpeg", "png"])
def test_the_images_of_a_record_are_found_in_their_order(write_folder, tmp_path, codec):
    proto, _ = first_proto(write_folder, tmp_path, codec)
    example = tf.train.SequenceExample.FromString(proto)
    images = example.feature_lists.feature_list["image/encoded"].feature
    assert [proto[place.start : place.stop] for place in find_images(proto)] == [
        image.bytes_list.value[0] for image in images
    ]


def test_a_proto_without_frames_has_none():
    assert find_frames(b"") is None
    assert find_images(b"") == []
    proto = tf.train.Example().SerializeToString()
    assert find_frames(proto) is None


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (b"\x0b", "a field of wire type 3"),
        (b"\x80", "it ends within a number"),
        (b"\xff" * 11, "a number of more than ten bytes"),
        (b"\x0a\x11\x0a\x0f\x0a\x0bclip/frames\x12\x00", "a feature has no bytes"),
    ],
)
def test_bytes_that_are_no_proto_are_refused(proto, message):
    with pytest.raises(ValueError, match=message):
        find_frames(proto)

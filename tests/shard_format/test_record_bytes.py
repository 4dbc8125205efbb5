import re

import numpy as np
import pytest
import tensorflow as tf
from drawn_shards import drawn_frames, drawn_landmarks

from wlasl_tfrecord.shard_format import record_bytes
from wlasl_tfrecord.shard_format.parsing import parse_landmarks
from wlasl_tfrecord.shard_format.record_bytes import (
    count_costly_parts,
    find_frames,
    find_images,
    read_landmarks,
)
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
    # A record may have millions, of no byte each.
    assert len(find_images(proto, 2)) == 2
    assert [proto[place.start : place.stop] for place in find_images(proto, 99)] == [
        image.bytes_list.value[0] for image in images
    ]


def test_images_are_found_however_their_features_are_written():
    def feature(*values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    images = [b"one", b"", b"three" * 5000, b"four", b"five"]
    features = [*map(feature, images[:3]), feature(b"four", b"more"), feature(b"five")]
    lists = {"image/encoded": tf.train.FeatureList(feature=features)}
    example = tf.train.SequenceExample(
        feature_lists=tf.train.FeatureLists(feature_list=lists)
    )
    proto = example.SerializeToString()
    places = find_images(proto, 9)
    assert [proto[place.start : place.stop] for place in places] == images


def test_damaged_headers_of_images_are_read_as_those_of_any_field(
    write_folder, tmp_path, monkeypatch
):
    proto, _ = first_proto(write_folder, tmp_path, "jpeg")

    def found(changed):
        try:
            return find_images(changed, 99)
        except ValueError as error:
            return str(error)

    rng = np.random.default_rng(0)
    changes = []
    starts = [place.start for place in find_images(proto, 99)]
    for _ in range(500):
        changed = bytearray(proto)
        changed[rng.choice(starts) - rng.integers(1, 9)] = rng.integers(256)
        changes.append(bytes(changed))
    quickly = [found(changed) for changed in changes]
    monkeypatch.setattr(record_bytes, "_NESTED", re.compile(b"(?!)"))
    assert quickly == [found(changed) for changed in changes]
    assert len(set(map(str, quickly))) > 20


@pytest.mark.parametrize(
    ("codec", "marks"), [("jpeg", [b"\xff\xda"]), ("png", [b"zTXt", b"iTXt"])]
)
def test_costly_parts_are_counted_wherever_they_begin(codec, marks):
    for start in range(9):
        parts = [mark + b"\xff" * rest for mark in marks for rest in range(6)]
        proto = b"\xff" * start + b"".join(parts)
        assert count_costly_parts(memoryview(proto), codec) == len(parts)
    for size in range(len(marks[0])):
        assert count_costly_parts(memoryview(marks[0][:size]), codec) == 0


def test_a_proto_without_frames_has_none():
    assert find_frames(b"") is None
    assert find_images(b"", 1) == []
    proto = tf.train.Example().SerializeToString()
    assert find_frames(proto) is None


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (b"\x0b", "a field of wire type 3"),
        (b"\x80", "it ends within a number"),
        (b"\xff" * 11, "a number of more than ten bytes"),
        (b"\x0a" + b"\xff" * 9 + b"\x01", "a field of 18446744073709551615 bytes"),
        (b"\x0a\x11\x0a\x0f\x0a\x0bclip/frames\x12\x00", "a feature has no bytes"),
    ],
)
def test_bytes_that_are_no_proto_are_refused(proto, message):
    with pytest.raises(ValueError, match=message):
        find_frames(proto)


@pytest.mark.parametrize("codec", ["raw", "jpeg"])
@pytest.mark.parametrize("num_frames", [1, 5])
def test_landmarks_are_read_as_tensorflow_does(
    write_folder, tmp_path, codec, num_frames
):
    directory = write_folder(
        tmp_path / "shards",
        {"train": 1},
        codec=codec,
        num_frames=num_frames,
        num_shards=1,
        landmarks=True,
    )
    clip = load_folder(directory).clip
    (proto,) = tf.data.TFRecordDataset(str(next(directory.glob("*.tfrecord-*"))))
    drawn = drawn_landmarks(0, num_frames)
    np.testing.assert_array_equal(read_landmarks(proto.numpy(), clip, codec), drawn)
    np.testing.assert_array_equal(parse_landmarks(proto, clip, codec), drawn)
    mapped = tf.data.Dataset.from_tensors(proto).map(
        lambda serialized: parse_landmarks(serialized, clip, codec)
    )
    assert mapped.element_spec.shape == (num_frames, 67, 3)
    np.testing.assert_array_equal(next(iter(mapped)), drawn)


def test_floats_that_are_not_packed_are_read(write_folder, tmp_path):
    directory = write_folder(
        tmp_path / "shards", {"train": 1}, num_shards=1, landmarks=True
    )
    clip = load_folder(directory).clip
    (proto,) = tf.data.TFRecordDataset(str(next(directory.glob("*.tfrecord-*"))))
    example = tf.train.Example.FromString(proto.numpy())
    features = example.features.feature
    # Field 1 of a FloatList, of wire type 5, once a value.
    key = "pose/region/label/confidence"
    values = np.float32(features[key].float_list.value)
    plain = b"".join(b"\x0d" + value.tobytes() for value in values)
    del features[key]
    entry = field(1, field(1, key.encode()) + field(2, field(2, plain)))
    unpacked = field(1, example.features.SerializeToString() + entry)
    np.testing.assert_array_equal(
        read_landmarks(unpacked, clip, "raw"), drawn_landmarks(0, 5)
    )
    cut = field(
        1, field(1, field(1, key.encode()) + field(2, field(2, b"\x0a\x03abc")))
    )
    with pytest.raises(ValueError, match="a feature has no floats"):
        read_landmarks(cut, clip, "raw")


def field(number, content):
    """A field of bytes: its number, its length, its content."""
    length, varint = len(content), bytearray()
    while length > 0x7F:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *varint, length]) + content

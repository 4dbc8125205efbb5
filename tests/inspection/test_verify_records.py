"""The records of a folder, checked one by one and against the index."""

import dataclasses
import json
import os
import random
import resource

import numpy as np
import pytest
import tensorflow as tf
from drawn_shards import context_of, rewrite

from wlasl_tfrecord.inspection.verify_files import Damage, verify_files
from wlasl_tfrecord.inspection.verify_records import verify_split
from wlasl_tfrecord.shard_format import clip_proto, layout, shard_folder, tfrecord
from wlasl_tfrecord.shard_format.folder_files import folder_files


def load(directory):
    return shard_folder.load_folder(directory, check_shards=False)


def faults(directory, split="train"):
    folder = load(directory)
    found = [damage for damage in verify_split(folder, split) if damage is not None]
    return [str(damage) for damage in [*verify_files(folder), *found]]


@pytest.mark.parametrize("codec", ["raw", "jpeg", "png"])
def test_a_whole_folder_has_no_faults(tmp_path, write_folder, codec):
    directory = write_folder(tmp_path / "shards", codec=codec)
    folder = load(directory)
    assert verify_files(folder) == []
    assert list(verify_split(folder, "train")) == [None] * 7
    assert list(verify_split(folder, "val")) == [None] * 3


@pytest.mark.parametrize("codec", ["raw", "jpeg"])
def test_one_flipped_bit_is_found_in_its_record_and_no_other(
    tmp_path, write_folder, codec
):
    directory = write_folder(tmp_path / "shards", codec=codec)
    records = shard_folder.load_records(load(directory), "train")
    path = directory / layout.shard_name("train", 1, 2)
    data = bytearray(path.read_bytes())
    # Records 3 to 6 lie in the second shard; the flipped bit in the middle of record 5.
    position = int(records.offsets[5] + 12 + records.num_bytes[5] // 2)
    data[position] ^= 1
    path.write_bytes(data)
    assert faults(directory) == [
        f"{path.name}: record 2 (train00005): its checksum does not fit its bytes"
    ]


@pytest.mark.parametrize("part", [0, 9, -2])
def test_a_damaged_length_or_checksum_is_found(tmp_path, write_folder, part):
    directory = write_folder(tmp_path / "shards")
    records = shard_folder.load_records(load(directory), "train")
    path = directory / layout.shard_name("train", 0, 2)
    data = bytearray(path.read_bytes())
    # In the length, in its checksum, in the proto's checksum.
    place = records.offsets[1] if part >= 0 else records.offsets[2]
    data[int(place) + part] ^= 0x40
    path.write_bytes(data)
    assert faults(directory) == [
        f"{path.name}: record 1 (train00001): its checksum does not fit its bytes"
    ]


def test_any_flipped_bit_of_a_shard_damages_one_record(tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards", {"train": 7}, num_shards=1)
    path = directory / layout.shard_name("train", 0, 1)
    records = shard_folder.load_records(load(directory), "train")
    whole = path.read_bytes()
    generator = random.Random(0)
    for _ in range(25):
        position = generator.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[position] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        number = int(np.searchsorted(records.offsets, position, "right")) - 1
        (fault,) = faults(directory)
        assert fault.startswith(f"{path.name}: record {number} (train{number:05d}): ")


def test_a_truncated_shard_names_every_record_that_is_lost(tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards")
    records = shard_folder.load_records(load(directory), "train")
    path = directory / layout.shard_name("train", 1, 2)
    size = path.stat().st_size
    cut = int(records.offsets[5]) + 100
    path.write_bytes(path.read_bytes()[:cut])
    assert faults(directory) == [
        f"{path.name}: the file has {cut} bytes, the index says {size}",
        f"{path.name}: record 2 (train00005): its checksum does not fit its bytes",
        f"{path.name}: record 3 (train00006): the file ends before it",
    ]


def test_a_missing_shard_is_one_fault(tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards")
    (directory / layout.shard_name("train", 1, 2)).unlink()
    assert faults(directory) == [
        "wlasl-train.tfrecord-00001-of-00002: the file is missing"
    ]


def test_damaged_tables_are_named(tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards")
    table = directory / "wlasl-train.index.csv"
    table.write_text(table.read_text().replace("train00003", "train00004"))
    (fault,) = faults(directory)
    assert fault.startswith("wlasl-train.index.csv: ")
    assert "is not the table that was written with these shards" in fault


def test_an_index_that_leaves_gaps_or_repeats_ids_is_named(tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards")
    folder = load(directory)
    tables = {s: shard_folder.load_records(folder, s) for s in folder.splits}
    ids = ("train00001", *tables["train"].video_ids[1:])
    offsets = tables["train"].offsets.copy()
    offsets[2] += 1
    tables["train"] = dataclasses.replace(
        tables["train"], video_ids=ids, offsets=offsets
    )
    features = clip_proto.tfds_features(folder.clip, folder.codec, folder.num_classes)
    for name, content in folder_files(folder, tables, features).items():
        (directory / name).write_bytes(content)
    (fault,) = faults(directory)
    assert fault.startswith("wlasl-train.index.csv: ")
    assert "is damaged (line 4: offset_bytes cannot be" in fault


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("clip/label/index", 2, "clip/label/index is 2, the index says 1"),
        (
            "clip/label/text",
            b"dog",
            "clip/label/text is b'dog', the index says b'drink'",
        ),
        ("example/id", b"x", "example/id is b'x', the index says b'train00004'"),
        ("wlasl/signer_id", 77, "wlasl/signer_id is 77, the index says 0"),
        ("image/height", 15, "image/height is 15, the index says 16"),
        ("image/format", b"GIF", "image/format is b'GIF', the index says b'"),
        ("wlasl/num_distinct_frames", 4, "wlasl/num_distinct_frames is 4, the index"),
        ("wlasl/source/num_frames", 2, "wlasl/frame_indices are not frames of the v"),
    ],
)
@pytest.mark.parametrize("codec", ["raw", "png"])
def test_a_record_that_says_something_else_is_named(
    tmp_path, write_folder, codec, key, value, reason
):
    directory = write_folder(tmp_path / "shards", codec=codec)

    def change(number, proto):
        if number == 4:
            feature = context_of(proto).feature[key]
            if isinstance(value, bytes):
                feature.bytes_list.value[:] = [value]
            else:
                feature.int64_list.value[:] = [value]

    rewrite(directory, change)
    (fault,) = faults(directory)
    place = "wlasl-train.tfrecord-00001-of-00002: record 1 (train00004): "
    assert fault.startswith(place + reason)


def test_a_record_that_contradicts_itself_is_named(tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards")

    def change(number, proto):
        feature = proto.features.feature
        if number == 0:
            feature["wlasl/frame_indices"].int64_list.value[:] = [0, 1, 3, 2, 4]
        if number == 1:
            feature["wlasl/frame_indices"].int64_list.value[:] = [0, 1, 2, 2, 4]
        if number == 2:
            feature["image/timestamp"].int64_list.value[1] = 0
        if number == 3:
            del feature["clip/media_id"]
        if number == 4:
            feature["wlasl/frame_indices"].int64_list.value[:] = [-1, 0, 1, 2, 3]

    rewrite(directory, change)
    reasons = [fault.split(": ", 2)[-1] for fault in faults(directory)]
    assert reasons[:3] == [
        "wlasl/frame_indices are not frames of the video, in order",
        "wlasl/num_distinct_frames is not what wlasl/frame_indices say",
        "image/timestamp does not grow",
    ]
    assert "clip/media_id" in reasons[3]
    assert reasons[4:] == reasons[:1]


def test_damaged_landmarks_are_named(tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards", {"train": 3}, landmarks=True)
    key = "left_hand/region/point/x"

    def change(number, proto):
        if number == 1:
            proto.features.feature[key].float_list.value[7] = float("nan")
        if number == 2:
            del proto.features.feature[key].float_list.value[7]

    assert faults(directory) == []
    rewrite(directory, change)
    not_finite, missing = (fault.split(": ", 2)[-1] for fault in faults(directory))
    assert not_finite == "its landmarks are not finite"
    assert key in missing


def test_a_record_of_another_run_is_named(tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards")
    other = write_folder(tmp_path / "other")

    def brighten(number, proto):
        if number == 2:
            frames = proto.features.feature["clip/frames"].bytes_list
            frames.value[0] = bytes(255 - value for value in frames.value[0])

    rewrite(other, brighten)
    # Whole in itself, and of the same size: only its checksum tells.
    name = layout.shard_name("train", 0, 2)
    (directory / name).write_bytes((other / name).read_bytes())
    assert faults(directory) == [
        f"{name}: record 2 (train00002): it is not the record that the index was "
        "written with"
    ]


def test_a_label_without_a_gloss_is_named(tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards", {"train": 6}, glosses=("a", "b", "c"))
    path = directory / "index.json"
    content = json.loads(path.read_text())
    content["glosses"] = ["a", "b"]
    path.write_text(json.dumps(content))
    assert "is damaged (line 4: label cannot be 2)" in faults(directory)[-1]


def test_a_length_beyond_all_memory_is_not_believed(tmp_path, write_folder):
    # A forged one has a right checksum: TensorFlow takes memory for it, and crashes.
    directory = write_folder(tmp_path / "shards")
    records = shard_folder.load_records(load(directory), "train")
    path = directory / layout.shard_name("train", 0, 2)
    data = bytearray(path.read_bytes())
    place = int(records.offsets[1])
    data[place : place + 12] = tfrecord.header(2**40)
    path.write_bytes(data)
    assert faults(directory) == [
        f"{path.name}: record 1 (train00001): its length is {2**40}, the index says "
        f"{records.num_bytes[1]}"
    ]


@pytest.mark.parametrize("codec", ["png", "jpeg"])
def test_an_image_of_another_size_is_not_decoded(tmp_path, write_folder, codec):
    directory = write_folder(tmp_path / "s", {"train": 2}, codec=codec, num_shards=1)
    encode = tf.io.encode_png if codec == "png" else tf.io.encode_jpeg
    # 6000 x 6000 pixels: a hundred megabytes for each of the frames.
    huge = encode(tf.zeros((6000, 6000, 3), tf.uint8)).numpy()

    def replace(number, proto):
        if number == 1:
            for image in proto.feature_lists.feature_list["image/encoded"].feature:
                image.bytes_list.value[0] = huge

    rewrite(directory, replace)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (fault,) = faults(directory)
    assert f"an image of the record is no {codec} of 24 x 16" in fault
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100 * 1024


def test_a_shard_that_is_a_pipe_is_not_waited_for(tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards")
    path = directory / layout.shard_name("train", 1, 2)
    path.unlink()
    os.mkfifo(path)
    assert faults(directory) == [
        f"{path.name}: the file cannot be read: not a regular file"
    ]


def test_frames_of_another_shape_are_named(tmp_path, write_folder):
    raw = write_folder(tmp_path / "raw", {"train": 2}, num_shards=1)

    def shorten(number, proto):
        if number == 1:
            frames = proto.features.feature["clip/frames"].bytes_list
            frames.value[0] = frames.value[0][:-3]

    rewrite(raw, shorten)
    (fault,) = faults(raw)
    assert "record 1 (train00001): " in fault
    assert "5757" in fault

    png = write_folder(tmp_path / "png", {"train": 3}, codec="png", num_shards=1)

    def replace(number, proto):
        images = proto.feature_lists.feature_list["image/encoded"].feature
        if number == 0:
            small = tf.io.encode_png(tf.zeros((4, 4, 3), tf.uint8)).numpy()
            images[2].bytes_list.value[0] = small
        if number == 1:
            images[2].bytes_list.value[0] = b"no picture"
        if number == 2:
            del images[4]

    rewrite(png, replace)
    shape, picture, count = faults(png)
    assert "record 0 (train00000): " in shape
    assert "record 1 (train00001): " in picture
    assert "record 2 (train00002): " in count
    assert all(len(fault) < 320 and "\n" not in fault for fault in faults(png))


def test_damage_says_where_it_is():
    damage = Damage(file="a", reason="it is gone")
    assert str(damage) == "a: it is gone"
    damage = Damage(file="a", reason="it is bad", record=3, video_id="00335")
    assert str(damage) == "a: record 3 (00335): it is bad"

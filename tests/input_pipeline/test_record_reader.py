import logging
import os
import re
import shutil
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from drawn_shards import drawn_frames

from wlasl_tfrecord import input_fn
from wlasl_tfrecord.errors import ShardFolderError
from wlasl_tfrecord.input_pipeline.record_reader import (
    RecordReader,
    readable_records,
)
from wlasl_tfrecord.shard_format import tfrecord
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.decode_frames import decode_encoded
from wlasl_tfrecord.shard_format.parsing import parse_frames
from wlasl_tfrecord.shard_format.shard_folder import load_folder, load_records

SHAPE = (5, 16, 24, 3)
BAD = 3


@pytest.fixture(scope="module", params=["raw", "jpeg"])
def healthy(request, write_folder, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param) / "shards"
    return write_folder(directory, {"train": 8, "val": 8}, codec=request.param)


@pytest.fixture(params=["direct", "graph"])
def batches_of(request):
    """input_fn, in each way to read."""
    return partial(input_fn, reader=request.param)


@pytest.fixture
def damaged(healthy, tmp_path):
    """A folder with one wrong byte in the middle of record 3 of both splits."""
    directory = tmp_path / "damaged"
    shutil.copytree(healthy, directory)
    for split in ("train", "val"):
        flip_byte(directory, split, BAD)
    return directory


def flip_byte(directory, split, record):
    folder = load_folder(directory)
    records = load_records(folder, split)
    shard = folder.split_shards(split)[records.shard_indices[record]]
    with open(folder.shard_path(shard), "r+b") as file:
        middle = int(records.offsets[record] + 12 + records.num_bytes[record] // 2)
        file.seek(middle)
        byte = file.read(1)[0]
        file.seek(middle)
        file.write(bytes([byte ^ 0xFF]))


def test_a_reader_gives_the_record_it_is_asked_for(healthy):
    folder = load_folder(healthy)
    records = load_records(folder, "train")
    read = RecordReader(folder, "train", records, max_bad_records=0, substitute=False)

    def clip(record):
        encoded = read(record)[1]["encoded"]
        return decode_encoded(encoded, folder.clip, folder.codec)

    mapped = list(
        tf.data.Dataset.from_tensor_slices([5, 0, 7]).map(
            lambda n: clip(tf.cast(n, tf.int64))
        )
    )
    for record, frames in zip([5, 0, 7], mapped):
        eager = clip(tf.constant(record, tf.int64))
        np.testing.assert_array_equal(eager, frames)
        drawn = drawn_frames(record, SHAPE).astype(int)
        assert np.abs(frames.numpy().astype(int) - drawn).mean() < 3


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_damaged_record_ends_the_input_with_its_name(batches_of, damaged, split):
    dataset = batches_of(damaged, split, 4)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        list(dataset)
    assert re.search(
        rf"wlasl-{split}\.tfrecord-00000-of-00002: record 3 at byte \d+, video_id "
        rf"{split}00003, is damaged or not the clip that the index says; more than "
        "max_bad_records=0",
        str(caught.value),
    )


@pytest.mark.parametrize("element", ["dict", "weighted", "pair"])
def test_training_puts_the_next_record_in_place_of_a_damaged_one(
    batches_of, damaged, element
):
    options = {"augment": False, "element": element, "max_bad_records": 1}
    batches = list(batches_of(damaged, "train", 4, **options))
    frames = np.concatenate(
        [(b["frames"] if element == "dict" else b[0]) for b in batches]
    )
    assert frames.shape == (8, *SHAPE)
    if element == "dict":
        seen = sorted(int(r) for b in batches for r in b["record"])
        assert seen == [0, 1, 2, 4, 4, 5, 6, 7]
        assert all(float(w) == 1 for b in batches for w in b["weight"])
        for batch in batches:
            for record, video_id in zip(batch["record"], batch["video_id"]):
                assert video_id.numpy().decode() == f"train{int(record):05d}"


def test_a_run_with_a_damaged_record_can_be_resumed_too(batches_of, damaged):
    options = {"element": "dict", "max_bad_records": 1, "num_epochs": 2}
    whole = list(batches_of(damaged, "train", 4, **options))
    tail = list(batches_of(damaged, "train", 4, start_step=3, **options))
    tf.nest.map_structure(np.testing.assert_array_equal, whole[3:], tail)


def test_evaluation_gives_a_damaged_clip_no_weight(batches_of, damaged):
    batches = list(batches_of(damaged, "val", 4, element="weighted", max_bad_records=1))
    weights = np.concatenate([w for _, _, w in batches])
    assert weights.tolist() == [1, 1, 1, 0, 1, 1, 1, 1]
    assert not batches[0][0][BAD].numpy().any()
    pairs = list(batches_of(damaged, "val", 4, max_bad_records=1))
    assert [labels.numpy().tolist() for _, labels in pairs] == [[0, 1, 2], [1, 2, 0, 1]]
    np.testing.assert_array_equal(pairs[0][0], batches[0][0][:3])


def test_each_damaged_record_is_named_once_in_the_log(batches_of, damaged, caplog):
    with caplog.at_level(logging.WARNING, logger="absl"):
        dataset = batches_of(damaged, "train", 4, num_epochs=3, max_bad_records=2)
        assert len(list(dataset)) == 6
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert "video_id train00003" in messages[0]
    assert messages[0].endswith("passed over, 1 of at most 2")


def test_one_record_too_many_ends_the_input(batches_of, damaged):
    flip_byte(damaged, "train", 6)
    assert len(list(batches_of(damaged, "train", 4, max_bad_records=2))) == 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="max_bad_records=1"):
        list(batches_of(damaged, "train", 4, max_bad_records=1))


def test_a_split_without_a_whole_record_ends_too(batches_of, damaged):
    for record in (0, 1, 2, 4, 5, 6, 7):
        flip_byte(damaged, "train", record)
    with pytest.raises(tf.errors.InvalidArgumentError, match="is damaged"):
        list(batches_of(damaged, "train", 4, max_bad_records=1000))


def test_a_file_cut_off_under_the_reader_costs_its_records_alone(
    batches_of, healthy, tmp_path
):
    directory = tmp_path / "cut"
    shutil.copytree(healthy, directory)
    folder = load_folder(directory)
    path = folder.shard_path(folder.split_shards("val")[0])
    dataset = batches_of(directory, "val", 8, element="weighted", max_bad_records=2)
    records = load_records(folder, "val")
    with open(path, "r+b") as file:
        file.truncate(int(records.offsets[2]) + 100)
    _, _, weights = next(iter(dataset))
    assert weights.numpy().tolist() == [1, 1, 0, 0, 1, 1, 1, 1]


def record_range(directory, split, record):
    """Gives the file of a record, and its bytes' range in it."""
    folder = load_folder(directory)
    records = load_records(folder, split)
    shard = folder.split_shards(split)[records.shard_indices[record]]
    start = int(records.offsets[record])
    return folder.shard_path(shard), start, start + int(records.num_bytes[record]) + 16


def swap_records(directory, split, one, other):
    """Puts two records of a file, of one length, into each other's place."""
    path, start, stop = record_range(directory, split, one)
    same_path, other_start, other_stop = record_range(directory, split, other)
    assert path == same_path
    assert stop - start == other_stop - other_start
    with open(path, "r+b") as file:
        data = bytearray(file.read())
        first, second = data[start:stop], data[other_start:other_stop]
        data[start:stop], data[other_start:other_stop] = second, first
        file.seek(0)
        file.write(data)


def test_a_record_in_the_place_of_another_ends_the_input(
    batches_of, write_folder, tmp_path
):
    # Of one gloss: what else differs must not change the length.
    directory = write_folder(tmp_path / "shards", {"train": 8}, glosses=["book"])
    swap_records(directory, "train", 0, 1)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        list(batches_of(directory, "train", 8, training=False))
    assert "record 0 at byte 0, video_id train00000, is damaged or not the clip" in str(
        caught.value
    )
    dataset = batches_of(
        directory, "train", 8, training=False, element="weighted", max_bad_records=2
    )
    assert next(iter(dataset))[2].numpy().tolist() == [0, 0, 1, 1, 1, 1, 1, 1]


def test_shards_of_another_folder_of_the_same_size_are_refused(
    batches_of, write_folder, tmp_path
):
    directory = write_folder(tmp_path / "shards", {"train": 8}, glosses=["book"])
    swap_records(directory, "train", 6, 7)
    with pytest.raises(
        ShardFolderError,
        match=r"train\.tfrecord-00001-of-00002 is not the shard that the index was "
        "written with; run bin/shard again, or copy the folder again",
    ):
        batches_of(directory, "train", 8)


def test_a_shard_that_vanished_after_it_was_listed_is_named(
    batches_of, healthy, tmp_path
):
    directory = tmp_path / "gone"
    shutil.copytree(healthy, directory)
    folder = load_folder(directory)
    path = folder.shard_path(folder.split_shards("train")[1])
    os.remove(path)
    with pytest.raises(ShardFolderError, match=f"cannot read {re.escape(path)} "):
        batches_of(folder, "train", 8)


def test_a_file_that_was_cut_off_before_costs_its_records_alone_too(
    batches_of, healthy, tmp_path
):
    directory = tmp_path / "cut"
    shutil.copytree(healthy, directory)
    path, start, _ = record_range(directory, "val", 2)
    os.truncate(path, start + 100)
    with pytest.raises(ShardFolderError, match=r"has \d+ bytes, the index says \d+"):
        batches_of(directory, "val", 8)
    dataset = batches_of(directory, "val", 8, element="weighted", max_bad_records=2)
    assert next(iter(dataset))[2].numpy().tolist() == [1, 1, 0, 0, 1, 1, 1, 1]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"video_id val0000[23]"):
        list(batches_of(directory, "val", 8, max_bad_records=1))


@pytest.mark.parametrize("codec", ["raw", "jpeg", "png"])
def test_a_record_of_another_shape_is_not_whole(write_folder, tmp_path, codec):
    folder = load_folder(write_folder(tmp_path / codec, codec=codec))
    path = folder.shard_path(folder.split_shards("train")[0])
    serialized = next(iter(tf.data.TFRecordDataset(path)))
    assert parse_frames(serialized, folder.clip, folder.codec)[-1]
    for other in (
        ClipSpec(num_frames=6, height=16, width=24),
        ClipSpec(num_frames=4, height=16, width=24),
        ClipSpec(num_frames=5, height=16, width=25),
        ClipSpec(num_frames=5, height=17, width=24),
    ):
        assert not parse_frames(serialized, other, folder.codec)[-1]


def test_a_negative_number_of_bad_records_is_refused(batches_of, healthy):
    with pytest.raises(ValueError, match="max_bad_records must be at least 0, got -1"):
        batches_of(healthy, max_bad_records=-1)


def forge_length(directory, split, record, num_bytes):
    """Lets a record claim another length, with the checksum that belongs to it."""
    path, start, _ = record_range(directory, split, record)
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(tfrecord.header(num_bytes))


@pytest.mark.parametrize("num_bytes", [2**40, 2**63, 2**64 - 1, 0])
def test_a_length_beyond_all_memory_is_not_believed(
    batches_of, healthy, tmp_path, num_bytes
):
    directory = tmp_path / "forged"
    shutil.copytree(healthy, directory)
    forge_length(directory, "val", BAD, num_bytes)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"video_id val00003, is d"
    ):
        list(batches_of(directory, "val", 4))
    options = {"element": "weighted", "max_bad_records": 1}
    batches = list(batches_of(directory, "val", 4, **options))
    weights = np.concatenate([weights for _, _, weights in batches])
    assert weights.tolist() == [1, 1, 1, 0, 1, 1, 1, 1]
    forge_length(directory, "train", 0, num_bytes)
    options = {"element": "dict", "max_bad_records": 1}
    batches = list(batches_of(directory, "train", 4, **options))
    seen = sorted(int(r) for batch in batches for r in batch["record"])
    assert seen == [1, 1, 2, 3, 4, 5, 6, 7]


def test_a_missing_shard_costs_its_records_alone(batches_of, healthy, tmp_path):
    directory = tmp_path / "gone"
    shutil.copytree(healthy, directory)
    path, _, _ = record_range(directory, "val", 0)
    os.remove(path)
    options = {"element": "weighted", "max_bad_records": 4}
    _, _, weights = next(iter(batches_of(directory, "val", 8, **options)))
    assert weights.numpy().tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_a_split_of_which_nothing_can_be_read_is_named(healthy, tmp_path):
    directory = tmp_path / "gone"
    shutil.copytree(healthy, directory)
    for path in directory.glob("wlasl-val.tfrecord-*"):
        path.unlink()
    with pytest.raises(ShardFolderError, match=r"no record of the val shards in .*"):
        input_fn(directory, "val", 8, reader="graph", max_bad_records=7)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_what_can_be_read_is_known_before_it_is_read(healthy, tmp_path, scheme):
    directory = tmp_path / "forged"
    shutil.copytree(healthy, directory)
    forge_length(directory, "val", BAD, 2**40)
    path, start, _ = record_range(directory, "val", 6)
    os.truncate(path, start + 100)
    folder = load_folder(f"{scheme}{directory}", check_shards=False)
    found = readable_records(folder, "val", load_records(folder, "val"))
    # Of a remote folder the sizes alone: each length would be a request.
    unread = {6, 7} if scheme else {BAD, 7}
    # Record 6 is cut off after its header, which TensorFlow's reader notices itself.
    assert set(np.flatnonzero(~found)) == unread


@pytest.mark.parametrize("content", [b"\xff" * 99, b"\n\x05\xefhello", b""])
def test_a_record_that_is_no_clip_at_all_is_named(
    batches_of, healthy, tmp_path, content
):
    directory = tmp_path / "forged"
    shutil.copytree(healthy, directory)
    path, start, stop = record_range(directory, "val", BAD)
    # Of the length that the index has, and with a right checksum.
    proto = content.ljust(stop - start - 16, b"\xff")
    with open(path, "r+b") as file:
        file.seek(start + 12)
        file.write(proto + tfrecord.footer(tfrecord.masked_crc([proto])))
    folder = load_folder(directory)
    options = {"element": "weighted", "max_bad_records": 1}
    batches = list(batches_of(folder, "val", 4, **options))
    weights = np.concatenate([weights for _, _, weights in batches])
    assert weights.tolist() == [1, 1, 1, 0, 1, 1, 1, 1]

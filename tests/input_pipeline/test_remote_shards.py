import json
import pickle
import shutil
from datetime import timedelta
from threading import Thread

import numpy as np
import pytest
import tensorflow as tf
from object_stores import BUCKET, upload_folder

from benchmarks.object_server import ObjectServer
from wlasl_tfrecord import input_fn, load_folder
from wlasl_tfrecord.errors import RecordError, ShardFolderError, StoreError
from wlasl_tfrecord.input_pipeline.damaged_records import damaged_records_by_name
from wlasl_tfrecord.input_pipeline.record_reader import readable_records
from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
from wlasl_tfrecord.inspection.verify_files import verify_files
from wlasl_tfrecord.inspection.verify_records import verify_split
from wlasl_tfrecord.shard_format.shard_folder import load_records
from wlasl_tfrecord.shard_format.stored_clip import read_clip
from wlasl_tfrecord.shard_format.tfrecord import HEADER_BYTES, header
from wlasl_tfrecord.storage import object_store

NUM_CLIPS = 12
URL = f"s3://{BUCKET}/shards"
SHARD = "wlasl-train.tfrecord-00001-of-00003"


@pytest.fixture(scope="module")
def shards(write_folder, tmp_path_factory):
    directory = tmp_path_factory.mktemp("raw") / "shards"
    return write_folder(directory, {"train": NUM_CLIPS, "val": 5}, num_shards=3)


@pytest.fixture
def remote(server, shards, monkeypatch):
    """The server, which has the folder; tries follow each other soon."""
    backoff = {"init_backoff": timedelta(milliseconds=1)}
    monkeypatch.setattr(object_store, "_BACKOFF", backoff)
    object_store._opened.cache_clear()
    upload_folder(shards, URL)
    server.reset()
    yield server
    object_store._opened.cache_clear()


def same_batches(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_the_batches_are_those_of_the_disk(remote, shards):
    for options in (
        {"num_epochs": 2},
        {"start_step": 3, "num_epochs": 2, "element": "dict"},
        {"order": "sequential"},
        {"split": "val", "element": "weighted"},
    ):
        same_batches(
            input_fn(URL, batch_size=4, **options),
            input_fn(shards, batch_size=4, **options),
        )


def test_images_are_read_as_from_a_disk(remote, write_folder, tmp_path):
    folder = write_folder(tmp_path / "jpeg", codec="jpeg", landmarks=True)
    upload_folder(folder, f"{URL}-jpeg")
    ours, theirs = ShardReader(f"{URL}-jpeg"), ShardReader(folder)
    for clip, other in zip(ours, theirs, strict=True):
        assert clip.keys() == other.keys()
        for name, value in clip.items():
            np.testing.assert_array_equal(value, other[name])
    np.testing.assert_array_equal(
        ours.read_landmarks([3, 1]), theirs.read_landmarks([3, 1])
    )


def test_a_clip_is_one_request_and_each_file_one(remote, shards):
    folder = load_folder(URL)
    by_path = [path.rpartition("/")[2] for _, path in remote.requests]
    assert by_path == [BUCKET, "dataset_info.json", "index.json"]
    remote.reset()
    reader = ShardReader(folder)
    # The table, and the end of each shard, by which it is pinned.
    assert remote.count("wlasl-train.index.csv") == 1
    assert len(remote.requests) == 1 + 3
    remote.reset()
    reader.read_batch(range(NUM_CLIPS))
    assert reader[3]["video_id"] == ShardReader(shards)[3]["video_id"]
    assert len(remote.requests) == NUM_CLIPS + 1
    remote.reset()
    assert len(list(input_fn(folder, "val", 5))) == 1
    # One table, three ends, five clips.
    assert len(remote.requests) == 9


def test_a_reader_can_be_sent_to_another_process(remote, shards):
    reader = pickle.loads(pickle.dumps(ShardReader(URL)))
    remote.reset()
    expected = ShardReader(shards).read_batch([5, 1])
    np.testing.assert_array_equal(reader.read_batch([5, 1]), expected)
    # What was pinned is pinned there too.
    assert len(remote.requests) == 2


@pytest.mark.parametrize("fault", ["cut", "short", "refuse", 500])
def test_faults_on_the_way_change_no_batch(remote, shards, fault):
    batches = input_fn(URL, batch_size=4)
    remote.fail(fault, SHARD, times=3)
    same_batches(batches, input_fn(shards, batch_size=4))


def test_a_store_that_fails_ends_the_input_whatever_is_tolerated(remote):
    batches = input_fn(URL, batch_size=4, max_bad_records=5)
    remote.fail(403, SHARD, times=99)
    with (
        pytest.raises(StoreError, match=rf"^cannot read {URL}/{SHARD} \(403 F.*; ch"),
        damaged_records_by_name(),
    ):
        list(batches)


def test_a_shard_that_is_replaced_is_an_error_by_name(remote, shards):
    batches = iter(input_fn(URL, batch_size=2, num_epochs=50, augment=False))
    next(batches)
    remote.put(f"shards/{SHARD}", (shards / SHARD).read_bytes()[::-1])
    with (
        pytest.raises(StoreError, match=rf"^{URL}/{SHARD} was replaced after it was"),
        damaged_records_by_name(),
    ):
        list(batches)


def test_a_shard_that_vanishes_is_an_error_by_name(remote):
    reader = ShardReader(URL)
    remote.fail(404, SHARD, times=99)
    with pytest.raises(StoreError, match=rf"{SHARD} \(No such file.*put it back"):
        reader.read_batch(range(NUM_CLIPS))


def test_other_shards_are_refused_before_they_are_read(remote, shards, tmp_path):
    remote.put(f"shards/{SHARD}", (shards / SHARD).read_bytes()[:-1])
    with pytest.raises(ShardFolderError, match=rf"{SHARD} has \d+ bytes, the index sa"):
        input_fn(URL, batch_size=4)
    damaged = bytearray((shards / SHARD).read_bytes())
    damaged[-1] ^= 1
    remote.put(f"shards/{SHARD}", bytes(damaged))
    with pytest.raises(ShardFolderError, match=rf"{SHARD} is not the shard that the"):
        input_fn(URL, batch_size=4)


def test_shards_that_cannot_be_listed_are_compared_too(shards, tmp_path):
    copied = shutil.copytree(shards, tmp_path / "copied")
    with ObjectServer(copied) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        expected = ShardReader(shards).read_batch([3, 8])
        np.testing.assert_array_equal(ShardReader(url).read_batch([3, 8]), expected)
        whole = (copied / SHARD).read_bytes()
        (copied / SHARD).write_bytes(whole[:-1000])
        with pytest.raises(ShardFolderError, match=rf"{SHARD} has fewer than the \d+"):
            ShardReader(url)
        (copied / SHARD).unlink()
        with pytest.raises(ShardFolderError, match=rf"{SHARD} is missing; run bin/"):
            ShardReader(url)
        # A reader that tolerates damage counts its records.
        reader = ShardReader(url, check_shards=False)
        with pytest.raises(RecordError, match=rf"{SHARD}: record 0 at byte 0"):
            reader.read_batch([4])
        server.shutdown()


def test_damaged_records_are_named_and_passed_over_as_on_a_disk(
    remote, shards, tmp_path
):
    copied = shutil.copytree(shards, tmp_path / "copied")
    content = bytearray((shards / SHARD).read_bytes())
    content[40] ^= 1
    (copied / SHARD).write_bytes(content)
    remote.put(f"shards/{SHARD}", bytes(content))
    reader, local = ShardReader(URL), ShardReader(copied)
    with pytest.raises(RecordError) as theirs:
        local.read_batch(range(NUM_CLIPS))
    with pytest.raises(RecordError) as ours:
        reader.read_batch(range(NUM_CLIPS))
    assert str(ours.value) == str(theirs.value).replace(str(copied), URL)
    same_batches(
        input_fn(URL, batch_size=4, max_bad_records=1),
        input_fn(copied, batch_size=4, max_bad_records=1),
    )


def test_a_folder_that_is_not_finished_is_refused(remote, shards):
    with pytest.raises(ShardFolderError, match=r"no shards in s3://bucket/none: it"):
        load_folder(f"s3://{BUCKET}/none")
    with pytest.raises(ShardFolderError, match=r"cannot read the .* s3://none/shards:"):
        load_folder("s3://none/shards")


def test_a_folder_is_verified_by_a_request_a_record(remote, shards):
    folder = load_folder(URL)
    assert verify_files(folder) == []
    remote.reset()
    assert set(verify_split(folder, "train")) == {None}
    # The table, the sizes of three shards, the records.
    assert len(remote.requests) == 1 + 3 + NUM_CLIPS
    content = bytearray((shards / SHARD).read_bytes())
    content[40] ^= 1
    remote.put(f"shards/{SHARD}", bytes(content))
    damage = [str(one) for one in verify_split(folder, "train") if one]
    assert damage == [
        f"{SHARD}: record 0 (train00004): its checksum does not fit its bytes"
    ]
    assert read_clip(folder, "train", 0).shape == folder.clip.shape
    with pytest.raises(RecordError, match="the record of train00004 is damaged"):
        read_clip(folder, "train", 4)


def test_a_url_with_a_password_is_in_no_message(remote):
    url = remote.url.replace("://", "://me:hidden@")
    for use in (load_folder, input_fn, ShardReader):
        with pytest.raises(StoreError, match="was given with a password") as caught:
            use(f"{url}/shards")
        assert "hidden" not in str(caught.value)


def test_replicas_share_the_batches_of_a_url(remote, shards):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

    def labels(data):
        dataset = strategy.distribute_datasets_from_function(
            lambda context: input_fn(data, "train", 4, input_context=context)
        )
        parts = strategy.experimental_local_results
        return [np.concatenate([one.numpy() for one in parts(x)]) for _, x in dataset]

    np.testing.assert_array_equal(labels(URL), labels(shards))


def test_numbers_that_are_forged_are_refused(remote, shards):
    index = json.loads((shards / "index.json").read_bytes())
    index["splits"]["train"]["shards"][1]["num_bytes"] = 2**40
    remote.put("shards/index.json", json.dumps(index).encode())
    with pytest.raises(ShardFolderError, match=rf"{SHARD} has \d+ bytes, the index"):
        load_folder(URL)


def test_tensorflow_is_told_of_no_record_with_a_forged_length(remote, shards):
    folder = load_folder(URL)
    records = load_records(folder, "train")
    remote.reset()
    assert readable_records(folder, "train", records).all()
    # The list of the folder, and twelve bytes of each record.
    assert len(remote.requests) == 1 + NUM_CLIPS
    content = bytearray((shards / SHARD).read_bytes())
    content[:HEADER_BYTES] = header(2**40)
    remote.put(f"shards/{SHARD}", bytes(content))
    readable = readable_records(folder, "train", records)
    assert np.flatnonzero(~readable).tolist() == [4]

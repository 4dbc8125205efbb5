import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checkout import CHECKOUT
from object_stores import BUCKET, upload_folder

from wlasl_tfrecord import input_fn, load_folder
from wlasl_tfrecord.errors import RecordError, StoreError
from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader

NUM_CLIPS = 12
URL = f"s3://{BUCKET}/shards"
SHARD = "wlasl-train.tfrecord-00001-of-00003"


@pytest.fixture(scope="module")
def shards(write_folder, tmp_path_factory):
    directory = tmp_path_factory.mktemp("raw") / "shards"
    return write_folder(directory, {"train": NUM_CLIPS, "val": 5}, num_shards=3)


@pytest.fixture
def remote(server, shards):
    upload_folder(shards, URL)
    server.reset()
    return server


def cached(cache_dir, gib=1.0, split="train"):
    folder = load_folder(URL, cache_dir=cache_dir, cache_gib=gib)
    return ShardReader(folder, split)


def kept(cache_dir):
    return sorted(p.name for p in Path(cache_dir).rglob("wlasl-*"))


def test_shards_are_fetched_once_and_read_from_the_disk(remote, shards, tmp_path):
    cache_dir = tmp_path / "new" / "cache"
    expected = ShardReader(shards).read_batch(range(NUM_CLIPS))
    reader = cached(cache_dir)
    remote.reset()
    np.testing.assert_array_equal(reader.read_batch(range(NUM_CLIPS)), expected)
    # One request a shard, which is small here, and none a clip.
    assert len(remote.requests) == 3
    remote.reset()
    np.testing.assert_array_equal(reader.read_batch(range(NUM_CLIPS)), expected)
    assert len(remote.requests) == 0
    again = cached(cache_dir)
    remote.reset()
    np.testing.assert_array_equal(again.read_batch(range(NUM_CLIPS)), expected)
    assert len(remote.requests) == 0
    for batch, other in zip(
        input_fn(URL, batch_size=4, cache_dir=cache_dir),
        input_fn(shards, batch_size=4),
        strict=True,
    ):
        np.testing.assert_array_equal(batch[0], other[0])


def test_what_does_not_fit_is_read_by_requests(remote, shards, tmp_path):
    size = (shards / SHARD).stat().st_size
    # Two of three shards fit.
    reader = cached(tmp_path, gib=2.5 * size / 2**30)
    expected = ShardReader(shards).read_batch(range(NUM_CLIPS))
    np.testing.assert_array_equal(reader.read_batch(range(NUM_CLIPS)), expected)
    assert len(kept(tmp_path)) == 2
    np.testing.assert_array_equal(reader.read_batch(range(NUM_CLIPS)), expected)


def test_the_oldest_are_evicted_but_none_in_use(remote, shards, tmp_path):
    size = (shards / SHARD).stat().st_size
    reader = cached(tmp_path, gib=3.2 * size / 2**30)
    reader.read_batch(range(NUM_CLIPS))
    in_use = kept(tmp_path)
    assert len(in_use) == 3
    val = cached(tmp_path, gib=3.2 * size / 2**30, split="val")
    val.read_batch(range(5))
    assert kept(tmp_path) == in_use
    first = next(tmp_path.rglob(SHARD))
    os.utime(first, (1, 1))
    del reader
    val = cached(tmp_path, gib=3.2 * size / 2**30, split="val")
    val.read_batch([0])
    left = kept(tmp_path)
    assert SHARD not in left
    assert sum(path.stat().st_size for path in tmp_path.rglob("wlasl*")) <= 3.2 * size


def test_processes_fetch_a_shard_once(remote, shards, tmp_path):
    code = (
        "from wlasl_tfrecord import ShardReader, load_folder\n"
        f"reader = ShardReader(load_folder({URL!r}, cache_dir={str(tmp_path)!r}))\n"
        f"print(reader.read_batch(range({NUM_CLIPS})).sum(dtype='int64'))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=-1, cwd=CHECKOUT)
        for _ in range(2)
    ]
    expected = ShardReader(shards).read_batch(range(NUM_CLIPS)).sum(dtype=np.int64)
    for process in processes:
        assert int(process.communicate()[0]) == expected
    # The end of it for each process, and all of it for one.
    assert remote.count(SHARD) == 3


def test_a_shard_that_comes_damaged_is_not_kept(remote, shards, tmp_path):
    content = bytearray((shards / SHARD).read_bytes())
    content[40] ^= 1
    remote.put(f"shards/{SHARD}", bytes(content))
    reader = cached(tmp_path)
    with pytest.raises(RecordError, match=rf"{URL}/{SHARD}: record 0 at byte 0"):
        reader.read_batch(range(NUM_CLIPS))
    assert SHARD not in kept(tmp_path)


def test_what_a_killed_process_left_is_removed(remote, shards, tmp_path):
    reader = cached(tmp_path)
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (folder / f"{SHARD}.part").write_bytes(b"half")
    other = tmp_path / ("0" * 32)
    other.mkdir()
    (other / "x.part").write_bytes(b"half of another")
    reader.read_batch(range(NUM_CLIPS))
    assert not list(tmp_path.rglob("*.part"))
    assert len(kept(tmp_path)) == 3


def test_links_are_not_followed(remote, shards, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    cache_dir = tmp_path / "cache"
    reader = cached(cache_dir)
    (folder,) = (path for path in cache_dir.iterdir() if path.is_dir())
    (folder / SHARD).symlink_to(victim)
    expected = ShardReader(shards).read_batch(range(NUM_CLIPS))
    np.testing.assert_array_equal(reader.read_batch(range(NUM_CLIPS)), expected)
    assert victim.read_bytes() == b"mine"
    folder.rename(cache_dir / "moved")
    folder.symlink_to(tmp_path)
    with pytest.raises(StoreError, match=r"cannot use the cache .* \(a link or a file"):
        cached(cache_dir)


def test_a_cache_without_room_is_refused(tmp_path):
    for gib in (0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=f"cache_gib must be above 0 .*got {gib}"):
            load_folder(URL, cache_dir=tmp_path, cache_gib=gib)

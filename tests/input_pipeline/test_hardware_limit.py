import os

import pytest

from wlasl_tfrecord.errors import RecordError
from wlasl_tfrecord.input_pipeline import hardware_limit
from wlasl_tfrecord.input_pipeline.hardware_limit import measure_limit
from wlasl_tfrecord.shard_format.shard_folder import load_folder


@pytest.fixture(scope="module", params=["raw", "jpeg"])
def shards(request, write_folder, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param) / "shards"
    return write_folder(directory, codec=request.param)


def test_the_limit_is_that_of_the_codec(shards):
    folder = load_folder(shards)
    limit = measure_limit(folder, "train", seconds=0.1)
    assert limit.clips_per_second > 0
    assert limit.name == ("bare reads" if folder.codec == "raw" else "bare decoding")


def test_the_shortest_measurement_is_one(shards):
    assert measure_limit(load_folder(shards), "train", seconds=1e-9).cpu_ms_per_clip > 0


def test_a_limit_opens_few_shards_and_closes_them(write_folder, tmp_path, monkeypatch):
    folder = load_folder(write_folder(tmp_path / "shards", {"train": 8}, num_shards=4))
    opened = []

    def open_shard(path, flags):
        opened.append(path)
        return os.open(path, flags)

    monkeypatch.setattr(hardware_limit, "open_regular", open_shard)
    monkeypatch.setattr(hardware_limit, "MAX_OPEN_FILES", 2)
    before = len(os.listdir("/proc/self/fd"))
    measure_limit(folder, "train", seconds=0.05)
    assert len(os.listdir("/proc/self/fd")) == before
    assert opened == [folder.shard_path(s) for s in folder.split_shards("train")[:2]]


def test_a_limit_without_a_whole_record_says_so(write_folder, tmp_path):
    folder = load_folder(write_folder(tmp_path / "shards", codec="jpeg"))
    for shard in folder.split_shards("train"):
        with open(folder.shard_path(shard), "r+b") as file:
            file.write(b"\xff" * shard.num_bytes)
    with pytest.raises(RecordError, match="none of the first 7 train records is whole"):
        measure_limit(folder, "train", seconds=0.1)


@pytest.mark.parametrize(("num_threads", "expected"), [(1, 1), (3, 3), (None, 2)])
def test_a_limit_is_that_of_so_many_threads(monkeypatch, num_threads, expected):
    monkeypatch.setattr(hardware_limit, "num_cores", lambda: 2)
    workers = []

    def make_work():
        workers.append(None)
        return lambda _: None

    hardware_limit.measure_threads("nothing", make_work, 0.01, num_threads)
    assert len(workers) == expected

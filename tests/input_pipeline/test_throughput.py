import pytest

from wlasl_tfrecord.input_pipeline.hardware_limit import Rate
from wlasl_tfrecord.input_pipeline.throughput import advise, measure_input
from wlasl_tfrecord.shard_format.shard_folder import load_folder

STAGES = ["read", "decode", "augment"]


@pytest.fixture(scope="module", params=["raw", "jpeg"])
def shards(request, write_folder, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param) / "shards"
    return write_folder(directory, codec=request.param)


def test_every_stage_is_measured(shards):
    rates = measure_input(load_folder(shards), "train", 2, seconds=0.1)
    assert [rate.name for rate in rates] == STAGES
    assert all(rate.clips_per_second > 0 for rate in rates)
    assert all(rate.cpu_ms_per_clip > 0 for rate in rates)


def rates(clips_per_second=500.0, **cpu_ms):
    costs = {"read": 1.0, "decode": 1.5, "augment": 2.0}
    return [
        Rate(name=name, clips_per_second=clips_per_second, cpu_ms_per_clip=ms)
        for name, ms in (costs | cpu_ms).items()
    ]


LIMIT = Rate(name="bare reads", clips_per_second=1000.0, cpu_ms_per_clip=0.5)


def test_an_input_that_keeps_up_needs_no_advice():
    lines = advise(rates(), LIMIT, "raw", needed=250.0)
    assert lines == [
        "the input keeps up: 500 clips/s arrive, a training step takes 250 (2.0 times "
        "as many)"
    ]


def test_an_input_that_does_not_keep_up_says_so(monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    lines = advise(rates(), LIMIT, "raw", needed=800.0)
    assert lines[0].startswith("the input is the limit: 500 clips/s arrive")
    assert any("glibc" in line for line in lines)
    assert "1000 clips/s" in lines[-1]


def test_the_dearest_stage_is_named(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    dear_augment = advise(rates(augment=9.0), LIMIT, "raw", needed=None)
    assert any("augmentation takes 7.5 of 9.0 ms" in line for line in dear_augment)
    dear_decode = advise(rates(decode=8.0, augment=8.5), LIMIT, "jpeg", needed=None)
    assert any("decoding takes 7.0 of 8.5 ms" in line for line in dear_decode)
    slow_disk = advise(rates(clips_per_second=5.0), LIMIT, "raw", needed=None)
    assert any("waits for the storage" in line for line in slow_disk)
    assert not any("glibc" in line for line in slow_disk)

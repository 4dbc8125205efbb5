import shutil

import pytest

from wlasl_tfrecord.cli import bench
from wlasl_tfrecord.errors import RecordError
from wlasl_tfrecord.input_pipeline.hardware_limit import Rate, measure_limit
from wlasl_tfrecord.input_pipeline.throughput import advise, measure_input
from wlasl_tfrecord.shard_format.shard_folder import load_folder, load_records

STAGES = ["read", "parse", "decode", "augment", "batch"]


@pytest.fixture(scope="module", params=["raw", "jpeg"])
def shards(request, write_folder, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param) / "shards"
    return write_folder(directory, codec=request.param)


def test_every_stage_is_measured(shards):
    rates = measure_input(load_folder(shards), "train", 2, seconds=0.1)
    assert [rate.name for rate in rates] == STAGES
    assert all(rate.clips_per_second > 0 for rate in rates)
    assert all(rate.cpu_ms_per_clip > 0 for rate in rates)


def test_the_limit_is_that_of_the_codec(shards):
    folder = load_folder(shards)
    limit = measure_limit(folder, "train", seconds=0.1)
    assert limit.clips_per_second > 0
    assert limit.name == ("bare reads" if folder.codec == "raw" else "bare decoding")


def rates(clips_per_second=500.0, **cpu_ms):
    costs = {"read": 1.0, "parse": 1.2, "decode": 1.5, "augment": 2.0, "batch": 2.2}
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
    assert any("decoding takes 6.8 of 8.5 ms" in line for line in dear_decode)
    slow_disk = advise(rates(clips_per_second=5.0), LIMIT, "raw", needed=None)
    assert any("waits for the storage" in line for line in slow_disk)
    assert not any("glibc" in line for line in slow_disk)


def test_the_command_prints_a_line_a_stage_and_a_verdict(shards, capsys):
    arguments = ["input", str(shards), "--batch-size", "2", "--seconds", "0.1"]
    assert bench.main([*arguments, "--step-ms", "100000"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n{stage:<14}" in printed for stage in STAGES)
    assert "the input keeps up" in printed


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--step-ms", "0"], 2, "--step-ms must be above 0 and finite, got 0.0"),
        (["--seconds", "-1"], 2, "--seconds must be above 0 and finite, got -1.0"),
        (["--seconds", "nan"], 2, "--seconds must be above 0 and finite, got nan"),
        (["--split", "test"], 1, "no 'test' shards in"),
        (["--batch-size", "100"], 2, "batch_size 100 is larger than the split"),
    ],
)
def test_the_command_names_what_is_wrong(shards, capsys, arguments, code, message):
    assert bench.main(["input", str(shards), "--seconds", "0.1", *arguments]) == code
    assert message in capsys.readouterr().err


def test_the_shortest_measurement_is_one(shards):
    assert measure_limit(load_folder(shards), "train", seconds=1e-9).cpu_ms_per_clip > 0


def test_the_command_names_a_damaged_record(shards, tmp_path, capsys):
    directory = shutil.copytree(shards, tmp_path / "shards")
    folder = load_folder(directory)
    records = load_records(folder, "train")
    # All but one, so that whatever is measured meets one.
    for k in range(1, len(records)):
        shard = folder.split_shards("train")[records.shard_indices[k]]
        with open(folder.shard_path(shard), "r+b") as file:
            file.seek(records.offsets[k] + 20)
            file.write(b"\xff\xff\xff")
    arguments = ["input", str(directory), "--batch-size", "2", "--seconds", "0.1"]
    assert bench.main(arguments) == 1
    printed = capsys.readouterr().err
    assert "is damaged or not the clip that the index says" in printed
    assert "Traceback" not in printed


def test_a_limit_without_a_whole_record_says_so(write_folder, tmp_path):
    folder = load_folder(write_folder(tmp_path / "shards", codec="jpeg"))
    for shard in folder.split_shards("train"):
        with open(folder.shard_path(shard), "r+b") as file:
            file.write(b"\xff" * shard.num_bytes)
    with pytest.raises(RecordError, match="none of the first 7 train records is whole"):
        measure_limit(folder, "train", seconds=0.1)

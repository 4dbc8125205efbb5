import json
import shutil

import pytest

from wlasl_tfrecord.cli import bench
from wlasl_tfrecord.shard_format.shard_folder import load_folder, load_records

STAGES = ["read", "decode", "augment"]


@pytest.fixture(scope="module", params=["raw", "jpeg"])
def shards(request, write_folder, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param) / "shards"
    return write_folder(directory, codec=request.param)


def test_the_command_prints_a_line_a_stage_and_a_verdict(shards, capsys):
    arguments = ["input", str(shards), "--batch-size", "2", "--seconds", "0.1"]
    assert bench.main([*arguments, "--step-ms", "100000"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n{stage:<14}" in printed for stage in STAGES)
    assert "the input keeps up" in printed


def test_the_same_as_json(shards, capsys):
    arguments = ["input", str(shards), "--batch-size", "2", "--seconds", "0.1"]
    assert bench.main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [stage["name"] for stage in told["stages"]] == STAGES
    assert told["reader"] == "direct"
    assert told["limit"]["clips_per_second"] > 0
    assert "the input keeps up with steps of up to" in told["advice"][0]


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

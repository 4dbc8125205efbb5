"""bin/evaluate as its users type it."""

import json

import pytest
from known_models import constant, write_run, write_shards

from wlasl_tfrecord.cli import evaluate


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("data") / "shards")


def test_the_command_prints_a_table_or_json(shards, tmp_path, capsys):
    run = write_run(tmp_path, constant)
    assert evaluate.main(["--data", str(shards), "--run", str(run)]) == 0
    table = capsys.readouterr().out
    assert "val: 11 clips of 3 glosses, loss 1.099" in table
    assert "36.4%" in table
    assert "'drink' taken for 'book': 4 of 4 clips" in table
    arguments = ["--data", str(shards), "--run", str(run), "--json"]
    assert evaluate.main(arguments) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["num_clips"] == 11
    assert value["clips"][1] == {
        "video_id": "val00001",
        "signed": "drink",
        "recognised": "book",
        "rank": 1,
    }
    tops = {"top1": 0.0, "top5": 1.0, "top10": 1.0}
    assert value["glosses"] == {
        "book": tops | {"top1": 1.0},
        "drink": tops,
        "computer": tops,
    }

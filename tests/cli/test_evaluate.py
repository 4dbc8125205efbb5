"""bin/evaluate as its users type it."""

import json

import pytest
from known_models import constant, right, write_run, write_shards

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
    for gloss, more in (("book", {"top1": 1.0}), ("drink", {}), ("computer", {})):
        assert (tops | more).items() <= value["glosses"][gloss].items()
    assert value["glosses"]["book"]["num_clips"] == 4


def test_files_are_written_into_the_run_folder_or_where_one_wants(
    shards, tmp_path, capsys
):
    run = write_run(tmp_path / "run", constant)
    assert evaluate.main(["--data", str(shards), "--run", str(run)]) == 0
    names = {"evaluation.json", "predictions.csv", "confusion.png", "confused.png"}
    assert {path.name for path in (run / "evaluation-val").iterdir()} == names
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"{run / 'evaluation-val'}: evaluation.json, predictions")
    out = tmp_path / "elsewhere"
    more = ["--out", str(out), "--views", "2", "--split", "train"]
    assert evaluate.main(["--data", str(shards), "--run", str(run), *more]) == 0
    value = json.loads((out / "evaluation.json").read_text())
    assert (value["split"], value["num_views"]) == ("train", 2)
    assert value["run"] == str(run)


def test_two_runs_are_compared_on_the_same_clips(shards, tmp_path, capsys):
    one, other = write_run(tmp_path / "1", right), write_run(tmp_path / "2", constant)
    arguments = ["--data", str(shards), "--run", str(one), "--compare", str(other)]
    assert evaluate.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "on the same 11 clips: top-1 100.0% and 36.4%" in printed
    assert "only the first is right: 7 clips; only the second: 0" in printed
    value = json.loads((one / "evaluation-val" / "evaluation.json").read_text())
    assert value["comparison"]["only_first_right"] == 7
    assert value["comparison"]["runs"] == [str(one), str(other)]


def test_a_run_to_compare_with_must_be_there(shards, tmp_path, capsys):
    run = write_run(tmp_path / "run", constant)
    arguments = ["--data", str(shards), "--run", str(run), "--compare", "no-run"]
    assert evaluate.main(arguments) == 1
    assert "no trained model in no-run" in capsys.readouterr().err


def test_fewer_than_one_view_is_one_line(tmp_path, capsys):
    assert evaluate.main(["--run", str(tmp_path), "--views", "0"]) == 2
    assert "--views must be at least 1, got 0" in capsys.readouterr().err


def test_a_link_in_a_received_run_is_not_written_through(shards, tmp_path, capsys):
    run = write_run(tmp_path / "run", constant)
    (tmp_path / "theirs").mkdir()
    (run / "evaluation-val").symlink_to(tmp_path / "theirs")
    arguments = ["--data", str(shards), "--run", str(run), "--split", "val"]
    assert evaluate.main(arguments) == 1
    assert "evaluation-val is a link, and may lead to" in capsys.readouterr().err

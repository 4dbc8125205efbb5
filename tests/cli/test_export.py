import pytest

from wlasl_tfrecord.cli import export as command
from wlasl_tfrecord.inference import export


def test_the_command_says_where_and_how_close(trained_run, tmp_path, capsys):
    code = command.main(
        ["--run", str(trained_run), "--format", "keras", "--out", str(tmp_path)]
    )
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0].startswith(f"{tmp_path}/model.keras: ")
    assert "differ by at most " in lines[0]
    # Another order of summing, no other model.
    assert float(lines[0].split()[-1]) < 1e-3
    assert lines[1].startswith(f"{tmp_path}/model.json: ")


def test_the_command_names_the_formats_of_the_library():
    assert sorted(command._FORMATS) == sorted((*export.FORMATS, "web"))
    assert command._QUANTIZATIONS == export.QUANTIZATIONS


def test_the_command_without_a_run_says_what_to_do(tmp_path, capsys):
    assert command.main(["--run", str(tmp_path)]) == 1
    assert "run bin/train first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--format", "onnx", "--quantize", "int8"], "for --format tflite or web"),
        (["--format", "tflite", "--litert", "x"], "--litert is for --format web"),
        (["--format", "tflite", "--quantize", "int8"], "training clips: give --data"),
        (["--split", "val"], "--split is a split of a shard folder: give --data"),
    ],
)
def test_options_that_do_not_fit_are_refused_at_once(
    trained_run, tmp_path, capsys, options, reason
):
    out = tmp_path / "out"
    arguments = ["--run", str(trained_run), "--out", str(out), *options]
    assert command.main(arguments) == 2
    assert reason in capsys.readouterr().err
    assert not out.exists()


def test_with_shards_the_split_has_a_line(trained_run, tmp_path, capsys, write_folder):
    shards = write_folder(
        tmp_path / "shards",
        num_frames=4,
        height=32,
        width=32,
        glosses=("book", "drink", "computer", "before", "chair"),
    )
    options = ["--format", "keras", "--data", str(shards), "--out", str(tmp_path)]
    assert command.main(["--run", str(trained_run), *options]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith("val, 3 clips: top-1 ")
    assert "the same first gloss for 3 clips" in line

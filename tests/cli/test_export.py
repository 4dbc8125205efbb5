from wlasl_tfrecord.cli import export as command
from wlasl_tfrecord.inference import export


def test_the_command_says_where_and_how_close(trained_run, tmp_path, capsys):
    code = command.main(
        ["--run", str(trained_run), "--format", "keras", "--out", str(tmp_path)]
    )
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0].startswith(f"{tmp_path}/model.keras: ")
    assert "differ by at most 0" in lines[0]
    assert lines[1].startswith(f"{tmp_path}/model.json: ")


def test_the_command_names_the_formats_of_the_library():
    assert command._FORMATS == export.FORMATS
    assert command._QUANTIZATIONS == export.QUANTIZATIONS


def test_the_command_without_a_run_says_what_to_do(tmp_path, capsys):
    assert command.main(["--run", str(tmp_path)]) == 1
    assert "run bin/train first" in capsys.readouterr().err

import json
from pathlib import Path

import pytest

from wlasl_tfrecord.cli import predict

GLOSSES = ("book", "drink", "computer", "before", "chair")


@pytest.fixture(scope="module")
def videos(tmp_path_factory, numbered_video):
    """Three videos of different frames, and one that is none."""
    directory = tmp_path_factory.mktemp("videos")
    for index in range(3):
        path = directory / f"{index}.mp4"
        numbered_video(path, num_frames=12 + index, first_number=700 * index)
    (directory / "broken.mp4").write_bytes(b"<html>404</html>")
    (directory / "notes.txt").write_text("no video")
    return directory


def test_the_command_prints_ranked_glosses(trained_run, videos, capsys):
    code = predict.main(
        [str(videos / "0.mp4"), "--run", str(trained_run), "--top", "2"]
    )
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0] == str(videos / "0.mp4")
    assert len(lines) == 3
    assert lines[1].split()[1] in GLOSSES
    first, second = (float(line.split("%")[0]) for line in lines[1:])
    assert first >= second


def test_an_unreadable_video_is_one_line_and_the_others_are_done(
    trained_run, videos, capsys
):
    code = predict.main([str(videos), "--run", str(trained_run), "--json"])
    captured = capsys.readouterr()
    assert code == 1
    results = [json.loads(line) for line in captured.out.splitlines()]
    assert [Path(r["path"]).name for r in results] == [
        "0.mp4", "1.mp4", "2.mp4", "broken.mp4",
    ]  # fmt: skip
    assert [len(r.get("predictions", ())) for r in results] == [5, 5, 5, 0]
    assert "broken.mp4: unreadable" in results[-1]["error"]
    assert "broken.mp4: unreadable" in captured.err


def test_a_video_that_is_not_there_is_one_line(trained_run, videos, tmp_path, capsys):
    line = "no.mp4: unreadable: No such file or directory\n"
    there, absent = str(videos / "0.mp4"), str(tmp_path / "no.mp4")
    assert predict.main([absent, "--run", str(trained_run), "--json"]) == 1
    alone = capsys.readouterr()
    assert (alone.err, json.loads(alone.out)["path"]) == (line, absent)
    assert predict.main([there, absent, "--run", str(trained_run), "--json"]) == 1
    beside = capsys.readouterr()
    # TensorFlow may have warned of the many models that these tests load.
    assert beside.err.endswith(line)
    assert beside.out.splitlines()[1] + "\n" == alone.out


def test_without_any_run_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert predict.main(["x.mp4"]) == 1
    assert "no trained model under runs/" in capsys.readouterr().err

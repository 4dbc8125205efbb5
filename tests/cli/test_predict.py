import csv
import io
import json
import re
import shutil
from pathlib import Path

from wlasl_tfrecord.cli import predict

GLOSSES = ("book", "drink", "computer", "before", "chair")


def test_the_command_prints_ranked_glosses(trained_run, few_videos, capsys):
    code = predict.main(
        [str(few_videos / "0.mp4"), "--run", str(trained_run), "--top", "2"]
    )
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0] == str(few_videos / "0.mp4")
    assert len(lines) == 3
    assert lines[1].split()[1] in GLOSSES
    first, second = (float(line.split("%")[0]) for line in lines[1:])
    assert first >= second


def test_an_unreadable_video_is_one_line_and_the_others_are_done(
    trained_run, few_videos, capsys
):
    code = predict.main([str(few_videos), "--run", str(trained_run), "--json"])
    captured = capsys.readouterr()
    assert code == 1
    results = [json.loads(line) for line in captured.out.splitlines()]
    assert [Path(r["path"]).name for r in results] == [
        "0.mp4", "1.mp4", "2.mp4", "broken.mp4",
    ]  # fmt: skip
    assert [len(r.get("predictions", ())) for r in results] == [5, 5, 5, 0]
    assert "broken.mp4: unreadable" in results[-1]["error"]
    assert "broken.mp4: unreadable" in captured.err


def test_a_video_that_is_not_there_is_one_line(
    trained_run, few_videos, tmp_path, capsys
):
    there, absent = str(few_videos / "0.mp4"), str(tmp_path / "no.mp4")
    line = f"{absent}: unreadable: No such file or directory\n"
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


def test_a_list_on_stdin_names_videos(trained_run, few_videos, monkeypatch, capsys):
    lines = f"{few_videos}/0.mp4\n\n{few_videos}/1.mp4\r\n".encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    words = [f"{few_videos}/2.mp4", "-", "--run", str(trained_run), "--json"]
    assert predict.main(words) == 0
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(r["path"]).name for r in results] == ["2.mp4", "0.mp4", "1.mp4"]


def test_a_table_has_a_row_for_each_video(trained_run, few_videos, capsys):
    words = [str(few_videos), "--run", str(trained_run), "--csv", "--top", "6"]
    assert predict.main(words) == 1
    first, *rows = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert Path(first["path"]).name == "0.mp4"
    assert {first[f"gloss_{n}"] for n in range(1, 6)} == set(GLOSSES)
    assert float(first["prob_1"]) >= float(first["prob_2"]) > 0
    # The model knows five.
    assert (first["gloss_6"], first["prob_6"], first["error"]) == ("", "", "")
    assert first["num_distinct_frames"] == "4"
    assert "broken.mp4: unreadable" in rows[-1]["error"]
    assert rows[-1]["gloss_1"] == ""


def test_hostile_names_and_glosses_are_printed_harmlessly(
    trained_run, few_videos, tmp_path, capsys
):
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    info = json.loads((run / "model.json").read_text())
    info["glosses"][:] = ["=1+1", "a\x1b[2J", "b c", "d\u202e", "e"]
    (run / "model.json").write_text(json.dumps(info))
    video = tmp_path / "=1\n\x1b.mp4"
    shutil.copy(few_videos / "0.mp4", video)
    assert predict.main([str(video), "--run", str(run)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{tmp_path}/=1\\n\\x1b.mp4\n")
    assert len(text.splitlines()) == 6
    assert "  b c\n" in text
    monkey = str(tmp_path / "=1.mp4")
    assert predict.main([monkey, "--run", str(run), "--csv"]) == 1
    video.rename(monkey)
    assert predict.main([monkey, "--run", str(run), "--csv"]) == 0
    table = capsys.readouterr().out
    assert "'=1+1" in table
    assert "\x1b" not in text + table
    assert "\u202e" not in text + table


def test_the_time_is_told_by_where_it_went(trained_run, few_videos, capsys):
    words = [str(few_videos / "0.mp4"), "--run", str(trained_run), "--timing"]
    assert predict.main(words) == 0
    assert re.search(
        r"[\d.]+ s to load; 1 videos in [\d.]+ s, \d+ ms each: \d+ ms waiting for the "
        r"decoders, \d+ ms in the network\n$",
        capsys.readouterr().err,
    )

import csv
import io
import json
import re

import pytest

from wlasl_tfrecord.cli import predict

GLOSSES = ("book", "drink", "computer", "before", "chair")
# Whatever the model says counts.
ALL = ("--window", "0.8", "--step", "0.1", "--threshold", "0", "--min-motion", "0")


@pytest.fixture(scope="module")
def film(tmp_path_factory, numbered_video):
    """Three seconds."""
    folder = tmp_path_factory.mktemp("films")
    return numbered_video(folder / "film.mp4", num_frames=75, first_number=500)


@pytest.fixture
def command(trained_run):
    return lambda *words: predict.main([*map(str, words), "--run", str(trained_run)])


def test_the_signs_of_a_film_are_printed_with_their_times(command, film, capsys):
    assert command(film, "--windows", *ALL, "--top", "2") == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == str(film)
    assert lines
    for line in lines:
        shown = re.fullmatch(
            r"  (\d:\d\d\.\d) to (\d:\d\d\.\d)  +[\d.]+%  (\w+)   \(\w+ \d+%\)", line
        )
        assert shown
        assert shown[1] < shown[2]
        assert shown[3] in GLOSSES


def test_a_threshold_leaves_out_what_is_no_sign(command, film, capsys):
    assert command(film, "--windows", "--min-motion", "255") == 0
    assert capsys.readouterr().out == f"{film}\n"


def test_signs_are_written_as_they_are_printed(command, film, tmp_path, capsys):
    out = tmp_path / "signs"
    assert command(film, "--windows", *ALL, "--json", "--out", out) == 0
    captured = capsys.readouterr()
    assert f"{out}: film.csv, film.jsonl, film.vtt, film.png\n" in captured.err
    printed = list(map(json.loads, captured.out.splitlines()))
    assert {value.pop("path") for value in printed} == {str(film)}
    written = (out / "film.jsonl").read_text().splitlines()
    assert list(map(json.loads, written)) == printed
    assert command(film, "--windows", *ALL, "--csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row.pop("path") for row in rows} == {str(film)}
    assert rows == list(csv.DictReader(io.StringIO((out / "film.csv").read_text())))
    assert (out / "film.vtt").read_text().count("-->") == len(rows)


def test_a_film_that_fails_is_one_line_and_the_others_are_done(
    command, film, few_videos, tmp_path, capsys
):
    broken = few_videos / "broken.mp4"
    words = ["--windows", *ALL, "--json", "--out", tmp_path / "out"]
    assert command(broken, film, *words) == 1
    captured = capsys.readouterr()
    assert "broken.mp4: unreadable: not a video" in captured.err
    assert str(film) in captured.out
    assert not (tmp_path / "out" / "broken.vtt").exists()
    assert (tmp_path / "out" / "film.vtt").exists()


def test_a_film_that_is_not_there_is_one_line(command, tmp_path, capsys):
    path = tmp_path / "no.mp4"
    assert command(path, "--windows") == 1
    line = f"{path}: unreadable: No such file or directory\n"
    assert capsys.readouterr().err == line


def test_two_films_of_one_name_are_not_written_over_each_other(
    command, film, tmp_path, capsys
):
    other = tmp_path / "film.avi"
    other.write_bytes(b"")
    assert command(film, other, "--windows", "--out", tmp_path / "out") == 1
    assert "film.avi would be written to the same files" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_one_line(command, film, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert command(film, "--windows", "--out", tmp_path / "file") == 1
    error = capsys.readouterr().err
    assert "cannot write" in error
    assert "choose another folder with --out" in error


def test_a_camera_is_watched_until_it_ends(command, film, capsys):
    # A file at its own pace: no camera is needed.
    assert command("--camera", film, *ALL, "--json") == 0
    captured = capsys.readouterr()
    assert re.search(
        rf"camera {re.escape(str(film))}: a sign is named at most 1\.9 s after the "
        r"last window that shows it \(Ctrl-C ends\)\n\d+ windows; results were at most "
        r"\d\.\d\d s behind the camera, and \d\.\d s were left out to keep pace\n$",
        captured.err,
    )
    signs = list(map(json.loads, captured.out.splitlines()))
    assert signs
    for sign in signs:
        assert set(sign) == {"delay", "start", "stop", "predictions", "num_windows"}
        assert 0 < sign["delay"] < 1.9


def test_a_live_sign_is_printed_with_its_delay(command, film, capsys):
    assert command("--camera", film, *ALL, "--top", "1") == 0
    for line in capsys.readouterr().out.splitlines():
        assert re.fullmatch(r"  [\d:.]+ to [\d:.]+ +[\d.]+%  \w+   [\d.]+ s ago", line)
    assert command("--camera", film, *ALL, "--csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert rows
    assert 0 < float(rows[0]["delay"]) < 1.9


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "name a video, or a camera with --camera 0"),
        (["--camera", "0", "a.mp4"], "videos cannot be given with --camera"),
        (["--camera", "0", "--windows"], "--windows cannot be given with --camera"),
        (["--camera", "0", "--start", "3"], "--start cannot be given with --camera"),
        (["--camera", "0", "--out", "x"], "--out cannot be given with --camera"),
        (["a.mp4", "--windows", "--timing"], "--timing is for videos of one sign"),
        (["a.mp4", "--step", "1"], "--step is for --windows and --camera; give one"),
        (["a.mp4", "--min-motion", "1"], "--min-motion is for --windows and --camera"),
        (["a.mp4", "--out", "x"], "--out is for --windows and --camera; give one"),
        (["a.mp4", "--windows", "--step", "0"], "step must be above 0 and below 1e6"),
    ],
)
def test_options_that_do_not_fit_are_one_line(command, words, error, capsys):
    assert command(*words) == 2
    assert error in capsys.readouterr().err

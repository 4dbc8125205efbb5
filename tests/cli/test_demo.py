import json
import os
import subprocess
import sys

import pytest
from checkout import CHECKOUT

from wlasl_tfrecord.cli import demo
from wlasl_tfrecord.errors import WlaslError


def run_demo(*words, timeout_seconds):
    return subprocess.run(
        [sys.executable, CHECKOUT / "bin" / "demo", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        # Its steps are to find the library from anywhere.
        cwd="/",
        env={**os.environ, "PYTHONPATH": ""},
    )


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert demo.main(["--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "is not empty and holds no earlier demo; choose another" in error
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_earlier_demo_is_cleared_and_nothing_else(tmp_path):
    for name in ("videos", "shards", "run", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    (tmp_path / "demo.json").write_text("{}")
    demo._start_over(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert demo.main(["--out", str(tmp_path / "file" / "demo")]) == 1
    assert "choose another folder with --out" in capsys.readouterr().err


def test_a_seed_below_zero_is_refused(tmp_path, capsys):
    assert demo.main(["--out", str(tmp_path), "--seed", "-1"]) == 2
    assert "--seed must be at least 0, got -1" in capsys.readouterr().err


def test_a_step_that_fails_ends_the_demo(tmp_path, capfd):
    with pytest.raises(
        WlaslError, match="bin/shard failed with exit code 1; see above"
    ):
        demo._command("shard", "--src", tmp_path / "nothing", "--out", tmp_path / "out")
    captured = capfd.readouterr()
    assert captured.out.startswith(f"$ bin/shard --src {tmp_path}/nothing --out ")
    assert "bin/shard: " in captured.err


def test_without_a_checkout_the_commands_have_their_installed_names(
    monkeypatch, tmp_path
):
    # A library of the current folder is not ours.
    (tmp_path / "wlasl_tfrecord.py").write_text("raise SystemExit('hostile')")
    monkeypatch.setattr(demo.wlasl_tfrecord, "__file__", "/site/wlasl_tfrecord/x.py")
    assert demo._name("shard") == "wlasl-shard"
    done = subprocess.run(
        [*demo._program("shard"), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("usage: wlasl-shard")


def test_every_command_that_it_shows_exists():
    for name in ("shard", "train", "evaluate", "predict"):
        assert (CHECKOUT / "bin" / name).is_file()
        assert (CHECKOUT / "wlasl_tfrecord" / "cli" / f"{name}.py").is_file()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_demo_learns_signs_of_signers_it_has_never_seen(tmp_path):
    out = tmp_path / "demo"
    done = run_demo("--quick", "--out", out, timeout_seconds=300)
    assert done.returncode == 0, done.stderr
    assert "--quick learns next to nothing" in done.stdout
    names = ("evaluation.json", "predictions.csv", "confusion.png")
    evaluated = [f"run/evaluation-test/{name}" for name in names]
    for name in ("run/model.keras", "run/history.png", *evaluated):
        assert (out / name).stat().st_size > 0

    # In the place of the quick one.
    done = run_demo("--out", out, timeout_seconds=1100)
    assert done.returncode == 0, done.stderr
    report = json.loads(
        (out / "run" / "evaluation-test" / "evaluation.json").read_text()
    )
    assert report["num_clips"] == 64
    assert report["per_clip"]["top1"] >= 0.8
    # Chance between the two of a pair is one half; and a model that sees no order
    # cannot be right on more than that.
    pairs = ("rise", "fall", "open", "close")
    told_apart = [report["glosses"][gloss]["top1"] for gloss in pairs]
    assert sum(told_apart) / len(pairs) >= 0.8
    assert "[6/6]" in done.stdout
    assert "--quick" not in done.stdout

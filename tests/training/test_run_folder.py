"""The run folder's files: whole, versioned, and found again."""

import contextlib
import os
import subprocess

import pytest

from wlasl_tfrecord import files
from wlasl_tfrecord.errors import OutputError, TrainingError
from wlasl_tfrecord.network import model_info
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.training import run_config, run_folder

INFO = model_info.ModelInfo(
    glosses=("book", "naïve"),
    clip=ClipSpec(num_frames=5),
    framing="pad",
    recipe={"name": "mine", "alpha": 0.35},
)


def test_what_is_written_is_read_back(tmp_path):
    model_info.write_model_info(tmp_path, INFO)
    (tmp_path / "model.keras").touch()
    assert model_info.read_model_info(tmp_path) == INFO
    assert model_info.read_model_info(tmp_path / "model.keras") == INFO


def test_a_newer_format_is_refused(tmp_path):
    model_info.write_model_info(tmp_path, INFO)
    (tmp_path / "model.keras").touch()
    path = tmp_path / "model.json"
    path.write_text(
        path.read_text().replace('"format_version": 1', '"format_version": 2')
    )
    with pytest.raises(TrainingError, match="has format 2, this release reads up to 1"):
        model_info.read_model_info(tmp_path)


@pytest.mark.parametrize("text", ["{", '{"format_version": 1}', "[]"])
def test_damage_is_named(text, tmp_path):
    (tmp_path / "model.json").write_text(text)
    (tmp_path / "model.keras").touch()
    with pytest.raises(TrainingError, match=r"model.json .*train again"):
        model_info.read_model_info(tmp_path)


def test_the_newest_run_is_found(tmp_path):
    for age, name in enumerate(["b", "a"]):
        model_info.write_model_info(tmp_path / name, INFO)
        os.utime(tmp_path / name / "model.json", (1000 - age, 1000 - age))
    assert model_info.find_run(tmp_path).name == "b"
    with pytest.raises(
        TrainingError, match=r"no trained model under .*; run bin/train"
    ):
        model_info.find_run(tmp_path / "a")


def test_a_folder_that_a_run_wrote_nothing_into_is_taken_away(tmp_path):
    for name, is_kept in (("new", False), ("filled", True), ("old", True)):
        run_dir = tmp_path / name
        if name == "old":
            run_dir.mkdir()
        with contextlib.suppress(KeyError), run_folder.own_folder(run_dir):
            if name == "filled":
                (run_dir / "config.json").write_text("{}")
            raise KeyError
        assert run_dir.exists() == is_kept


def test_a_place_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*; free some space, or"):
        files.write_json(tmp_path / "file" / "x.json", {})
    with pytest.raises(OutputError, match=r"file/run: .*/file is no folder; choose"):
        run_folder.check_place(tmp_path / "file" / "run")
    # Where not even root may write; elsewhere it may anywhere.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match=r"new/run: .* is not writable; choose ano"):
        run_folder.check_place(tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[]", "TypeError"),
        ('{"data": 7, "index_sha256": {}, "training": {}}', "data is 7"),
        ('{"data": "x", "index_sha256": 1, "training": {}}', "index_sha256 is 1"),
        ('{"data": "x", "index_sha256": {}}', "KeyError: 'training'"),
        ('{"data": "x", "index_sha256": {}, "training": {"x": 1}}', "argument 'x'"),
        ('{"data": "x", "index_sha256": {}, "training": {"epochs": 0}}', "got 0"),
        ('{"data": "x", "index_sha256": {}, "training": {"epochs": "0"}}', "got '0'"),
    ],
)
def test_a_damaged_config_is_named(text, what, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(TrainingError, match=r"config.json is damaged or of .*") as why:
        run_config.read_run_config(tmp_path)
    assert what in str(why.value)
    assert str(why.value).endswith("train again with another --out")


def test_a_checkout_counts_only_if_the_package_is_part_of_it(tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=0"]
        return subprocess.check_output(
            ["git", *who, *arguments], cwd=tmp_path, text=True
        ).strip()

    git("init", "-q")
    for name in ("theirs.py", "ours.py"):
        (tmp_path / name).write_text(name)
    git("add", "theirs.py")
    git("commit", "-q", "-m", "Begin")
    head = git("rev-parse", "HEAD")
    assert run_config._git_revision(tmp_path / "theirs.py") == head
    assert run_config._git_revision(tmp_path / "ours.py") is None
    (tmp_path / "theirs.py").write_text("changed")
    assert run_config._git_revision(tmp_path / "theirs.py") == f"{head}-dirty"
    assert run_config._git_revision(tmp_path / "none" / "x.py") is None

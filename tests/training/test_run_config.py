"""config.json: damage is named, and the commit is that of the package."""

import json
import subprocess

import pytest

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.training import run_config

STORED = {"data": "x", "recipe_sha256": "", "index_sha256": {}, "training": {}}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (None, "TypeError"),
        ({"data": 7}, "data is 7"),
        ({"index_sha256": 1}, "index_sha256 is 1"),
        ({"recipe_sha256": None}, "recipe_sha256 is None"),
        *(({name: ...}, f"KeyError: '{name}'") for name in STORED),
        ({"training": {"x": 1}}, "argument 'x'"),
        ({"training": {"epochs": 0}}, "got 0"),
        ({"training": {"epochs": "0"}}, "got '0'"),
    ],
)
def test_a_damaged_config_is_named(changes, what, tmp_path):
    value: object = []
    if changes is not None:
        value = {k: v for k, v in {**STORED, **changes}.items() if v is not ...}
    (tmp_path / "config.json").write_text(json.dumps(value))
    with pytest.raises(TrainingError, match=r"config.json is damaged or of .*") as why:
        run_config.read_run_config(tmp_path)
    assert what in str(why.value)
    assert str(why.value).endswith("train again with another --out")


def test_a_forged_name_of_a_recipe_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    value = {**STORED, "recipe_sha256": "0" * 64, "training": {"recipe": "a\nb\x1b.py"}}
    (tmp_path / "config.json").write_text(json.dumps(value))
    stored = run_config.read_run_config(tmp_path)
    with pytest.raises(
        TrainingError, match=r"the recipe a\\nb\\x1b\.py, which is code"
    ):
        run_config.trusted_recipe(tmp_path, stored)


def test_a_checkout_counts_only_if_the_package_is_part_of_it(tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=0"]
        return subprocess.check_output(
            ["git", *who, *arguments], cwd=tmp_path, text=True
        ).strip()

    git("init", "-q")
    ours = tmp_path / "wlasl_tfrecord" / "training" / "run_config.py"
    installed = tmp_path / "venv" / "wlasl_tfrecord" / "training" / "run_config.py"
    for path in (ours, installed):
        path.parent.mkdir(parents=True)
        path.write_text("")
    git("add", ".")
    git("commit", "-q", "-m", "Begin")
    head = git("rev-parse", "HEAD")
    assert run_config._git_revision(ours) == head
    # Even if the repository says that it has it: its settings may name commands.
    git("config", "core.fsmonitor", f"touch {tmp_path}/was-run; false")
    assert run_config._git_revision(installed) is None
    assert not (tmp_path / "was-run").exists()
    ours.write_text("changed")
    assert run_config._git_revision(ours) == f"{head}-dirty"

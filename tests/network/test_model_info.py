"""model.json: whole, versioned, and found again."""

import json
import os

import pytest

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.network import model_info
from wlasl_tfrecord.shard_format.clips import ClipSpec

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
        path.read_text().replace('"format_version": 1', '"format_version": 3')
    )
    with pytest.raises(TrainingError, match="has format 3, this release reads up to 2"):
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


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("format_version", "1", "format_version must be a number, got '1'"),
        ("format_version", float("inf"), "format_version must be a number, got inf"),
        ("glosses", "book", "glosses must be a list, got 'book'"),
        ("glosses", ["a\nb"], "a gloss must be one line of text, got 'a"),
        ("glosses", [1], "a gloss must be one line of text, got 1"),
        ("glosses", ["\ud800"], "a gloss must be valid Unicode, got "),
        ("glosses", ["a"] * 20_001, "at most 20,000 glosses are possible, got 20,001"),
        ("clip", {"num_frames": 10**9, "height": 1, "width": 1}, "num_frames must be"),
        ("framing", "x" * 10**6, "framing must be one of center, squash, pad, got 'x"),
        ("recipe", ["x"], "recipe must be an object, got "),
        ("recipe", {"name": []}, r"the name of a recipe must be text, got \[\]"),
        ("recipe_sha256", 7, "recipe_sha256 must be text, got 7"),
    ],
)
def test_a_forged_description_is_refused_in_one_line(tmp_path, name, wrong, message):
    model_info.write_model_info(tmp_path, INFO)
    (tmp_path / "model.keras").touch()
    path = tmp_path / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: wrong}))
    with pytest.raises(TrainingError, match=f"model.json is damaged .*{message}") as e:
        model_info.read_model_info(tmp_path)
    assert len(str(e.value)) < 600


def test_nesting_without_end_is_one_line(tmp_path):
    (tmp_path / "model.json").write_text("[" * 10**6)
    (tmp_path / "model.keras").touch()
    with pytest.raises(TrainingError, match=r"cannot read .*\(nested too deeply\)"):
        model_info.read_model_info(tmp_path)

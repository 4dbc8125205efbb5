"""The run folder's files: whole, versioned, and found again."""

import os

import pytest

from wlasl_tfrecord import runs
from wlasl_tfrecord.clips import ClipSpec
from wlasl_tfrecord.errors import OutputError, TrainingError

INFO = runs.ModelInfo(
    glosses=("book", "naïve"),
    clip=ClipSpec(num_frames=5),
    framing="pad",
    recipe={"name": "mine", "alpha": 0.35},
)


def test_what_is_written_is_read_back(tmp_path):
    runs.write_model_info(tmp_path, INFO)
    assert runs.read_model_info(tmp_path) == INFO
    assert runs.read_model_info(tmp_path / "model.keras") == INFO


def test_a_newer_format_is_refused(tmp_path):
    runs.write_model_info(tmp_path, INFO)
    path = tmp_path / "model.json"
    path.write_text(
        path.read_text().replace('"format_version": 1', '"format_version": 2')
    )
    with pytest.raises(TrainingError, match="has format 2, this release reads up to 1"):
        runs.read_model_info(tmp_path)


@pytest.mark.parametrize("text", ["{", '{"format_version": 1}', "[]"])
def test_damage_is_named(text, tmp_path):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(TrainingError, match=r"model.json .*train again"):
        runs.read_model_info(tmp_path)


def test_the_newest_run_is_found(tmp_path):
    for age, name in enumerate(["b", "a"]):
        runs.write_model_info(tmp_path / name, INFO)
        os.utime(tmp_path / name / "model.json", (1000 - age, 1000 - age))
    assert runs.find_run(tmp_path).name == "b"
    with pytest.raises(
        TrainingError, match=r"no trained model under .*; run bin/train"
    ):
        runs.find_run(tmp_path / "a")


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*; free some space, or"):
        runs.write_json(tmp_path / "file" / "x.json", {})

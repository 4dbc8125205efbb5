"""A run that is there already: gone on with, left alone, or refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_training import RECIPE, config, final_weights, run

from wlasl_tfrecord.errors import RecipeError, TrainingError
from wlasl_tfrecord.training import checkpoints

FINISHED = {"epochs": 2}


@pytest.fixture(scope="module")
def original(shards, tmp_path_factory):
    """A recipe of its own, and the report and the folder of a finished run with it."""
    place = tmp_path_factory.mktemp("original")
    mine = place / "mine.py"
    mine.write_text(RECIPE)
    configuration = config(str(mine), **FINISHED)
    report, _ = run(shards, place / "run", configuration, checkpoint_minutes=0)
    return mine, report, place / "run"


@pytest.fixture
def finished(original, tmp_path):
    """The same, with a copy of the folder to go on in."""
    mine, report, folder = original
    shutil.copytree(folder, tmp_path / "run")
    return str(mine), report, tmp_path / "run"


def test_other_options_do_not_go_on_with_a_run(shards, finished):
    mine, _, folder = finished
    with pytest.raises(TrainingError, match=r"other options \(learning_rate 0.01, not"):
        run(shards, folder, config(mine, learning_rate=0.1, **FINISHED))


def test_a_start_that_failed_keeps_the_folder_for_other_options(
    shards, recipe, tmp_path
):
    # As for want of a network to download the weights.
    with pytest.raises(RecipeError, match="too small for MobileNetV2"):
        run(shards, tmp_path / "run", config("mobilenetv2_lstm"))
    report, _ = run(shards, tmp_path / "run", config(recipe, epochs=1))
    assert report.num_epochs == 1


def test_an_edited_recipe_does_not_go_on(shards, finished):
    mine, _, folder = finished
    for before, after in (("units=8", "units=9"), ("momentum=0.9", "momentum=0.8")):
        Path(mine).write_text(RECIPE.replace(before, after))
        with pytest.raises(
            TrainingError,
            match=r"mine.py has changed since .*run was started with it; put",
        ):
            run(shards, folder, config(mine, **FINISHED))
    Path(mine).write_text(RECIPE)
    _, lines = run(shards, folder, config(mine, **FINISHED))
    assert any("going on from step 6" in line for line in lines)


def test_a_finished_run_is_not_trained_again(shards, finished):
    mine, first, folder = finished
    before = final_weights(folder)
    second, _ = run(shards, folder, config(mine, **FINISHED))
    assert second.best == first.best
    assert (second.num_epochs, second.seconds) == (first.num_epochs, first.seconds)
    for one, other in zip(before, final_weights(folder), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_that_is_gone_is_written_again(shards, finished):
    mine, _, folder = finished
    before = final_weights(folder)
    (folder / "model.keras").unlink()
    (folder / "model.json").unlink()
    run(shards, folder, config(mine, **FINISHED), save_h5=True)
    for one, other in zip(before, final_weights(folder), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (folder / "model.h5").is_file()
    assert (folder / "model.json").is_file()


def test_a_checkpoint_of_another_release_falls_back(shards, finished):
    mine, _, folder = finished
    older, newest = sorted((folder / "checkpoints").iterdir())
    with np.load(newest) as stored:
        arrays = dict(stored)
    progress = json.loads(arrays["progress.json"].tobytes())
    progress["what_is_new"] = 1
    text = np.frombuffer(json.dumps(progress).encode(), np.uint8)
    np.savez(newest, **{**arrays, "progress.json": text})
    _, lines = run(shards, folder, config(mine, **FINISHED))
    assert f"{newest} is damaged or of another release (" in lines[0]
    assert "'what_is_new'); trying the one before" in lines[0]
    step = int(older.stem.split("-")[1])
    assert any(line.startswith(f"going on from step {step} ") for line in lines)
    # And comes to the same end, by the same clips and with the same optimizer.
    del arrays["progress.json"]
    again = checkpoints.load_newest(folder / "checkpoints", print)
    assert again is not None
    assert again.arrays.keys() == arrays.keys()
    assert any(name.startswith("optimizer/") for name in arrays)
    for name, array in arrays.items():
        np.testing.assert_allclose(again.arrays[name], array, atol=1e-6, err_msg=name)


def test_damaged_features_are_computed_again_and_leftovers_go(shards, finished):
    from wlasl_tfrecord.training import feature_files

    mine, _, folder = finished
    first, second = sorted((folder / "features").glob("train-*.npy"))
    whole = first.read_bytes()
    first.write_bytes(whole[:300])
    before = second.stat().st_mtime_ns
    shutil.rmtree(folder / "checkpoints")
    leftover = folder / "features" / ".train-0-0.npy.host.1.part"
    leftover.write_bytes(b"half")
    _, lines = run(shards, folder, config(mine, **FINISHED))
    assert [line for line in lines if line.startswith("features ")] == [
        "features train-0: 14 clips"
    ]
    assert first.read_bytes() == whole
    assert feature_files.is_whole(first)
    assert second.stat().st_mtime_ns == before
    assert not leftover.exists()

"""A run that is there already: gone on with, left alone, or refused."""

import json

import numpy as np
import pytest
from small_training import RECIPE, config, final_weights, run

from wlasl_tfrecord.errors import RecipeError, TrainingError


def test_other_options_do_not_go_on_with_a_run(shards, recipe, tmp_path):
    run(shards, tmp_path, config(recipe, epochs=1))
    with pytest.raises(TrainingError, match=r"other options \(learning_rate 0.01, not"):
        run(shards, tmp_path, config(recipe, epochs=1, learning_rate=0.1))


def test_a_start_that_failed_keeps_the_folder_for_other_options(
    shards, recipe, tmp_path
):
    # As for want of a network to download the weights.
    with pytest.raises(RecipeError, match="too small for MobileNetV2"):
        run(shards, tmp_path / "run", config("mobilenetv2_lstm"))
    report, _ = run(shards, tmp_path / "run", config(recipe, epochs=1))
    assert report.num_epochs == 1


@pytest.mark.parametrize(
    ("before", "after"), [("units=8", "units=9"), ("momentum=0.9", "momentum=0.8")]
)
def test_an_edited_recipe_does_not_go_on(shards, tmp_path, before, after):
    mine = tmp_path / "mine.py"
    mine.write_text(RECIPE)
    run(shards, tmp_path / "run", config(str(mine), epochs=1))
    mine.write_text(RECIPE.replace(before, after))
    with pytest.raises(
        TrainingError, match=r"mine.py has changed since .*run was started with it; put"
    ):
        run(shards, tmp_path / "run", config(str(mine), epochs=1))
    mine.write_text(RECIPE)
    _, lines = run(shards, tmp_path / "run", config(str(mine), epochs=1))
    assert any("going on from step 3" in line for line in lines)


def test_a_finished_run_is_not_trained_again(shards, recipe, tmp_path):
    first, _ = run(shards, tmp_path, config(recipe, epochs=2))
    before = final_weights(tmp_path)
    second, _ = run(shards, tmp_path, config(recipe, epochs=2))
    assert second == first
    for one, other in zip(before, final_weights(tmp_path)):
        np.testing.assert_array_equal(one, other)


def test_a_model_that_is_gone_is_written_again(shards, recipe, tmp_path):
    run(shards, tmp_path, config(recipe, epochs=2))
    before = final_weights(tmp_path)
    (tmp_path / "model.keras").unlink()
    (tmp_path / "model.json").unlink()
    run(shards, tmp_path, config(recipe, epochs=2), save_h5=True)
    for one, other in zip(before, final_weights(tmp_path)):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "model.h5").is_file()
    assert (tmp_path / "model.json").is_file()


def test_a_checkpoint_of_another_release_falls_back(shards, recipe, tmp_path):
    run(shards, tmp_path, config(recipe, epochs=2), checkpoint_minutes=0)
    older, newest = sorted((tmp_path / "checkpoints").iterdir())
    with np.load(newest) as stored:
        arrays = dict(stored)
    progress = json.loads(arrays["progress.json"].tobytes())
    progress["what_is_new"] = 1
    text = np.frombuffer(json.dumps(progress).encode(), np.uint8)
    np.savez(newest, **{**arrays, "progress.json": text})
    _, lines = run(shards, tmp_path, config(recipe, epochs=2))
    assert f"{newest} is damaged or of another release (" in lines[0]
    assert "'what_is_new'); trying the one before" in lines[0]
    step = int(older.stem.split("-")[1])
    assert any(line.startswith(f"going on from step {step} ") for line in lines)

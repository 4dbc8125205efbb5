"""A run that is there already: resumed to the bit, left alone, or refused."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checkout import CHECKOUT
from small_training import RECIPE, config, final_weights, run
from training_processes import (
    final_state,
    start,
    steps_done,
    wait_for_step,
    write_place,
)

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
    """The same, with a copy of the folder to resume in."""
    mine, report, folder = original
    shutil.copytree(folder, tmp_path / "run")
    return str(mine), report, tmp_path / "run"


def test_other_options_do_not_resume_a_run(shards, finished):
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


def test_an_edited_recipe_does_not_resume(shards, finished):
    mine, _, folder = finished
    for before, after in (("units=8", "units=9"), ("momentum=0.9", "momentum=0.8")):
        Path(mine).write_text(RECIPE.replace(before, after))
        with pytest.raises(
            RecipeError,
            match=r"mine.py is not the recipe that was trained with: it has changed",
        ):
            run(shards, folder, config(mine, **FINISHED))
    Path(mine).write_text(RECIPE)
    _, lines = run(shards, folder, config(mine, **FINISHED))
    assert any("resuming from step 6" in line for line in lines)


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
    assert any(line.startswith(f"resuming from step {step} ") for line in lines)
    # And comes to the same end, by the same clips and with the same optimizer.
    del arrays["progress.json"]
    again = checkpoints.load_newest(folder / "checkpoints", print)
    assert again is not None
    assert again.arrays.keys() == arrays.keys()
    assert any(name.startswith("optimizer/") for name in arrays)
    for name, array in arrays.items():
        np.testing.assert_allclose(again.arrays[name], array, atol=1e-6, err_msg=name)


def without_the_best(progress, arrays):
    progress.update(phase_over=False)
    arrays.pop(next(name for name in arrays if name.startswith("best/")))


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (lambda progress, _: progress.update(rows=[]), "is no place in this run"),
        (lambda progress, _: progress.update(phase=9), "is no place in this run"),
        (without_the_best, "it has no best/"),
    ],
)
def test_a_forged_checkpoint_is_one_line(shards, finished, forge, message):
    mine, _, folder = finished
    for path in (folder / "checkpoints").iterdir():
        with np.load(path) as stored:
            arrays = dict(stored)
        progress = json.loads(arrays.pop("progress.json").tobytes())
        forge(progress, arrays)
        text = np.frombuffer(json.dumps(progress).encode(), np.uint8)
        np.savez(path, **{**arrays, "progress.json": text})
    with pytest.raises(TrainingError, match=message):
        run(shards, folder, config(mine, **FINISHED))


def test_a_damaged_cache_is_computed_again_and_leftovers_go(shards, finished):
    mine, _, folder = finished
    first, second = sorted((folder / "feature_cache").glob("train-*.npy"))
    whole = first.read_bytes()
    first.write_bytes(whole[:300])
    before = second.stat().st_mtime_ns
    shutil.rmtree(folder / "checkpoints")
    leftover = folder / "feature_cache" / ".host.1.part.train-0-0.npy"
    leftover.write_bytes(b"half")
    _, lines = run(shards, folder, config(mine, **FINISHED))
    assert [line for line in lines if line.startswith("feature cache ")] == [
        "feature cache train-0: 14 clips"
    ]
    assert first.read_bytes() == whole
    assert second.stat().st_mtime_ns == before
    assert not leftover.exists()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write_place(tmp_path_factory.mktemp("resume"))


@pytest.mark.slow
def test_killed_three_times_it_ends_with_the_same_bits(place):
    undisturbed = start(place, "undisturbed")
    output = undisturbed.communicate(timeout=500)[0]
    assert undisturbed.returncode == 0, output
    # 30 steps of 5 an epoch in either phase; the kills fall into both.
    draw = random.Random(0)
    for low, high in ((3, 12), (14, 28), (34, 56)):
        process = start(place, "killed")
        wait_for_step(process, place / "killed", draw.randint(low, high))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if low == 3:
            # From here on, as if each checkpoint had been minutes before the kill: the
            # steps since then are done twice, the files about them written twice.
            old = sorted((place / "killed" / "checkpoints").iterdir())[-1]
            kept = old.read_bytes()
        elif low == 14:
            shutil.rmtree(place / "killed" / "checkpoints")
            old.parent.mkdir()
            old.write_bytes(kept)
    # That it was --deterministic is remembered.
    command = [sys.executable, "-m", "wlasl_tfrecord.cli.train", "--resume", "killed"]
    last = subprocess.Popen(
        command,
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "CUDA_VISIBLE_DEVICES": "-1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output = last.communicate(timeout=500)[0]
    assert last.returncode == 0, output
    assert "resuming from step" in output
    step, rows, arrays = final_state(place / "undisturbed")
    other_step, other_rows, other_arrays = final_state(place / "killed")
    assert step == other_step == 60
    assert rows == other_rows
    assert [row["phase"] for row in rows] == ["head"] * 6 + ["fine-tune"] * 6
    assert arrays.keys() == other_arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, other_arrays[name], err_msg=name)


@pytest.mark.slow
def test_sigterm_saves_and_resume_continues(place):
    process = start(place, "stopped", "--checkpoint-minutes", "60")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("head 1/6"):
            process.send_signal(signal.SIGTERM)
    process.stdout.close()
    assert process.wait() == 1, "".join(lines)
    assert "stopping after this step; the same signal once more" in lines[-2]
    assert "stopped by SIGTERM; stopped/checkpoints/step-" in lines[-1]
    assert "resume with bin/train --resume stopped" in lines[-1]
    assert steps_done(place / "stopped") >= 5

    resumed = subprocess.run(
        [sys.executable, "-m", "wlasl_tfrecord.cli.train", "--resume", "stopped"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming from step" in resumed.stderr
    assert resumed.stdout.startswith("best of 12 epochs in ")

"""Training on small shard folders, from the start to a saved model."""

import hashlib
import json
import signal
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from limits import largest_file
from small_training import RECIPE, config, final_weights, run

from wlasl_tfrecord.errors import RecipeError, TrainingError
from wlasl_tfrecord.shard_format.shard_folder import load_folder
from wlasl_tfrecord.training import run_config

SHORT = {"epochs": 1, "fine_tune_epochs": 1, "fine_tune_blocks": 1}


def read_events(directory):
    """Reads what TensorBoard would: (step, value) of all event files."""
    import tensorflow as tf

    found = []
    for path in sorted(directory.iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            found += [(event.step, value) for value in event.summary.value]
    return found


def test_a_run_folder_describes_itself(shards, recipe, tmp_path):
    import keras

    from wlasl_tfrecord.network import model_info
    from wlasl_tfrecord.training import history

    report, lines = run(shards, tmp_path / "run", config(recipe), save_h5=True)
    folder = tmp_path / "run"
    assert report.num_epochs == 3
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "checkpoints",
        "config.json",
        "feature_cache",
        "history.csv",
        "history.png",
        "model.h5",
        "model.json",
        "model.keras",
        "tensorboard",
    }
    assert not [name for name in names if name.startswith(".")]
    from_keras, from_h5 = (
        keras.models.load_model(folder / f"model.{suffix}", compile=False)
        for suffix in ("keras", "h5")
    )
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 16, 3), np.uint8)
    np.testing.assert_allclose(
        from_keras.predict(frames, verbose=0),
        from_h5.predict(frames, verbose=0),
        atol=1e-6,
    )
    info = model_info.read_model_info(folder)
    assert info.glosses == ("book", "drink", "computer")
    assert info.clip.shape == (3, 16, 16, 3)
    assert info.recipe["name"] == "tiny"
    stored = json.loads((folder / "config.json").read_text())
    assert stored["training"]["batch_size"] == 4
    assert {"tensorflow", "keras"} <= set(stored["versions"])
    assert stored["data"] == str(shards)
    assert stored["index_sha256"] == dict(load_folder(shards).table_sha256)
    assert stored["command_line"] == sys.argv
    assert stored["git_revision"] == run_config._git_revision(Path(run_config.__file__))
    digest = hashlib.sha256(Path(recipe).read_bytes()).hexdigest()
    assert stored["recipe_sha256"] == digest
    rows = history.read_history(folder)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert {row["phase"] for row in rows} == {"head"}
    assert all(row["val_top5"] == 1 for row in rows)  # there are only three glosses
    assert (folder / "history.png").read_bytes().startswith(b"\x89PNG")
    assert any("head 3/3" in line for line in lines)
    assert any("feature cache train-1: 14 clips" in line for line in lines)
    events = read_events(folder / "tensorboard")
    for tag in ("loss", "val_top1", "learning_rate", "input_wait"):
        points = [(step, e.simple_value) for step, e in events if e.tag == tag]
        assert points == [(n, pytest.approx(row[tag])) for n, row in enumerate(rows, 1)]
    images = [one.image for _, one in events if one.tag == "confusion"]
    assert len(images) == sum(" * |" in line for line in lines) >= 1
    picture = cv2.imdecode(
        np.frombuffer(images[0].encoded_image_string, np.uint8), cv2.IMREAD_COLOR
    )
    assert picture.shape[0] > 200
    assert picture.shape[1] > 200


@pytest.fixture(scope="module")
def short_runs(write_folder, recipe, tmp_path_factory):
    """What short trainings told, by their weights: shards, folder, report, lines.

    There is nothing to validate with, so the last epoch is the one that is kept.
    """
    sizes = {"num_frames": 3, "height": 16, "width": 16}
    unvalidated = tmp_path_factory.mktemp("unvalidated") / "shards"
    write_folder(unvalidated, {"train": 14}, **sizes)
    run_folder = {}
    for weights in ("somewhere", "none"):
        folder = tmp_path_factory.mktemp("short")
        short = config(recipe, weights=weights, **SHORT)
        run_folder[weights] = unvalidated, folder, *run(unvalidated, folder, short)
    return run_folder


def test_the_second_phase_trains_the_last_blocks_but_no_batch_norm(short_runs, recipe):
    import keras

    from wlasl_tfrecord.network import recipes
    from wlasl_tfrecord.shard_format.clips import ClipSpec

    _, folder, report, _ = short_runs["somewhere"]
    keras.utils.set_random_seed(0)
    fresh = recipes.load_recipe(recipe).build(
        ClipSpec(num_frames=3, height=16, width=16), 3, {"weights": "somewhere"}
    )
    trained = keras.models.load_model(folder / "model.keras", compile=False)
    assert report.best["phase"] == "fine-tune"
    history = (folder / "history.csv").read_text()
    assert history.count("\nhead,") == 1
    assert history.count("\nfine-tune,") == 1
    before = {w.path: np.asarray(w.value) for w in fresh.get_layer("backbone").weights}
    changed = {
        weight.path
        for weight in trained.get_layer("backbone").weights
        if not np.array_equal(before[weight.path], weight.value)
    }
    assert changed == {"conv1/kernel", "conv1/bias"}


@pytest.mark.parametrize("weights", ["somewhere", "none"])
def test_rematerialisation_ends_with_the_same_weights(
    short_runs, recipe, tmp_path, weights
):
    shards, folder, _, _ = short_runs[weights]
    run(shards, tmp_path, config(recipe, weights=weights, remat=True, **SHORT))
    for one, other in zip(final_weights(folder), final_weights(tmp_path), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"fine_tune_epochs": 1}, {"weights": "none", "remat": True}]
)
def test_a_recipe_without_blocks_is_named(shards, tmp_path, options):
    whole = tmp_path / "whole.py"
    whole.write_text(RECIPE.replace("def backbone_blocks", "def _blocks"))
    with pytest.raises(
        TrainingError, match=r"whole.py has no function backbone_blocks, .* --remat and"
    ):
        run(shards, tmp_path / "run", config(str(whole), epochs=1, **options))
    # Before the first phase, so that a mended recipe finds no other run there.
    assert not (tmp_path / "run").exists()


def test_from_scratch_everything_is_trained_in_one_phase(short_runs):
    _, folder, report, lines = short_runs["none"]
    assert report.best["phase"] == "all"
    assert any("one phase trains the whole network" in line for line in lines)
    assert not (folder / "feature_cache").exists()


def test_a_full_disk_is_a_line(short_runs, recipe, tmp_path):
    from wlasl_tfrecord.errors import OutputError
    from wlasl_tfrecord.network import recipes, saving
    from wlasl_tfrecord.training import tensorboard

    log = tensorboard.EventLog(tmp_path / "tensorboard")
    with (
        largest_file(10),
        pytest.raises(
            OutputError,
            match=r"cannot write to .*/tensorboard \(.*\); free some space and resume",
        ),
    ):
        log.scalars({"loss": 1.0}, 1)
    shards, folder, _, _ = short_runs["somewhere"]
    with (
        largest_file(1000),
        pytest.raises(
            OutputError, match=r"cannot write .*/model.h5 \(.*; free some space, and"
        ),
    ):
        saving.save_h5(
            folder,
            recipes.load_recipe(recipe),
            load_folder(shards),
            {"weights": "somewhere"},
            print,
        )
    assert not list(folder.glob(".*"))


def test_parts_that_do_not_divide_the_batch_are_refused(shards, recipe, tmp_path):
    with pytest.raises(ValueError, match="--accumulate 3 does not divide the 4 clips"):
        run(shards, tmp_path, config(recipe, accumulate=3))


def test_clips_that_are_computed_alone_are_not_mixed(shards, recipe, tmp_path):
    with pytest.raises(
        ValueError, match=r"--mixup 0\.2 mixes clips that are computed t"
    ):
        run(shards, tmp_path, config(recipe, accumulate=4, mixup=0.2))
    assert not list(tmp_path.iterdir())


def test_a_batch_larger_than_the_split_is_refused(shards, recipe, tmp_path):
    with pytest.raises(ValueError, match="batch_size 16 is larger than the split"):
        run(shards, tmp_path, config(recipe, batch_size=16))
    assert not list(tmp_path.iterdir())


def test_a_recipe_that_h5_cannot_hold_is_named(short_runs, tmp_path):
    from wlasl_tfrecord.network import recipes, saving

    shards, folder, _, _ = short_runs["somewhere"]
    folding = tmp_path / "folding.py"
    source = RECIPE.replace(", fold_time=True", "").replace("if fold_time", "if True")
    folding.write_text(source)
    with pytest.raises(RecipeError, match=r"cannot be written as h5, which holds"):
        saving.save_h5(
            folder,
            recipes.load_recipe(str(folding)),
            load_folder(shards),
            {"weights": "somewhere"},
            print,
        )
    assert not list(folder.glob("*.h5"))
    # Before the training, if h5 is asked for.
    options = config(str(folding), epochs=1)
    with pytest.raises(RecipeError, match=r"cannot be written as h5, which holds"):
        run(shards, tmp_path / "run", options, save_h5=True)
    assert not (tmp_path / "run").exists()


def test_options_that_h5_cannot_hold_are_refused_before_the_training(shards, tmp_path):
    shifting = tmp_path / "shifting.py"
    refusal = "    if not fold_time:\n        raise ValueError('it shifts')\n"
    shifting.write_text(RECIPE.replace("    inputs =", refusal + "    inputs =", 1))
    options = config(str(shifting), epochs=1)
    with pytest.raises(RecipeError, match="it shifts"):
        run(shards, tmp_path / "run", options, save_h5=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_sixteen_bits_train_both_phases_and_save_float32(
    shards, recipe, tmp_path, precision
):
    import keras

    options = {"precision": precision, "epochs": 1, "fine_tune_epochs": 1}
    report, lines = run(shards, tmp_path, config(recipe, **options))
    assert report.num_epochs == 2
    assert f", {precision}) on 14 clips" in lines[0]
    saved = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert {layer.compute_dtype for layer in saved.layers} <= {"float32", "uint8"}
    bits = np.load(next((tmp_path / "feature_cache").glob("train-0-*.npy"))).dtype
    assert bits == ("uint16" if precision == "mixed_bfloat16" else "float16")


WHOLE = {
    "freeze_backbone": False,
    "train_frames": 1,
    "weight_average": 0.9,
    "min_scale": 0.6,
    "mixup": 0.4,
    "flip_probability": 0.5,
    "choose_by": "last",
}


def test_a_network_trained_whole_on_few_frames_is_saved_for_all_of_them(
    shards, recipe, tmp_path
):
    import keras

    options = config(recipe, **WHOLE)
    report, lines = run(shards, tmp_path / "run", options)
    assert (report.best["phase"], report.best["epoch"]) == ("all", 3)
    assert "the backbone is not frozen: one phase trains the whole network" in lines
    model = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    assert model.input_shape == (None, 3, 16, 16, 3)
    # The saved weights are those that were validated.
    from wlasl_tfrecord.evaluation import evaluation

    found = evaluation.evaluate(shards, tmp_path / "run")
    assert found.top(1) == pytest.approx(report.best["val_top1"])


def test_a_run_with_averaged_weights_is_resumed_exactly(shards, recipe, tmp_path):
    import keras

    run(shards, tmp_path / "whole", config(recipe, **WHOLE))

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            del batch, logs
            if self.model.optimizer.iterations == 4:
                signal.raise_signal(signal.SIGTERM)

    with pytest.raises(TrainingError, match="resume with"):
        run(shards, tmp_path / "cut", config(recipe, **WHOLE), callbacks=[Stop()])
    run(shards, tmp_path / "cut", config(recipe, **WHOLE))
    for one, other in zip(
        final_weights(tmp_path / "whole"), final_weights(tmp_path / "cut"), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_weights_that_depend_on_the_number_of_frames_are_refused(shards, tmp_path):
    path = tmp_path / "flat.py"
    path.write_text(
        "import keras\n"
        "def build_model(clip, num_classes, *, weights='imagenet'):\n"
        "    frames = keras.Input(clip.shape, dtype='uint8')\n"
        "    x = keras.layers.Rescaling(1 / 255)(keras.layers.Flatten()(frames))\n"
        "    x = keras.layers.Dense(num_classes, name='logits')(x)\n"
        "    return keras.Model(frames, keras.layers.Softmax()(x))\n"
    )
    options = config(str(path), weights="none", train_frames=1)
    with pytest.raises(RecipeError, match="weights depend on the number of frames"):
        run(shards, tmp_path / "run", options)

"""Recipes that make their weights from the shards before the first training."""

import dataclasses
import re

import numpy as np
import pytest
from small_training import run

from wlasl_tfrecord.cli import train as command
from wlasl_tfrecord.errors import RecipeError, TrainingError
from wlasl_tfrecord.inference.trained_model import load_model
from wlasl_tfrecord.network.recipes import load_recipe
from wlasl_tfrecord.shard_format.shard_folder import load_folder
from wlasl_tfrecord.training import strategies
from wlasl_tfrecord.training.config import TrainConfig
from wlasl_tfrecord.training.pretraining import pretrained_weights

# Its features are those of a seed that is in the file of weights.
RECIPE = """
import keras
import numpy as np

TRAINING = {"epochs": 1, "batch_size": 2, "feature_views": 1}


def pretrain(folder, path, *, weights, factor=1, stopped, say, max_bad_records):
    say(f"{weights} and {factor}, {len(folder.glosses)} glosses")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        np.save(file, np.float32(7 * factor))


def build_model(clip, num_classes, *, weights="imagenet", factor=1, units=3):
    scale = 0.0 if weights == "none" else float(np.load(weights))
    frames = keras.Input(clip.shape, dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(frames)
    x = keras.layers.TimeDistributed(keras.layers.GlobalAveragePooling2D())(x)
    start = keras.initializers.Constant(scale)
    x = keras.layers.Dense(units, kernel_initializer=start)(x)
    x = keras.layers.Identity(name="features")(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(frames, keras.layers.Dense(num_classes, name="logits")(x))
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "mine.py"
    path.write_text(RECIPE)
    return path


def kept(tmp_path):
    return sorted((tmp_path / "cache" / "wlasl_tfrecord" / "pretrained").glob("*"))


def test_runs_on_the_same_shards_share_what_was_pretrained(recipe, shards, tmp_path):
    config = TrainConfig(
        recipe=str(recipe), epochs=1, batch_size=2, feature_views=1, weights="none"
    )
    _, lines = run(shards, tmp_path / "first", config)
    (path,) = kept(tmp_path)
    assert re.fullmatch(r"mine-[0-9a-f]{16}\.weights\.h5", path.name)
    start = lines.index(
        f"pretraining first, once for these shards; it is kept as {path}"
    )
    assert re.fullmatch(r"none and 1, \d+ glosses", lines[start + 1])
    kernel = load_model(tmp_path / "first").network.layers[3].get_weights()[0]
    np.testing.assert_array_equal(kernel, np.full((3, 3), 7, np.float32))

    # Another seed or head shares it, other options do not.
    second = dataclasses.replace(config, seed=1, recipe_options={"units": 4})
    _, lines = run(shards, tmp_path / "second", second)
    assert f"pretrained before, with these shards: {path}" in lines
    third = dataclasses.replace(config, recipe_options={"factor": 2})
    run(shards, tmp_path / "third", third)
    assert len(kept(tmp_path)) == 2
    # Nor do shards that may be damaged.
    run(shards, tmp_path / "fourth", dataclasses.replace(config, max_bad_records=9))
    assert len(kept(tmp_path)) == 3

    # A run that is resumed has its weights in its checkpoint.
    for one in kept(tmp_path):
        one.unlink()
    run(shards, tmp_path / "first", config)
    assert kept(tmp_path) == []


def test_a_file_that_was_pretrained_is_taken_as_it_is(recipe, shards, tmp_path):
    path = tmp_path / "mine.weights.h5"
    with open(path, "wb") as file:
        np.save(file, np.float32(2))
    config = TrainConfig(recipe=str(recipe), epochs=1, batch_size=2, weights=str(path))
    run(shards, tmp_path / "run", config)
    kernel = load_model(tmp_path / "run").network.layers[3].get_weights()[0]
    np.testing.assert_array_equal(kernel, np.full((3, 3), 2, np.float32))
    assert kept(tmp_path) == []


@pytest.mark.parametrize("name", ["width", "path", "folder"])
def test_options_are_checked_before_it_begins(recipe, shards, tmp_path, name):
    # Those of a stranger's run do not say where weights go, either.
    config = TrainConfig(recipe=str(recipe), recipe_options={name: "elsewhere"})
    with pytest.raises(RecipeError, match=f"no option '{name}'; it takes weights, fac"):
        pretrained_weights(
            load_recipe(recipe),
            load_folder(shards),
            config,
            strategies.make_strategy("none"),
            (),
            pytest.fail,
        )
    assert kept(tmp_path) == []


def test_a_head_cannot_leave_out_frames(recipe, shards, tmp_path):
    # Whatever it is pretrained from; the configuration alone does not know.
    config = TrainConfig(
        recipe=str(recipe), weights="none", batch_size=2, train_frames=2
    )
    with pytest.raises(ValueError, match="needs a network that is trained whole; add"):
        run(shards, tmp_path / "run", config)
    assert kept(tmp_path) == []
    assert not (tmp_path / "run").exists()


def test_several_workers_need_one_file(recipe, shards, monkeypatch):
    monkeypatch.setattr(strategies, "is_one_of_several", lambda _: True)
    with pytest.raises(
        TrainingError,
        match="mine is pretrained first, and each of several workers would learn "
        "something else; run bin/pretrain once, and give its file to all workers",
    ):
        pretrained_weights(
            load_recipe(recipe),
            load_folder(shards),
            TrainConfig(recipe=str(recipe)),
            strategies.make_strategy("none"),
            (),
            print,
        )


@pytest.mark.parametrize(
    ("landmarks", "name"),
    [(False, "mobilenetv2_lstm"), (True, "mobilenetv2_pose_lstm")],
)
def test_the_shards_decide_what_is_trained_by_default(
    landmarks, name, write_folder, tmp_path, capsys
):
    data = write_folder(
        tmp_path / "shards",
        {"train": 2},
        num_frames=2,
        height=32,
        width=32,
        landmarks=landmarks,
    )
    options = ["--data", str(data), "--weights", "none", "--alpha", "0.35"]
    assert command.main([*options, "--check"]) == 0
    assert f"{name}.py: built, run, saved and loaded" in capsys.readouterr().out

"""Layers of a recipe's own: loaded again with it, and never with a stranger's."""

import json
import shutil
import zipfile

import numpy as np
import pytest
from small_training import config, run

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.network import saving
from wlasl_tfrecord.network.custom_layers import custom_layers

RECIPE = """
import pathlib
import keras

pathlib.Path("{marker}").touch()


def doubled(x):
    return 2 * x


class Unknown(keras.layers.Layer):
    def call(self, x):
        return doubled(x)


@keras.saving.register_keras_serializable("mine")
class Known(Unknown):
    pass


def build_model(clip, num_classes, *, weights="imagenet"):
    frames = keras.Input(clip.shape, dtype="uint8")
    x = keras.layers.GlobalAveragePooling3D()(keras.layers.Rescaling(1 / 255)(frames))
    x = Known(name="second")(Unknown(name="first")(x))
    x = keras.layers.Activation(doubled)(x)
    return keras.Model(frames, keras.layers.Dense(num_classes)(x))
"""


@pytest.fixture(scope="module")
def trained(shards, tmp_path_factory):
    """A run of a recipe with layers of its own, and the file it touches if executed."""
    place = tmp_path_factory.mktemp("custom")
    marker = place / "executed"
    recipe = place / "mine.py"
    recipe.write_text(RECIPE.replace("{marker}", str(marker)))
    run(shards, place / "run", config(str(recipe), weights="none", epochs=1))
    return recipe, place / "run", marker


@pytest.fixture
def received(trained, tmp_path, monkeypatch):
    """The same run, as somebody else has it who never trained with that recipe."""
    import keras

    recipe, folder, marker = trained
    shutil.copytree(folder, tmp_path / "run")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    keras.saving.get_custom_objects().clear()
    marker.unlink(missing_ok=True)
    return recipe, tmp_path / "run", marker


def config_of(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def test_what_is_not_of_keras_is_listed(trained, recipe, shards, tmp_path):
    assert custom_layers(config_of(trained[1] / "model.keras")) == [
        "Unknown 'first'",
        "Known 'second'",
        "doubled",
    ]
    run(shards, tmp_path / "run", config(recipe, weights="none", epochs=1))
    assert custom_layers(config_of(tmp_path / "run" / "model.keras")) == []
    assert custom_layers({"class_name": "Mine", "module": None}) == []


def test_names_of_forged_layers_are_shown_in_one_short_line():
    forged = [
        {"class_name": f"{k}\n" + "x" * 999, "module": None, "config": {"name": "a\nb"}}
        for k in range(99)
    ]
    forged.append({"class_name": "function", "module": "x", "config": "\n" * 999})
    text = ", ".join(custom_layers(forged))
    assert len(text.splitlines()) == 1
    assert len(text) < 1000


def test_ones_own_run_is_evaluated_with_the_copy_in_it(trained, shards):
    import keras

    from wlasl_tfrecord.evaluation import evaluation
    from wlasl_tfrecord.inference import trained_model

    recipe, folder, marker = trained
    assert (folder / "recipe.py").read_bytes() == recipe.read_bytes()
    keras.saving.get_custom_objects().clear()
    marker.unlink(missing_ok=True)
    recipe.unlink()
    try:
        report = evaluation.evaluate(shards, folder)
    finally:
        shutil.copy(folder / "recipe.py", recipe)
    assert marker.exists()
    model = trained_model.load_model(folder)
    clips = np.zeros((1, *model.info.clip.shape), np.uint8)
    np.testing.assert_allclose(model.network(clips).numpy().sum(), 1, atol=1e-6)
    assert len(report.scores.labels) == 7


def test_a_strangers_recipe_is_executed_only_if_it_is_named(received, shards):
    recipe, folder, marker = received
    path = folder / "model.keras"
    with pytest.raises(
        TrainingError,
        match=r"model.keras has layers of its recipe's own \(Unknown 'first', Known "
        r"'second', doubled\). They are code, and no recipe that you have trained with "
        r"on this machine; if you trust .*recipe.py, name it with --model .*recipe.py$",
    ):
        saving.load_network(path)
    assert not marker.exists()
    assert saving.load_network(path, recipe=recipe).output_shape == (None, 3)
    assert marker.exists()


@pytest.mark.parametrize("is_named", [True, False])
def test_an_edited_recipe_is_refused_before_it_is_executed(
    received, is_named, monkeypatch, tmp_path
):
    from wlasl_tfrecord.network import model_info
    from wlasl_tfrecord.network.own_recipes import remember_recipe

    _, folder, marker = received
    remember_recipe(model_info.read_model_info(folder).recipe_sha256 or "")
    copy = folder / "recipe.py"
    copy.write_text(copy.read_text() + "\n")
    with pytest.raises(
        TrainingError,
        match=r"recipe.py is not the recipe that was trained with: it has changed",
    ):
        saving.load_network(folder / "model.keras", recipe=copy if is_named else None)
    assert not marker.exists()


def test_a_hash_is_required(received):
    _, folder, marker = received
    path = folder / "model.json"
    path.write_text(path.read_text().replace("recipe_sha256", "no_hash"))
    with pytest.raises(TrainingError, match=r"model.json has no hash of the recipe"):
        saving.load_network(folder / "model.keras", recipe=folder / "recipe.py")
    assert not marker.exists()


def test_a_received_run_is_resumed_only_with_a_named_recipe(
    received, shards, capsys, monkeypatch
):
    from wlasl_tfrecord.cli import train

    recipe, folder, marker = received
    command = ["--resume", str(folder), "--data", str(shards)]
    assert train.main(command) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "mine.py, which is code, and no recipe that you have trained with" in last
    assert last.endswith(f"if you trust it, name it with --model {folder}/recipe.py")
    assert not marker.exists()
    # Another file than the run was started with is not executed though it is named.
    other = folder.parent / "other.py"
    other.write_text(recipe.read_text() + "\n")
    assert train.main([*command, "--model", str(other)]) == 1
    assert "is not the recipe that was trained with" in capsys.readouterr().err
    assert not marker.exists()
    assert train.main([*command, "--model", str(folder / "recipe.py")]) == 0
    assert marker.exists()
    # Now it is the user's own.
    assert train.main(command) == 0
    config_file = folder / "config.json"
    text = config_file.read_text()
    digest = '"recipe_sha256": "'
    start = text.index(digest) + len(digest)
    config_file.write_text(f"{text[:start]}{'0' * 64}{text[start + 64 :]}")
    marker.unlink()
    assert train.main(command) == 1
    assert not marker.exists()


def test_every_command_takes_the_named_recipe(
    received, shards, numbered_video, tmp_path, capsys
):
    from wlasl_tfrecord.cli import evaluate, export, predict, serve

    recipe, folder, marker = received
    video = str(numbered_video(tmp_path / "sign.mp4", num_frames=5))
    other = tmp_path / "other.py"
    other.write_text(recipe.read_text() + "\n")
    commands = {
        evaluate.main: ["--data", str(shards), "--split", "val"],
        predict.main: [video],
        export.main: ["--format", "keras", "--out", str(tmp_path / "out")],
        serve.main: ["--port", "0"],
    }
    for main, arguments in commands.items():
        typed = [*arguments, "--run", str(folder)]
        for more, message in (
            ([], f"name it with --model {folder}/recipe.py"),
            (["--model", str(other)], "is not the recipe that was trained with"),
        ):
            assert main([*typed, *more]) == 1
            assert message in capsys.readouterr().err
            assert not marker.exists()
    for main, arguments in commands.items():
        if main is not serve.main:  # which would serve
            typed = [*arguments, "--run", str(folder), "--model", str(recipe)]
            assert main(typed) == 0
    assert "sign.mp4" in capsys.readouterr().out
    assert marker.exists()


def test_h5_is_unfolded_by_a_recipe_that_is_no_built_in(
    recipe, shards, tmp_path, monkeypatch
):
    import keras

    from wlasl_tfrecord.errors import RecipeError
    from wlasl_tfrecord.inference import export, trained_model

    folder = tmp_path / "run"
    run(shards, folder, config(recipe, weights="none", epochs=1))
    model = trained_model.load_model(folder)
    assert export.export_model(model, tmp_path / "own", "h5").max_difference < 1e-5
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with pytest.raises(RecipeError, match=r"written as h5.*name the recipe with --mod"):
        export.export_model(model, tmp_path / "none", "h5")
    model = trained_model.load_model(folder, recipe)
    report = export.export_model(model, tmp_path / "named", "h5")
    keras.models.load_model(report.path, compile=False)

"""The check of a recipe: what would end a training later ends it at once, by name."""

import re

import pytest
from checkout import CHECKOUT
from small_training import config

from wlasl_tfrecord.errors import RecipeError, TrainingError
from wlasl_tfrecord.network import recipes
from wlasl_tfrecord.shard_format.shard_folder import load_folder
from wlasl_tfrecord.training.recipe_check import check_recipe

# A recipe in which one layer stands between the mean of the frames and the classes.
RECIPE = """
import keras

{definitions}

def build_model(clip, num_classes, *, weights="imagenet"):
    frames = keras.Input(clip.shape, dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(frames)
    x = keras.layers.GlobalAveragePooling3D()(x)
    x = {layer}(x)
    return keras.Model(frames, keras.layers.Dense(num_classes{end})(x))
"""
SCALED = """
class Scaled(keras.layers.Layer):
    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, x):
        return self.factor * x
"""
WITH_CONFIG = """
    def get_config(self):
        return {**super().get_config(), "factor": self.factor}
"""
FORGETFUL = """
import random

class Forgetful(keras.layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.factor = random.uniform(1, 9)

    def call(self, x):
        return self.factor * x
"""
BROKEN = """
class Broken(keras.layers.Layer):
    def call(self, x, training=False):
        if training:
            raise ValueError("not in training")
        return x
"""


def check(shards, directory, source, **changes):
    path = directory / "mine.py"
    path.write_text(source)
    values = {"weights": "none", **changes}
    check_recipe(
        recipes.load_recipe(path), load_folder(shards), config(str(path), **values)
    )


def recipe(layer, definitions="", end=""):
    return RECIPE.format(layer=layer, definitions=definitions, end=end)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("end", ["", ', activation="softmax"', ', name="logits"'])
def test_logits_and_probabilities_pass_in_any_precision(
    shards, tmp_path, precision, end
):
    source = recipe("Scaled(2.0, name='mine')", SCALED + WITH_CONFIG, end)
    check(shards, tmp_path, source, precision=precision)


@pytest.mark.parametrize(
    ("layer", "definitions", "message"),
    [
        (
            "keras.layers.Lambda(lambda x: 2 * x, name='double')",
            "",
            r"mine.py: no command could load the layer 'double' again: a Lambda is",
        ),
        (
            # Keras keeps simple arguments by itself.
            "Scaled(keras.ops.ones(()), name='mine')",
            SCALED,
            r"the layer 'mine' \(Scaled\) cannot be saved \(NotImplementedError: .*"
            r"get_config that returns its arguments$",
        ),
        (
            "Forgetful(name='mine')",
            FORGETFUL,
            r"saved and loaded again, its probabilities differ by .*; one of the "
            r"layers mine does not keep",
        ),
        (
            "Broken(name='mine')",
            BROKEN,
            r"a step on one clip fails \(ValueError: .*; mend it, and try with",
        ),
        (
            "(lambda x: keras.ops.stop_gradient(x) * 0.0)",
            "",
            None,
        ),
    ],
)
def test_what_fails_is_named(shards, tmp_path, layer, definitions, message):
    source = recipe(layer, definitions)
    if message is None:
        # The classes after it are still trained.
        check(shards, tmp_path, source)
        return
    with pytest.raises(RecipeError, match=message):
        check(shards, tmp_path, source)


def test_a_network_without_gradients_is_refused(shards, tmp_path):
    source = recipe("keras.layers.Identity()").replace(
        "return keras.Model(frames, keras.layers.Dense(num_classes)(x))",
        "x = keras.layers.Dense(num_classes)(x)\n"
        "    return keras.Model(frames, keras.ops.round(x))",
    )
    with pytest.raises(RecipeError, match=r"mine.py: no weight has a gradient, so"):
        check(shards, tmp_path, source)


def test_blocks_that_a_phase_needs_are_asked_for(shards, tmp_path):
    source = recipe("keras.layers.Identity(name='features')")
    with pytest.raises(TrainingError, match=r"has no function backbone_blocks"):
        check(shards, tmp_path, source, weights="somewhere", fine_tune_epochs=1)


def documented_recipes():
    for page in (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        for source in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            if "def build_model(" in source and "return keras.Model" in source:
                yield pytest.param(source, id=page.name)


@pytest.mark.parametrize("source", list(documented_recipes()))
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_recipes_of_the_pages_pass(shards, tmp_path, source, precision):
    check(shards, tmp_path, source, precision=precision)


def test_the_command_checks_and_trains_nothing(shards, tmp_path, capsys, monkeypatch):
    from wlasl_tfrecord.cli import train

    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.py"
    command = ["--data", str(shards), "--model", str(path), "--weights", "none"]
    command += ["--batch-size", "4"]
    path.write_text(recipe("keras.layers.Identity()"))
    assert train.main([*command, "--check"]) == 0
    assert "mine.py: built, run, saved and loaded again" in capsys.readouterr().out
    path.write_text(recipe("keras.layers.Lambda(lambda x: x)"))
    assert train.main([*command, "--check"]) == 1
    assert "a Lambda is stored as code" in capsys.readouterr().err
    # Without the option it is the same, before anything is written.
    assert train.main([*command, "--out", "run"]) == 1
    assert "a Lambda is stored as code" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["mine.py"]

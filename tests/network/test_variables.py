"""Names of variables: the same for every build of a network, no two alike."""

import subprocess
import sys

import numpy as np
import pytest
from checkout import CHECKOUT
from small_training import RECIPE

from wlasl_tfrecord.network import recipes
from wlasl_tfrecord.network.variables import (
    optimizer_names,
    read_variable,
    variable_names,
)
from wlasl_tfrecord.shard_format.clips import ClipSpec


def model_and_optimizer(path):
    import keras

    clip = ClipSpec(num_frames=2, height=16, width=16)
    model = recipes.load_recipe(path).build(clip, 3, {"weights": "none"})
    optimizer = keras.optimizers.AdamW()
    optimizer.build(model.trainable_variables)
    return model, optimizer


def all_names(path):
    model, optimizer = model_and_optimizer(path)
    names = variable_names(model.variables)
    by_path = dict(zip((one.path for one in model.variables), names, strict=True))
    return names + optimizer_names(optimizer, by_path)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    # With two layers that Keras names by itself.
    path = tmp_path_factory.mktemp("recipe") / "mine.py"
    lstm = "x = keras.layers.LSTM(units)(x)"
    assert lstm in RECIPE
    twice = "x = keras.layers.LSTM(units, return_sequences=True)(x)\n    "
    path.write_text(RECIPE.replace(lstm, twice + lstm))
    return str(path)


def test_every_build_has_the_same_names(path):
    first, second = all_names(path), all_names(path)
    assert first == second
    assert len(set(first)) == len(first)
    assert {"lstm/lstm_cell/bias", "lstm_1/lstm_cell/bias", "conv0/kernel"} < set(first)
    wanted = {"iteration", "learning_rate", "lstm_1/lstm_cell/bias/momentum"}
    assert wanted < set(first)


def test_another_process_has_the_same_names(path):
    code = (
        "import sys; sys.path += ['tests/helpers', 'tests/network']; "
        "import test_variables; "
        f"print('\\n'.join(test_variables.all_names({path!r})))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == all_names(path)


def test_two_variables_of_one_path_are_told_apart():
    import keras

    inputs = keras.Input((4,))
    # As two backbones of one kind: each has its layer `Conv1`.
    halves = [keras.layers.Dense(2, name="same") for _ in range(2)]
    towers = [keras.Model(inputs, half(inputs)) for half in halves]
    model = keras.Model(inputs, keras.layers.Add()([one(inputs) for one in towers]))
    assert variable_names(model.variables) == [
        "same/kernel",
        "same/bias",
        "same/kernel#2",
        "same/bias#2",
    ]


@pytest.mark.parametrize("name", ["none", "mirrored"])
def test_a_value_that_is_read_is_a_copy(name):
    import keras
    import tensorflow as tf

    from wlasl_tfrecord.training import strategies

    with strategies.make_strategy(name).scope():
        variables = [keras.Variable([1.0, 2.0]), tf.Variable([1.0, 2.0])]
    for variable in variables:
        value = read_variable(variable)
        variable.assign([3.0, 4.0])
        np.testing.assert_array_equal(value, [1.0, 2.0])
        np.testing.assert_array_equal(read_variable(variable), [3.0, 4.0])

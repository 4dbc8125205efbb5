"""The outputs of a network: told apart, and always float32 probabilities in the end."""

import numpy as np
import pytest

from wlasl_tfrecord.errors import RecipeError
from wlasl_tfrecord.network.outputs import (
    logits_model,
    output_kind,
    probability_model,
)

ENDS = {
    "a softmax": (lambda k, x: k.layers.Dense(3, activation="softmax")(x), True),
    "a softmax layer": (lambda k, x: k.layers.Softmax()(k.layers.Dense(3)(x)), True),
    # Whatever the last layer is called, an operation follows it.
    "an operation": (
        lambda k, x: k.ops.softmax(k.layers.Dense(3, name="logits")(x)),
        True,
    ),
    "a layer logits": (lambda k, x: k.layers.Dense(3, name="logits")(x), False),
    "a linear layer": (lambda k, x: k.layers.Dense(3)(x), False),
    "a scaled layer": (lambda k, x: k.layers.Dense(3)(x) * 2.0, False),
    "logits of zero": (
        lambda k, x: k.layers.Dense(3, kernel_initializer="zeros")(x),
        False,
    ),
}


def network(end, policy):
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        frames = keras.Input((2, 4, 4, 3), dtype="uint8")
        x = keras.layers.GlobalAveragePooling3D()(keras.layers.Rescaling(0.01)(frames))
        return keras.Model(frames, end(keras, x))
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("end", ENDS)
def test_any_output_becomes_probabilities_and_their_logits(end, policy):
    function, is_probable = ENDS[end]
    model = network(function, policy)
    kind = output_kind(model)
    assert kind == ("probabilities" if is_probable else "logits")
    whole = probability_model(model, kind)
    clips = np.random.default_rng(0).integers(0, 256, (4, 2, 4, 4, 3), np.uint8)
    told = np.asarray(model(clips)).astype("float32")
    shares = np.asarray(whole(clips))
    logits = np.asarray(logits_model(whole)(clips))
    assert (shares.dtype, logits.dtype) == ("float32", "float32")
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=0.02)
    powers = np.exp(logits)
    np.testing.assert_allclose(
        powers / powers.sum(axis=1, keepdims=True), shares, atol=0.02
    )
    np.testing.assert_allclose(told, shares if is_probable else logits, atol=0.02)


def test_a_network_that_is_right_already_is_left_alone():
    model = network(ENDS["a softmax"][0], "float32")
    assert probability_model(model, output_kind(model)) is model


def test_a_sigmoid_for_each_gloss_is_refused_by_name():
    def end(k, x):
        return k.layers.Dense(3, activation="sigmoid", name="each")(x)

    with pytest.raises(
        RecipeError, match=r"the layer 'each' of .* has a sigmoid for each gloss; end"
    ):
        output_kind(network(end, "float32"))

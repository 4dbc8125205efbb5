"""Rematerialisation: the same gradients, to the bit. Its memory is in test_steps.py."""

import numpy as np
import pytest

from wlasl_tfrecord.errors import RecipeError


def network(nested=True, fixed_norm=False, policy="float32"):
    """Builds a backbone of three blocks, one with a residual, and its head."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 3))
    x = inputs
    blocks = []
    for index in range(3):
        conv = keras.layers.Conv2D(4, 3, padding="same", name=f"conv{index}")
        norm = keras.layers.BatchNormalization(name=f"norm{index}")
        norm.trainable = not fixed_norm
        noise = keras.layers.Dropout(0.3, seed=index, name=f"noise{index}")
        layers = [conv, norm, noise]
        y = noise(norm(conv(x)))
        if index:
            add = keras.layers.Add(name=f"add{index}")
            y = add([x, y])
            layers.append(add)
        blocks.append(layers)
        x = y
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, x, name="backbone")
    if nested:
        frames = keras.Input((12, 12, 3))
        x = model(keras.ops.multiply(frames, 0.5))
        logits = keras.layers.Dense(5, dtype="float32", name="logits")(x)
        model = keras.Model(frames, logits)
    keras.config.set_dtype_policy(before)
    return model, blocks


def gradients(model, trainable):
    """Runs one step's forward and backward pass in a graph."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    images = tf.constant(random.normal(size=(6, 12, 12, 3)), tf.float32)

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model(images, training=True)))
        return loss, tape.gradient(loss, trainable)

    loss, found = run()
    return [loss.numpy(), *(tf.convert_to_tensor(one).numpy() for one in found)]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("fixed_norm", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_gradients_and_statistics_are_the_same_to_the_bit(nested, fixed_norm, policy):
    from wlasl_tfrecord.network.rematerialisation import rematerialised
    from wlasl_tfrecord.network.variables import read_variable

    found = []
    for again in (False, True):
        model, blocks = network(nested, fixed_norm, policy)
        trained = rematerialised(model, blocks) if again else model
        before = [read_variable(one) for one in model.non_trainable_variables]
        values = gradients(trained, model.trainable_variables)
        after = [read_variable(one) for one in model.non_trainable_variables]
        # Statistics where they are learned, and the state of the dropout always.
        moved = [not np.array_equal(a, b) for a, b in zip(before, after)]
        assert sum(moved) == (3 if fixed_norm else 9)
        assert trained.count_params() == model.count_params()
        found.append([*values, *after])
    plain, again = found
    assert any(np.abs(value).max() > 0 for value in plain[1:])
    for one, other in zip(plain, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_blocks_that_a_connection_leaps_over_are_refused():
    from wlasl_tfrecord.network.rematerialisation import rematerialised

    model, blocks = network()
    inside = [[layers[0]] for layers in blocks]  # a residual goes around each
    with pytest.raises(
        RecipeError, match=r"do not follow each other in a line, .* without --remat"
    ):
        rematerialised(model, inside)

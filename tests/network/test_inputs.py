"""What a network takes of a clip."""

import keras
import numpy as np
import pytest

from wlasl_tfrecord.network.inputs import input_names, noise_inputs, pick_inputs


def network(**inputs):
    """A network of some inputs, name -> shape of one clip and dtype."""
    tensors = {
        name: keras.Input(shape, dtype=dtype, name=name)
        for name, (shape, dtype) in inputs.items()
    }
    flat = [keras.layers.Flatten()(one) for one in tensors.values()]
    x = keras.layers.Concatenate()(flat) if len(flat) > 1 else flat[0]
    return keras.Model(tensors if len(flat) > 1 else next(iter(tensors.values())), x)


FRAMES = ((2, 4, 4, 3), "uint8")
LANDMARKS = ((2, 67, 3), "float32")


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        ({"frames": FRAMES}, ("frames",)),
        # A recipe of somebody else need not name its input.
        ({"anything": FRAMES}, ("frames",)),
        ({"landmarks": LANDMARKS}, ("landmarks",)),
        ({"landmarks": LANDMARKS, "frames": FRAMES}, ("frames", "landmarks")),
    ],
)
def test_a_network_is_called_with_what_it_takes(inputs, names):
    model = network(**inputs)
    assert input_names(model) == names
    noise = noise_inputs(model, 3)
    assert {name: one.dtype.name for name, one in noise.items()} == {
        name: "uint8" if name == "frames" else "float32" for name in names
    }
    assert model(pick_inputs(names, {**noise, "label": None})).shape[0] == 3


def test_noise_is_the_same_every_time():
    model = network(landmarks=LANDMARKS)
    first, second = (noise_inputs(model, 2)["landmarks"] for _ in range(2))
    np.testing.assert_array_equal(first, second)

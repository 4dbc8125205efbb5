"""Frames below each other give what TimeDistributed gives, of plain layers alone."""

from typing import Any

import keras
import numpy as np
import pytest

from wlasl_tfrecord.network.layers import layers_within
from wlasl_tfrecord.network.stacked_frames import without_copies


def in_time(network, num_frames, shape):
    frames = keras.Input((num_frames, *shape))
    x = keras.layers.TimeDistributed(network)(frames)
    return keras.Model(frames, keras.layers.LSTM(3)(x))


def is_copied(model):
    kinds = [type(layer) for layer in layers_within(model)]
    return keras.layers.TimeDistributed in kinds


def randomised(model):
    """Sets all weights at random; those of a new BatchNorm would change nothing."""
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.1, 0.9, w.shape) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(8, 9), (7, 8), (9, 5)])
def test_a_convolution_sees_no_other_frame(padding, stride, height, width):
    shape = (height, width, 2)
    inputs = keras.Input(shape)
    x = keras.layers.Conv2D(3, 3, stride, padding)(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.DepthwiseConv2D(2, padding="same", activation="relu")(x)
    x = keras.layers.Add()([x, keras.layers.Conv2D(3, 1)(x)])
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ZeroPadding2D((1, 2))(x))
    model = randomised(in_time(keras.Model(inputs, x), 4, shape))
    stacked = without_copies(model)
    assert is_copied(model)
    assert not is_copied(stacked)
    clips = np.random.default_rng(1).normal(size=(2, 4, *shape)).astype("float32")
    np.testing.assert_allclose(stacked(clips), model(clips), rtol=1e-4, atol=1e-6)


def test_mobilenet_is_run_on_all_frames_at_once(tmp_path):
    shape = (33, 40, 3)
    network = keras.applications.MobileNetV2(
        shape,
        0.35,
        include_top=False,
        weights=None,  # pyright: ignore[reportArgumentType]
        pooling="avg",
    )
    model = in_time(network, 3, shape)
    stacked = without_copies(model)
    clips = np.random.default_rng(1).normal(size=(2, 3, *shape)).astype("float32")
    np.testing.assert_allclose(stacked(clips), model(clips), rtol=1e-3, atol=1e-6)
    stacked.save(tmp_path / "model.h5")
    loaded: Any = keras.models.load_model(tmp_path / "model.h5", compile=False)
    assert not is_copied(loaded)
    np.testing.assert_array_equal(loaded(clips), stacked(clips))


@pytest.mark.parametrize(
    "end",
    [
        [keras.layers.Flatten()],
        [keras.layers.MaxPooling2D(), keras.layers.GlobalAveragePooling2D()],
        [keras.layers.Conv2D(2, 3, dilation_rate=2), keras.layers.Flatten()],
        [keras.layers.ReLU()],
    ],
)
def test_what_looks_at_neighbours_in_another_way_stays_as_it_was(end):
    shape = (8, 8, 2)
    inputs = keras.Input(shape)
    x = inputs
    for layer in end:
        x = layer(x)
    network = keras.Model(inputs, x)
    frames = keras.Input((3, *shape))
    x = keras.layers.TimeDistributed(network)(frames)
    model = keras.Model(frames, x)
    stacked = without_copies(model)
    assert is_copied(stacked)
    several = keras.Sequential([frames, keras.layers.TimeDistributed(network)])
    assert without_copies(several) is several
    clips = np.ones((1, 3, *shape), "float32")
    np.testing.assert_array_equal(stacked(clips), model(clips))

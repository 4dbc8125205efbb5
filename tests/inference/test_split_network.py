import keras
import numpy as np
import pytest
from drawn_shards import drawn_frames

from wlasl_tfrecord.inference import trained_model
from wlasl_tfrecord.inference.split_network import split_network
from wlasl_tfrecord.network import recipes
from wlasl_tfrecord.shard_format.clips import ClipSpec

CLIP = ClipSpec(num_frames=4, height=32, width=32)


@pytest.fixture(scope="module")
def model(trained_run):
    return trained_model.load_model(trained_run)


@pytest.fixture(scope="module")
def clips():
    return np.stack([drawn_frames(n, CLIP.shape) for n in range(3)])


def features_of(split, clips):
    rows = split.features(clips.reshape(-1, *CLIP.shape[1:]))
    return rows.reshape(*clips.shape[:2], *rows.shape[1:])


def test_the_two_parts_compute_what_the_whole_does(model, clips):
    split = split_network(model.network)
    assert split.is_split
    features = features_of(split, clips)
    backbone = keras.Model(
        model.network.input, model.network.get_layer("features").output
    )
    np.testing.assert_allclose(features, backbone.predict_on_batch(clips), atol=2e-3)
    whole = model.network.predict_on_batch(clips)
    np.testing.assert_allclose(split.head(features), whole, atol=1e-4)
    assert whole.max() > 0.3, "a test that any answer would pass"


def test_what_is_computed_of_a_frame_depends_on_no_other(model, clips):
    split = split_network(model.network)
    frames = clips.reshape(-1, *CLIP.shape[1:])
    together = split.features(frames)
    alone = [split.features(frame[None])[0] for frame in frames]
    np.testing.assert_allclose(together, alone, atol=2e-3)


def test_a_network_of_time_distributed_layers_is_cut_as_well(model, clips):
    options = {"weights": "none", "alpha": 0.35, "lstm_units": 16, "fold_time": False}
    network = recipes.load_recipe().build(CLIP, 5, options)
    network.set_weights(model.network.get_weights())
    split = split_network(network)
    assert split.is_split
    features = features_of(split_network(model.network), clips)
    np.testing.assert_allclose(features_of(split, clips), features, atol=2e-3)


def test_frames_are_scaled_and_sequences_formed_in_the_right_part(clips):
    options = {"weights": "none", "alpha": 0.35, "lstm_units": 16}
    options |= {"frame_size": 40, "sequence_frames": 2}
    network = recipes.load_recipe().build(CLIP, 5, options)
    # Untrained, BatchNorm would let nothing through.
    backbone = network.get_layer("backbone")
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    frames = keras.ops.image.resize(
        clips.reshape(-1, *CLIP.shape[1:]).astype("float32"), (40, 40)
    )
    backbone(frames / 127.5 - 1, training=True)
    split = split_network(network)
    assert split.is_split
    whole = network.predict_on_batch(clips)
    parts = split.head(features_of(split, clips))
    np.testing.assert_allclose(parts, whole, atol=1e-4)
    assert np.ptp(whole, axis=0).max() > 1e-3, "a test that any answer would pass"


def mixing_time(frames):
    """A layer between the frames and the backbone that looks at all of them."""
    x = keras.layers.Rescaling(1 / 255)(frames)
    x = keras.layers.Conv3D(3, (3, 1, 1), padding="same")(x)
    return keras.layers.TimeDistributed(small_backbone())(x)


def mixing_time_within_the_backbone(frames):
    """As the recipe's temporal shift does."""
    image = keras.Input(CLIP.shape[1:])
    x = keras.layers.GlobalAveragePooling2D()(image)
    x = keras.ops.flip(keras.ops.reshape(x, (-1, CLIP.num_frames, 3)), axis=1)
    backbone = keras.Model(image, keras.ops.reshape(x, (-1, 3)))
    x = keras.ops.reshape(frames, (-1, *CLIP.shape[1:]))
    x = backbone(keras.layers.Rescaling(1 / 255)(x))
    return keras.ops.reshape(x, (-1, CLIP.num_frames, 3))


def without_backbone(frames):
    x = keras.layers.Rescaling(1 / 255)(frames)
    return keras.ops.mean(x, axis=(2, 3))


def of_another_size(frames):
    return keras.layers.TimeDistributed(small_backbone(3))(frames)[:, 1:]


def small_backbone(units=3):
    image = keras.Input(CLIP.shape[1:])
    x = keras.layers.GlobalAveragePooling2D()(image)
    return keras.Model(image, keras.layers.Dense(units)(x))


@pytest.mark.parametrize(
    "build",
    [
        mixing_time,
        mixing_time_within_the_backbone,
        without_backbone,
        of_another_size,
    ],
)
@pytest.mark.parametrize("name", ["features", "others"])
def test_any_other_network_stays_whole(build, name, clips):
    frames = keras.Input(CLIP.shape, dtype="uint8")
    x = keras.layers.Identity(name=name)(build(frames))
    x = keras.layers.Dense(5, activation="softmax")(keras.layers.Flatten()(x))
    network = keras.Model(frames, x)
    split = split_network(network)
    assert not split.is_split
    rows = split.features(clips.reshape(-1, *CLIP.shape[1:])).reshape(clips.shape)
    np.testing.assert_allclose(
        split.head(rows), network.predict_on_batch(clips), atol=1e-6
    )


def test_only_normalisation_right_after_a_convolution_is_multiplied_into_it():
    # With and without bias, scale and shift; two readers; an activation in between.
    layers = keras.layers
    image = keras.Input(CLIP.shape[1:])
    x = layers.Conv2D(8, 3, use_bias=True)(image)
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)(x)
    x = layers.BatchNormalization(center=False)(x)
    shared = layers.Conv2D(8, 1)(x)
    x = layers.Add()([layers.BatchNormalization()(shared), shared])
    x = layers.Conv2D(8, 1, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    backbone = keras.Model(image, layers.GlobalAveragePooling2D()(x))
    random = np.random.default_rng(0)
    backbone.set_weights(
        [random.uniform(0.2, 1.0, one.shape) for one in backbone.get_weights()]
    )
    frames = keras.Input(CLIP.shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(frames)
    x = layers.TimeDistributed(backbone)(x)
    x = layers.Identity(name="features")(x)
    network = keras.Model(frames, layers.GlobalAveragePooling1D()(x))
    clips = drawn_frames(3, CLIP.shape)[None]
    split = split_network(network)
    assert split.is_split
    np.testing.assert_allclose(
        split.head(features_of(split, clips)),
        network.predict_on_batch(clips),
        rtol=1e-4,
    )

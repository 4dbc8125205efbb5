"""Recipes: found, loaded, checked; and the one that comes with the library."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from checkout import CHECKOUT

from wlasl_tfrecord.errors import RecipeError
from wlasl_tfrecord.network import recipes
from wlasl_tfrecord.shard_format.clips import ClipSpec

CLIP = ClipSpec(num_frames=3, height=32, width=40)
SMALL = {"weights": "none", "alpha": 0.35, "lstm_units": 8}


@pytest.fixture(scope="module")
def model():
    import keras

    keras.utils.set_random_seed(0)
    return recipes.load_recipe().build(CLIP, 7, SMALL)


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (2, *CLIP.shape), np.uint8)


def test_clips_become_probabilities(model, frames):
    probabilities = model.predict(frames, verbose=0)
    assert probabilities.shape == (2, 7)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_the_backbone_sees_pixels_from_minus_one_to_one(model):
    # As ImageNet's weights were trained.
    extremes = np.zeros((1, *CLIP.shape), np.uint8)
    extremes[..., 1] = 255
    seen = np.asarray(model.get_layer("rescaling")(extremes))
    assert seen[..., 0] == pytest.approx(-1)
    assert seen[..., 1] == pytest.approx(1)


def test_time_folded_into_the_batch_equals_time_distributed(model, frames):
    import keras

    ours = keras.Model(model.input, model.get_layer("features").output)
    inputs = keras.Input(CLIP.shape, dtype="uint8")
    x = keras.layers.TimeDistributed(model.get_layer("rescaling"))(inputs)
    x = keras.layers.TimeDistributed(model.get_layer("backbone"))(x)
    theirs = keras.Model(inputs, x)
    expected = theirs.predict(frames, verbose=0)
    assert expected.shape == (2, 3, 1280)
    assert expected.std() > 0
    # Relative to their size: an untrained backbone gives small features.
    size = np.abs(expected).max()
    ours = ours.predict(frames, verbose=0)
    np.testing.assert_allclose(ours / size, expected / size, atol=1e-5)


def test_the_order_of_frames_matters(model):
    import keras

    head = keras.Model(
        model.get_layer("features").output, model.get_layer("logits").output
    )
    features = np.random.default_rng(0).normal(size=(2, 3, 1280)).astype(np.float32)
    forward = head.predict(features, verbose=0)
    backward = head.predict(features[:, ::-1], verbose=0)
    assert np.abs(forward - backward).max() > 0.01


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_saved_model_loads_in_plain_keras(model, frames, suffix, tmp_path):
    saved = model
    if suffix == ".h5":
        saved = recipes.load_recipe().build(CLIP, 7, SMALL | {"fold_time": False})
        saved.set_weights(model.get_weights())
    saved.save(tmp_path / f"model{suffix}")
    np.save(tmp_path / "frames.npy", frames)
    code = (
        "import sys, keras, numpy as np\n"
        f"model = keras.models.load_model('model{suffix}', compile=False)\n"
        "np.save('out.npy', model.predict(np.load('frames.npy'), verbose=0))\n"
        "sys.exit(any(name.startswith('wlasl') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    expected = model.predict(frames, verbose=0)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-6)


def test_the_blocks_are_all_layers_of_the_backbone_in_order(model):
    blocks = recipes.load_recipe().backbone_blocks(model)
    assert len(blocks) == 18
    assert [layer for block in blocks for layer in block] == (
        model.get_layer("backbone").layers
    )
    assert blocks[16][0].name.startswith("block_16")
    assert blocks[17][0].name == "Conv_1"


def test_pretrained_batch_norm_stays_fixed_even_in_training(frames, tmp_path):
    import keras

    recipe = recipes.load_recipe()
    source = keras.applications.MobileNetV2(
        (32, 40, 3), 0.35, include_top=False, weights=None
    )
    path = tmp_path / "backbone.weights.h5"
    source.save_weights(path)
    options = SMALL | {"weights": str(path)}
    model = recipe.build(CLIP, 7, options)
    np.testing.assert_array_equal(
        model.get_layer("backbone").get_layer("Conv1").kernel,
        source.get_layer("Conv1").kernel,
    )
    norm = model.get_layer("backbone").get_layer("bn_Conv1")
    before = np.asarray(norm.moving_mean.value)
    model(frames, training=True)
    np.testing.assert_array_equal(before, norm.moving_mean.value)


def test_random_batch_norm_learns_its_statistics(model, frames):
    norm = model.get_layer("backbone").get_layer("bn_Conv1")
    before = np.asarray(norm.moving_mean.value)
    model(frames, training=True)
    assert not np.array_equal(before, norm.moving_mean.value)


def logits_of(num_frames, **options):
    """Builds the network for clips of `num_frames`; returns it up to its logits."""
    import keras

    clip = ClipSpec(num_frames=num_frames, height=64, width=64)
    keras.utils.set_random_seed(0)
    model = recipes.load_recipe().build(clip, 7, SMALL | options)
    # Untrained, BatchNorm would let nothing of one frame through to the next block.
    for layer in model.get_layer("backbone").layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(keras.ops.full_like(layer.gamma, 0.01))
    return keras.Model(model.input, model.get_layer("logits").output)


@pytest.fixture(scope="module")
def long_clips():
    return np.random.default_rng(1).integers(0, 256, (2, 6, 64, 64, 3), np.uint8)


@pytest.mark.parametrize("shift", [False, True])
def test_a_long_clip_is_the_mean_of_sequences_at_the_pace_of_training(
    long_clips, shift
):
    options = {"temporal_shift": shift, "sequence_frames": 2, "frame_size": 32}
    whole, trained = logits_of(6, **options), logits_of(2, **options)
    trained.set_weights(whole.get_weights())
    sequences = [trained.predict(long_clips[:, k::3], verbose=0) for k in range(3)]
    found = whole.predict(long_clips, verbose=0)
    assert np.ptp(sequences, axis=0).max() > 1e-4
    np.testing.assert_allclose(found, np.mean(sequences, axis=0), atol=1e-6)


def test_the_shift_alone_lets_a_frame_see_its_neighbours(long_clips):
    import keras

    changed = long_clips.copy()
    changed[:, 3] = 255 - changed[:, 3]
    for shift, seen in ((False, [3]), (True, [0, 1, 2, 3, 4, 5])):
        model = logits_of(6, temporal_shift=shift, frame_size=32)
        features = keras.Model(model.input, model.get_layer("features").output)
        before, after = (features.predict(x, verbose=0) for x in (long_clips, changed))
        differs = np.abs(before - after).max(axis=(0, 2)) > 0
        assert np.flatnonzero(differs).tolist() == seen


def test_first_blocks_stay_as_they_are_and_batch_norm_learns_if_asked_to(tmp_path):
    import keras

    path = tmp_path / "backbone.weights.h5"
    keras.applications.MobileNetV2(
        (32, 32, 3), 0.35, include_top=False, weights=None
    ).save_weights(path)
    recipe = recipes.load_recipe()
    options = SMALL | {"weights": str(path), "train_batch_norm": True}
    for shift in (False, True):
        model = recipe.build(
            CLIP, 7, options | {"fixed_blocks": 2, "temporal_shift": shift}
        )
        blocks = recipe.backbone_blocks(model)
        for index, block in enumerate(blocks):
            weights = [one for layer in block for one in layer.trainable_weights]
            assert bool(weights) == (index >= 2)
        norm = model.get_layer("backbone").get_layer("block_2_expand_BN")
        assert norm.trainable
        assert norm.momentum == 0.9


def test_no_network_names_the_way_out(monkeypatch):
    import keras

    def fail(*args, **kwargs):
        raise Exception("URL fetch failure on https://… : Name or service not known")

    monkeypatch.setattr(keras.applications, "MobileNetV2", fail)
    with pytest.raises(
        RecipeError,
        match=r"cannot download the imagenet weights .*give a copy with --weights "
        r"PATH, or train from scratch with --weights none",
    ):
        recipes.load_recipe().build(CLIP, 7, {"weights": "imagenet"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "/no/file.h5"}, "no weights file /no/file.h5; give --weights"),
        ({"weights": "imagenet", "alpha": 0.4}, "no imagenet weights for alpha 0.4"),
        ({"depth": 3}, "takes no option 'depth'; it takes weights, alpha, lstm_units"),
        ({"lstm_units": -1}, "lstm_units must be between 1 and 4096, got -1"),
        ({"sequence_frames": 2}, "sequence_frames 2 does not divide the 3 frames"),
        ({"frame_size": 16}, "frames of 16 x 16 pixels are too small"),
        (
            {"temporal_shift": True, "fold_time": False},
            "temporal_shift, sequence_frames and frame_size need fold_time",
        ),
    ],
)
def test_a_wrong_option_is_named(changes, message):
    with pytest.raises(RecipeError, match=message):
        recipes.load_recipe().build(CLIP, 7, SMALL | changes)


def test_a_recipe_may_take_any_option(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import keras\n"
        "def build_model(clip, num_classes, *, weights='imagenet', **options):\n"
        "    frames = keras.Input(clip.shape, dtype='uint8')\n"
        "    x = keras.layers.GlobalAveragePooling3D()(frames)\n"
        "    x = keras.layers.Dense(num_classes)(x)\n"
        "    return keras.Model(frames, x, name=options['name'])\n"
    )
    options = {"weights": "none", "name": "any"}
    assert recipes.load_recipe(path).build(CLIP, 7, options).name == "any"


def test_weights_of_another_width_are_refused(tmp_path):
    import keras

    path = tmp_path / "wide.weights.h5"
    keras.applications.MobileNetV2(
        (32, 32, 3), 0.5, include_top=False, weights=None
    ).save_weights(path)
    with pytest.raises(RecipeError, match=r"do not fit MobileNetV2 with alpha 0.35"):
        recipes.load_recipe().build(CLIP, 7, SMALL | {"weights": str(path)})


def test_frames_that_are_too_small_are_refused():
    with pytest.raises(RecipeError, match=r"frames of 16 x 64 pixels are too small"):
        recipes.load_recipe().build(ClipSpec(height=64, width=16), 7, SMALL)


def test_an_unknown_recipe_is_named():
    with pytest.raises(RecipeError, match=r"no model recipe 'resnet'; known: .*lstm"):
        recipes.load_recipe("resnet")
    with pytest.raises(RecipeError, match=r"no model recipe at mine.py; known"):
        recipes.load_recipe("mine.py")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n", "is not a recipe: it has no function build_model"),
        ("import no_such_module\n", "cannot load the recipe .*ModuleNotFoundError"),
        (
            "import keras\n"
            "def build_model(clip, num_classes):\n"
            "    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])\n",
            r"build_model must map \(None, 3, 32, 40, 3\) to \(None, 7\), it maps "
            r"\(None, 4\) to \(None, 2\)",
        ),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(source, message, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(RecipeError, match=message):
        recipes.load_recipe(path).build(CLIP, 7, {})


def test_the_example_of_the_guide_is_a_recipe(tmp_path):
    guide = (CHECKOUT / "docs" / "recipes.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    path = tmp_path / "mine.py"
    path.write_text(example)
    options = {"weights": "imagenet", "filters": 2}
    model = recipes.load_recipe(path).build(CLIP, 7, options)
    assert any(layer.name == "logits" for layer in model.layers)


def test_a_file_is_read_anew_however_soon_it_was_edited(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    # Of the same length and with the same time stamp, as in two edits of one second.
    path = tmp_path / "mine.py"
    for answer in (1, 2):
        path.write_text(f"def build_model(clip, num_classes): return {answer}\n")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        loaded = recipes.load_recipe(path)
        assert loaded.build_model(CLIP, 7) == answer  # pyright: ignore
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.py"]


def test_the_defaults_of_a_recipe_are_read_and_nothing_is_executed(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text('TRAINING: dict = {"epochs": 7, "weights": "none"}\n1 / 0\n')
    assert recipes.training_defaults(path) == {"epochs": 7, "weights": "none"}
    path.write_text("epochs = TRAINED = 1\nimport no_such_module\n")
    assert recipes.training_defaults(path) == {}
    # Loading it will say what is wrong.
    path.write_text("def build_model(:\n")
    assert recipes.training_defaults(path) == {}


@pytest.mark.parametrize("source", ["TRAINING = 3", "TRAINING = dict(epochs=len('a'))"])
def test_defaults_that_are_no_plain_values_are_refused(source, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(RecipeError, match="TRAINING must be a dict of plain values"):
        recipes.training_defaults(path)


def test_the_defaults_of_our_recipes_are_options_of_a_training():
    from wlasl_tfrecord.training.config import TrainConfig

    for name in recipes.recipe_paths():
        TrainConfig(**recipes.training_defaults(name))


def test_a_network_may_take_landmarks_but_no_other_number_of_them(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import keras\n"
        "def build_model(clip, num_classes, *, points=67):\n"
        "    x = keras.Input((clip.num_frames, points, 3), name='landmarks')\n"
        "    y = keras.layers.Dense(num_classes)(keras.layers.Flatten()(x))\n"
        "    return keras.Model(x, y)\n"
    )
    recipe = recipes.load_recipe(path)
    assert recipe.build(CLIP, 7, {}).input_shape == (None, 3, 67, 3)
    with pytest.raises(RecipeError, match=r"must map \(None, 3, 67, 3\) to .* it maps"):
        recipe.build(CLIP, 7, {"points": 4})


def test_landmarks_need_no_weights_of_a_backbone(tmp_path):
    recipe = recipes.load_recipe("landmarks_lstm")
    with pytest.raises(RecipeError, match="landmarks_lstm has no backbone for the"):
        recipe.build(CLIP, 7, {"weights": tmp_path / "x.h5"})
    options = {"weights": "imagenet", "width": 8, "num_blocks": 1, "lstm_units": 4}
    assert recipe.build(CLIP, 7, options).count_params() < 10_000

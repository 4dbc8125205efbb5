"""How a training changes clips: what the input does, and what the device does."""

import numpy as np
import pytest
import tensorflow as tf

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.network.inputs import FRAMES, LANDMARKS
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.training.augmentation import make_augmentation
from wlasl_tfrecord.training.config import TrainConfig

CLIP = ClipSpec(num_frames=6, height=16, width=16)
SEEDS = tf.constant([[1, 2], [3, 4]], tf.int64)


def config(**changes):
    return TrainConfig(weights="none", **changes)


def clips(inputs):
    rng = np.random.default_rng(0)
    values = {
        FRAMES: tf.constant(rng.integers(0, 256, (2, *CLIP.shape)), tf.uint8),
        LANDMARKS: tf.constant(rng.uniform(0.1, 0.9, (2, 6, 67, 3)), tf.float32),
    }
    return values if len(inputs) > 1 else values[inputs[0]]


@pytest.mark.parametrize(
    "inputs", [(FRAMES,), (LANDMARKS,), (FRAMES, LANDMARKS)], ids=str
)
@pytest.mark.parametrize("crop", ["input", "device"])
@pytest.mark.parametrize("train_frames", [0, 3])
def test_the_device_changes_what_the_network_takes(inputs, crop, train_frames):
    chosen = config(crop=crop, train_frames=train_frames)
    in_input, on_device = make_augmentation(chosen, CLIP, inputs)
    assert on_device is not None
    # Landmarks alone are changed on the device, where it costs nothing.
    assert (in_input is None) == (inputs == (LANDMARKS,))
    if in_input is not None:
        assert in_input.min_scale == (0.8 if crop == "input" else 1.0)
    before = clips(inputs)
    after = on_device(before, SEEDS)
    again = on_device(before, SEEDS)
    for old, new, other in zip(*map(tf.nest.flatten, (before, after, again))):
        num_frames = train_frames or CLIP.num_frames
        assert new.shape == (2, num_frames, *old.shape[2:])
        assert new.dtype == old.dtype
        np.testing.assert_array_equal(new, other)
        if not train_frames:
            assert (new.numpy() != old.numpy()).any()


def test_without_augmentation_frames_are_picked_and_nothing_else():
    for inputs in ((FRAMES,), (LANDMARKS,), (FRAMES, LANDMARKS)):
        assert make_augmentation(config(augment=False), CLIP, inputs) == (None, None)
        _, pick = make_augmentation(config(augment=False, train_frames=3), CLIP, inputs)
        assert pick is not None
        before = clips(inputs)
        for old, new in zip(*map(tf.nest.flatten, (before, pick(before, SEEDS)))):
            # The middles of three segments of two frames.
            np.testing.assert_array_equal(new, old.numpy()[:, [1, 3, 5]])


def test_landmarks_alone_are_mirrored_as_often_as_asked():
    before = clips((LANDMARKS,))
    for probability in (0.0, 1.0):
        _, change = make_augmentation(
            config(flip_probability=probability), CLIP, (LANDMARKS,)
        )
        assert change is not None
        # Of points in the left half of the picture, on the average.
        left = before * tf.constant([0.3, 1.0, 1.0])
        x = change(left, SEEDS)[..., 0]
        assert (float(tf.reduce_mean(x[x != 0])) > 0.5) == bool(probability)


def test_landmarks_are_not_mixed():
    for inputs in ((LANDMARKS,), (FRAMES, LANDMARKS)):
        with pytest.raises(TrainingError, match="--mixup mixes the frames of two"):
            make_augmentation(config(mixup=0.2), CLIP, inputs)

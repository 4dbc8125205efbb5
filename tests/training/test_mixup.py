"""Mixed clips: values, labels, types, and how much is mixed."""

import numpy as np
import pytest
import tensorflow as tf

from wlasl_tfrecord.training.mixup import mix_clips

SEEDS = tf.constant([[n, 7] for n in range(4)], tf.int64)
TRUTH = tf.one_hot([0, 1, 2, 0], 3)


def shares_of(truth):
    """Finds the share of each clip in its mixed label, [B]."""
    return np.take_along_axis(truth.numpy(), np.array([[0], [1], [2], [0]]), 1)[:, 0]


@pytest.mark.parametrize("inside", [False, True])
def test_labels_are_mixed_as_much_as_clips(inside):
    values = np.array([0.0, 1.0, 3.0, 10.0], np.float32)
    features = np.broadcast_to(values[:, None, None], (4, 2, 5))
    given = (tf.constant(features), TRUTH, SEEDS)
    if inside:
        dataset = tf.data.Dataset.from_tensors(given)
        mixed, truth = next(iter(dataset.map(lambda *one: mix_clips(*one, 1.0))))
    else:
        mixed, truth = mix_clips(*given, 1.0)
    np.testing.assert_allclose(truth.numpy().sum(axis=1), 1, rtol=1e-6)
    # The last clip and the one that is mixed with it, the first, have the same gloss.
    shares = shares_of(truth)
    assert ((shares[:3] > 0) & (shares[:3] < 1)).all()
    assert shares[3] == pytest.approx(1)
    partners = np.roll(values, -1)
    expected = shares[:3] * values[:3] + (1 - shares[:3]) * partners[:3]
    np.testing.assert_allclose(mixed[:3, 1, 4], expected, atol=1e-5)
    again, _ = mix_clips(*given, 1.0)
    np.testing.assert_allclose(again, mixed, rtol=1e-6)


def test_frames_stay_bytes_and_are_rounded():
    frames = tf.constant(np.full((4, 2, 3, 3, 3), 7, np.uint8))
    mixed, _ = mix_clips(frames, TRUTH, SEEDS, 0.4)
    assert mixed.dtype == tf.uint8
    np.testing.assert_array_equal(mixed, frames)


def test_a_small_alpha_mixes_little_and_never_breaks():
    features = tf.zeros([4, 2, 5], tf.bfloat16)
    kept = []
    for seed in range(40):
        seeds = SEEDS + tf.constant([0, seed], tf.int64)
        mixed, truth = mix_clips(features, TRUTH, seeds, 0.01)
        assert mixed.dtype == tf.bfloat16
        assert np.isfinite(truth).all()
        kept.append(np.abs(shares_of(truth)[:3] - 0.5))
    assert np.mean(kept) > 0.45

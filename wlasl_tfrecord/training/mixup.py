"""Mixup: a clip and another one of its batch in one, with the labels of both."""

import tensorflow as tf

__all__ = ["mix_clips"]

# Of the seeds of a batch, so that no other change draws the same numbers: `augment` and
# `augment_landmarks` have those below 6.
_PURPOSE = 6 << 24


def mix_clips(
    inputs: tf.Tensor, truth: tf.Tensor, seeds: tf.Tensor, alpha: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes each clip of a batch with the one after it, and their labels as much.

    The order of clips is random, so any neighbour is as good as another. The share of
    a clip is drawn from Beta(alpha, alpha).

    Args:
        inputs: uint8 [B, T, H, W, 3] frames or float [B, T, D] features.
        truth: float32 [B, C], the share of each gloss in the label.
        seeds: int64 [B, 2].
        alpha: Above 0; 1 draws all shares alike, less draws mostly one of the two.

    Returns:
        Mixed inputs of the same dtype, and mixed labels.

    Reference:
        Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018.
    """
    seed = tf.bitwise.bitwise_xor(seeds[0], tf.constant([0, _PURPOSE], tf.int64))
    # Beta by two gammas; those of a small alpha are zeros in float32.
    shape, alphas = [tf.shape(truth)[0], 2], tf.constant(alpha, tf.float64)
    draws = tf.random.stateless_gamma(shape, seed, alphas, dtype=tf.float64) + 1e-300
    share = draws[:, :1] / tf.reduce_sum(draws, axis=1, keepdims=True)
    share = tf.cast(share, tf.float32)
    truth = share * truth + (1 - share) * tf.roll(truth, -1, axis=0)
    dtype = inputs.dtype
    share = tf.reshape(share, [-1] + [1] * (len(inputs.shape) - 1))
    values = tf.cast(inputs, tf.float32)
    mixed = share * values + (1 - share) * tf.roll(values, -1, axis=0)
    if dtype.is_integer:
        mixed += 0.5
    return tf.cast(mixed, dtype), truth

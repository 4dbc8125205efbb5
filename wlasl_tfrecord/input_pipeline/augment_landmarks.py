"""Random changes to the landmarks of clips, on the device.

A clip of landmarks is 6,000 numbers, which take no time there. As in `augment`, the
changes of a clip follow from its seed alone.

Reference:
    Most are those of the first place of Google's "Isolated Sign Language Recognition"
    challenge, Kaggle, 2023.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import cast

import tensorflow as tf

from wlasl_tfrecord.shard_format.landmarks import (
    LANDMARK_GROUPS,
    MIRROR_ORDER,
    group_slice,
)

__all__ = ["LandmarkAugmentConfig", "augment_landmarks", "mirrored"]

_HANDS = ("left_hand", "right_hand")

# Of a clip, each in [0, 1); more than are used, so that one more changes no other.
_NUM_DRAWS = 32


@dataclass(frozen=True, kw_only=True)
class LandmarkAugmentConfig:
    """The limits of the random changes to the landmarks of a clip.

    Attributes:
        flip_probability: How often to mirror a clip, left and right hand exchanged.
        rotation_degrees: The largest rotation, either way.
        stretch: The largest factor, as a logarithm, by which a clip becomes wider and
            lower, or narrower and higher.
        shear: How far a clip is slanted at most, as a share of its height.
        min_duration: The shortest part of the clip that is played, as a share of it.
        overhang: By how much more than the clip is played at most; its first and last
            frames then stand still.
        time_warp: How far the middle of the clip is moved in time at most, as a share
            of it.
        hand_shift: How far a hand is moved at most, as a share of the frame's sides.
        hand_rotation_degrees: The largest rotation of a hand about its wrist.
        hand_stretch: As `stretch`, of a hand.
        body_noise: Standard deviation of what is added to a point in all frames of a
            clip, as a share of the frame's sides.
        point_noise: The same, of what is added to a point in a single frame.
        hand_dropout: How often a hand is not seen in the whole clip.
        mask_probability: How often a hand, or everything, is not seen for a while.
        max_mask: How long that is at most, as a share of the clip.

    Raises:
        ValueError: If a value is out of its range.
    """

    flip_probability: float = 0.5
    rotation_degrees: float = 15.0
    stretch: float = 0.15
    shear: float = 0.1
    min_duration: float = 0.7
    overhang: float = 0.1
    time_warp: float = 0.1
    hand_shift: float = 0.02
    hand_rotation_degrees: float = 15.0
    hand_stretch: float = 0.15
    body_noise: float = 0.006
    point_noise: float = 0.003
    hand_dropout: float = 0.05
    mask_probability: float = 0.5
    max_mask: float = 0.25

    def __post_init__(self) -> None:
        """Reject limits that no change can have."""
        for field in fields(self):
            value, is_share = getattr(self, field.name), field.name in _SHARES
            if value < 0 or (is_share and value > 1):
                limit = "between 0 and 1" if is_share else "at least 0"
                raise ValueError(f"{field.name} must be {limit}, got {value}")


_SHARES = (
    "flip_probability",
    "min_duration",
    "hand_dropout",
    "mask_probability",
    "max_mask",
)


def augment_landmarks(
    landmarks: tf.Tensor, seeds: tf.Tensor, config: LandmarkAugmentConfig
) -> tf.Tensor:
    """Changes the landmarks of a batch at random; this belongs into the training step.

    Args:
        landmarks: float32 [B, T, K, 3]; see `shard_format.landmarks`.
        seeds: int64 [B, 2], from `input_fn(..., element="dict")`.
        config: The limits of the changes.

    Returns:
        float32 [B, T, K, 3].
    """
    _, num_frames, num_points, _ = cast(tuple[int, ...], tuple(landmarks.shape))
    noise_shape = [num_frames + 1, num_points, 2]
    draws, noise = tf.map_fn(
        lambda seed: (
            tf.random.stateless_uniform([_NUM_DRAWS], _salted(seed, 4)),
            tf.random.stateless_normal(noise_shape, _salted(seed, 5)),
        ),
        seeds,
        fn_output_signature=(
            tf.TensorSpec([_NUM_DRAWS], tf.float32),
            tf.TensorSpec(noise_shape, tf.float32),
        ),
    )
    uniform = iter(tf.split(draws, _NUM_DRAWS, axis=1))  # [B, 1] each
    landmarks = _retimed(landmarks, uniform, config)
    flips = next(uniform)[:, :, None, None] < config.flip_probability
    landmarks = tf.where(flips, mirrored(landmarks), landmarks)
    points, confidence = tf.split(landmarks, [2, 1], axis=-1)
    points = _moved(points, confidence, uniform, config)
    points += noise[:, :1] * config.body_noise + noise[:, 1:] * config.point_noise
    seen = confidence * _shown(num_frames, uniform, config)
    return tf.concat([tf.where(seen > 0, points, 0.0), seen], axis=-1)


def mirrored(landmarks: tf.Tensor) -> tf.Tensor:
    """Returns the landmarks of mirrored clips, as `shard_format.mirror_landmarks` does.

    Args:
        landmarks: float32 [B, T, K, 3].

    Returns:
        float32 [B, T, K, 3].
    """
    swapped = tf.gather(landmarks, MIRROR_ORDER, axis=2)
    x, y, confidence = tf.split(swapped, 3, axis=-1)
    x = tf.where(confidence > 0, 1 - x, 0.0)
    return tf.concat([x, y, confidence], axis=-1)


def _salted(seed: tf.Tensor, purpose: int) -> tf.Tensor:
    """Returns the seed of one purpose; `augment` has those below 4."""
    return tf.bitwise.bitwise_xor(seed, tf.constant([0, purpose << 24], tf.int64))


def _within(draw: tf.Tensor, limit: float) -> tf.Tensor:
    """Turns a draw in [0, 1) into one in [-limit, limit)."""
    return (draw * 2 - 1) * limit


def _retimed(
    landmarks: tf.Tensor, uniform: Iterator[tf.Tensor], config: LandmarkAugmentConfig
) -> tf.Tensor:
    """Plays a part of each clip, or a little more than it, at an uneven pace."""
    num_frames = cast(int, landmarks.shape[1])
    last = num_frames - 1
    longest = 1 + config.overhang
    share = config.min_duration + (longest - config.min_duration) * next(uniform)
    start = (1 - share) * next(uniform)
    steps = tf.linspace(0.0, 1.0, num_frames)[None]
    bend = _within(next(uniform), config.time_warp)
    steps += bend * tf.sin(math.pi * steps)
    times = tf.clip_by_value((start + share * steps) * last, 0.0, last)  # [B, T]
    before = tf.cast(times, tf.int32)
    way = (times - tf.cast(before, tf.float32))[:, :, None, None]
    earlier = tf.gather(landmarks, before, batch_dims=1)
    later = tf.gather(landmarks, tf.minimum(before + 1, last), batch_dims=1)
    # Between a point and none there is nothing; the nearer frame counts.
    both = (earlier[..., 2:] > 0) & (later[..., 2:] > 0)
    nearer = tf.where(way < 0.5, earlier, later)
    return tf.where(both, earlier + (later - earlier) * way, nearer)


def _moved(
    points: tf.Tensor,
    confidence: tf.Tensor,
    uniform: Iterator[tf.Tensor],
    config: LandmarkAugmentConfig,
) -> tf.Tensor:
    """Rotates, stretches and slants each clip, and its hands once more on their own."""
    weights = tf.cast(confidence > 0, tf.float32)
    count = tf.maximum(tf.reduce_sum(weights, [1, 2], keepdims=True), 1.0)
    middle = tf.reduce_sum(points * weights, [1, 2], keepdims=True) / count
    turn = _matrix(uniform, config.rotation_degrees, config.stretch, config.shear)
    points = _turned(points, middle, turn)
    groups = []
    for group in LANDMARK_GROUPS:
        part = points[:, :, group_slice(group)]
        if group in _HANDS:
            turn = _matrix(
                uniform, config.hand_rotation_degrees, config.hand_stretch, 0.0
            )
            shift = tf.concat([next(uniform), next(uniform)], axis=1)[:, None, None]
            part = _turned(part, part[:, :, :1], turn)
            part += _within(shift, config.hand_shift)
        groups.append(part)
    return tf.concat(groups, axis=2)


def _matrix(
    uniform: Iterator[tf.Tensor], degrees: float, stretch: float, shear: float
) -> tf.Tensor:
    """Draws rotations with a stretch and a slant: [B, 2, 2], of the same area."""
    angle = _within(next(uniform), math.radians(degrees))
    factor = tf.exp(_within(next(uniform), stretch))
    slant = _within(next(uniform), shear)
    cos, sin = tf.cos(angle), tf.sin(angle)
    across = [cos * factor, sin * factor]
    down = [slant * cos - sin / factor, slant * sin + cos / factor]
    return tf.reshape(tf.concat([*across, *down], axis=1), [-1, 2, 2])


def _turned(points: tf.Tensor, middle: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Turns points [B, T, n, 2] about a middle."""
    return tf.einsum("btkc,bcd->btkd", points - middle, turn) + middle


def _shown(
    num_frames: int, uniform: Iterator[tf.Tensor], config: LandmarkAugmentConfig
) -> tf.Tensor:
    """Draws what is seen: 0 or 1, [B, T, K, 1]."""
    whole = _unmasked(num_frames, uniform, config)
    groups = []
    for group, num_points in LANDMARK_GROUPS.items():
        shown = whole
        if group in _HANDS:
            kept = tf.cast(next(uniform) >= config.hand_dropout, tf.float32)
            shown = whole * kept * _unmasked(num_frames, uniform, config)
        groups.append(tf.repeat(shown[:, :, None], num_points, axis=2))
    return tf.expand_dims(tf.concat(groups, axis=2), -1)


def _unmasked(
    num_frames: int, uniform: Iterator[tf.Tensor], config: LandmarkAugmentConfig
) -> tf.Tensor:
    """Draws a stretch of frames that is 0, the others 1: [B, T]."""
    happens = tf.cast(next(uniform) < config.mask_probability, tf.float32)
    share = next(uniform) * config.max_mask * happens
    start = next(uniform) * (1 - share)
    middles = (tf.range(num_frames, dtype=tf.float32)[None] + 0.5) / num_frames
    hidden = (middles >= start) & (middles < start + share)
    return 1 - tf.cast(hidden, tf.float32)

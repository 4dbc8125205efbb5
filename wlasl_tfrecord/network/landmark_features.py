"""What a network sees of landmarks: numbers that do not depend on camera and signer.

Operations of Keras without weights, for recipes: they become part of the network, so
that a saved or exported model takes landmarks as they are stored.
"""

from typing import Any

import keras
import numpy as np

from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.landmarks import group_slice

__all__ = ["landmark_features"]

# Some of its functions have types that say they return nothing.
ops: Any = keras.ops

# Of the 25 points of a pose: nose, both eyes, mouth, shoulders, elbows, wrists. The
# others are parts of the hands, which are found better alone, or seldom in the picture.
_POSE = (0, 2, 5, 9, 10, 11, 12, 13, 14, 15, 16)
_NOSE, _LEFT_SHOULDER, _RIGHT_SHOULDER = 0, 11, 12
# Of a hand: wrist and tips, whose distances tell its shape in any direction, and the
# knuckles of three fingers, which tell its size.
_TIPS = (0, 4, 8, 12, 16, 20)
_KNUCKLES = (5, 9, 17)
# An adult's shoulders are some 1.3 times as far apart as they are below the nose.
_NECKS = 1.3
# A frame without a hand is filled from its neighbours; this many frames away they count
# for 1 / e.
_FILL_FRAMES = 1.5
# Frames are some 70 ms apart, in which a hand moves by a tenth of a shoulder's width.
_SPEED_SCALE = 5.0
_EPSILON = 1e-3
# An export may keep constants in 16 bits, which have nothing between 0 and 6e-8; the
# weights of the filling, and what keeps their sum from 0, are multiplied by this.
_SCALE = 2.0**13


def landmark_features(landmarks: Any, clip: ClipSpec) -> Any:
    """Computes the features of each frame.

    Places are measured from the middle between the shoulders, in a unit made of the
    shoulders' width and their distance from the nose, both averaged over the clip: a
    signer who leans forward moves, and the scale stays. The points of a hand come a
    second time, from its wrist and by its own size. A hand that was not found in a
    frame is interpolated, and a flag tells so. Speeds are differences between frames.

    Args:
        landmarks: float32 [B, T, K, 3], as in a record; a Keras tensor or an array.
        clip: The shape of the clips, whose pixels are square.

    Returns:
        float32 [B, T, D].
    """
    points = landmarks[..., :2] * np.array([clip.width / clip.height, 1], np.float32)
    seen = ops.cast(landmarks[..., 2:] > 0, "float32")  # [B, T, K, 1]
    pose = _group(points, "pose", _POSE)
    pose_seen = _group(seen, "pose", _POSE)
    centre, unit = _body(points, seen)
    pose = _filled((pose - centre) / unit, pose_seen, clip.num_frames)
    features = [_flat(pose), _flat(_speed(pose))]
    for group in ("left_hand", "right_hand"):
        hand_seen = _group(seen, group)[:, :, :1]  # alike for all its points
        hand = (_group(points, group) - centre) / unit
        hand = _filled(hand, hand_seen, clip.num_frames)
        shape = _hand_shape(hand, hand_seen)
        features += [
            *(_flat(one) for one in (hand, shape, _speed(hand))),
            _distances(shape),
            _flat(hand_seen),
        ]
    return ops.concatenate(features, axis=-1)


def _group(values: Any, group: str, points: tuple[int, ...] | None = None) -> Any:
    """Picks the points of a group, [B, T, K, n] -> [B, T, k, n]."""
    place = group_slice(group)
    if points is None:
        return values[:, :, place]
    return ops.take(values, np.array(points) + place.start, axis=2)


def _body(points: Any, seen: Any) -> tuple[Any, Any]:
    """Returns where a signer is and how large, [B, 1, 1, 2] and [B, 1, 1, 1]."""
    joints = (_LEFT_SHOULDER, _RIGHT_SHOULDER, _NOSE)
    left, right, nose = (_group(points, "pose", (joint,)) for joint in joints)
    found = _group(seen, "pose", (_LEFT_SHOULDER,))
    middle = (left + right) / 2
    unit = (_length(left - right) + _NECKS * _length(nose - middle)) / 2
    count = ops.sum(found, axis=1, keepdims=True)
    # A clip in which nobody was found is all zeros anyway.
    share = found / ops.maximum(count, 1.0)
    centre = ops.sum(middle * share, axis=1, keepdims=True)
    return centre, ops.sum(unit * share, axis=1, keepdims=True) + _EPSILON


def _filled(points: Any, seen: Any, num_frames: int) -> Any:
    """Fills frames without a point from those around them; zeros if it is in none."""
    frames = np.arange(num_frames)
    nearness = np.exp(-np.abs(frames[:, None] - frames) / _FILL_FRAMES) * _SCALE
    known = points * seen
    # [T, T] by [B, T, k * n]
    filled = _along_time(nearness, known) / (
        _along_time(nearness, seen) + 1e-9 * _SCALE
    )
    return known + (1 - seen) * filled


def _along_time(weights: Any, values: Any) -> Any:
    """Multiplies a matrix with the frames of clips, [T, T] by [B, T, k, n]."""
    _, num_frames, num_points, num_values = values.shape
    flat = ops.reshape(values, (-1, num_frames, num_points * num_values))
    mixed = ops.matmul(weights.astype(np.float32), flat)
    return ops.reshape(mixed, (-1, num_frames, num_points, num_values))


def _hand_shape(hand: Any, seen: Any) -> Any:
    """Returns a hand from its wrist, by its own size: [B, T, 21, 2] -> the same."""
    from_wrist = hand - hand[:, :, :1]
    knuckles = ops.take(from_wrist, np.array(_KNUCKLES), axis=2)
    size = ops.mean(_length(knuckles), axis=2, keepdims=True)  # [B, T, 1, 1]
    count = ops.maximum(ops.sum(seen, axis=1, keepdims=True), 1.0)
    # Of the clip: a hand that turns towards the camera looks shorter, and should.
    size = ops.sum(size * seen, axis=1, keepdims=True) / count
    return from_wrist / (size + 1e-2)


def _distances(shape: Any) -> Any:
    """Returns the distances between wrist and tips, [B, T, 21, 2] -> [B, T, 15]."""
    first, second = np.triu_indices(len(_TIPS), 1)
    tips = np.array(_TIPS)
    ways = ops.take(shape, tips[first], axis=2) - ops.take(shape, tips[second], axis=2)
    return _length(ways)[..., 0]


def _speed(points: Any) -> Any:
    """Returns how points move: the frame after less the frame before."""
    later = ops.concatenate([points[:, 1:], points[:, -1:]], axis=1)
    earlier = ops.concatenate([points[:, :1], points[:, :-1]], axis=1)
    return (later - earlier) * _SPEED_SCALE


def _length(ways: Any) -> Any:
    """Returns the lengths of vectors, [..., 2] -> [..., 1]."""
    # The root has no gradient at 0.
    return ops.sqrt(ops.sum(ops.square(ways), axis=-1, keepdims=True) + 1e-8)


def _flat(values: Any) -> Any:
    """Joins the last two axes, [B, T, k, n] -> [B, T, k * n]."""
    _, num_frames, num_points, num_values = values.shape
    return ops.reshape(values, (-1, num_frames, num_points * num_values))

"""Landmarks: the points of hands and upper body that a record may have for each frame.

A clip's are float32 [T, K, 3]: x, y and confidence of K points. x and y are image
coordinates of the stored frame: 0 is its left or upper edge, 1 its right or lower one.
A point that the framing cut off lies outside of that. What was not found in a frame has
zeros for all three: no NaN, which would spoil every sum that it is part of.

Left and right are the signer's own.

Reference:
    The keys are those of MediaSequence for points of regions, with a prefix a group:
    https://github.com/google-ai-edge/mediapipe/blob/master/mediapipe/util/sequence/README.md.
    The points of a hand, and the first 25 of 33 of a pose, are in MediaPipe's order:
    https://ai.google.dev/edge/mediapipe/solutions/vision/hand_landmarker and
    .../pose_landmarker.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LANDMARK_GROUPS",
    "LANDMARK_NAMES",
    "LANDMARK_NETWORKS",
    "LANDMARK_SOURCE",
    "MIRROR_ORDER",
    "NUM_LANDMARKS",
    "group_slice",
    "landmark_bytes",
    "landmark_features",
    "landmark_keys",
    "landmark_lists",
    "landmarks_from",
    "mirror_landmarks",
]

# Which networks found them; stored with the options of a folder.
LANDMARK_SOURCE = "mediapipe 0.10.21"
# Their files, and the SHA-256 of each.
LANDMARK_NETWORKS: Mapping[str, str] = {
    "pose_detection.tflite": (
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"
    ),
    "pose_landmark_full.tflite": (
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"
    ),
    "palm_detection_full.tflite": (
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54"
    ),
    "hand_landmark_full.tflite": (
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3"
    ),
}

_FINGERS = ("thumb", "index_finger", "middle_finger", "ring_finger", "pinky")
_HAND = (
    "wrist",
    *(
        f"{finger}_{joint}"
        for finger in _FINGERS
        for joint in (
            ("cmc", "mcp", "ip", "tip")
            if finger == "thumb"
            else ("mcp", "pip", "dip", "tip")
        )
    ),
)
_POSE = (
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
)
_POINTS: Mapping[str, tuple[str, ...]] = {
    "left_hand": _HAND,
    "right_hand": _HAND,
    "pose": _POSE,
}

# Group -> number of its points, in the order in which they are stored.
LANDMARK_GROUPS: Mapping[str, int] = {
    group: len(points) for group, points in _POINTS.items()
}
LANDMARK_NAMES = tuple(
    f"{group}/{point}" for group, points in _POINTS.items() for point in points
)
NUM_LANDMARKS = len(LANDMARK_NAMES)

# x, y and confidence of a group, in the order of the last axis. The prefixes are in
# lower case, so that they follow `clip/frames` in a proto: a reader finds the frames of
# a raw record in its first bytes.
_VALUES = ("region/point/x", "region/point/y", "region/label/confidence")

Landmarks = NDArray[np.float32]


def group_slice(group: str) -> slice:
    """Returns where the points of a group lie among the K.

    >>> group_slice("right_hand")
    slice(21, 42, None)
    """
    names = tuple(LANDMARK_GROUPS)
    start = sum(LANDMARK_GROUPS[name] for name in names[: names.index(group)])
    return slice(start, start + LANDMARK_GROUPS[group])


def landmark_keys(group: str) -> tuple[str, str, str]:
    """Returns the keys of x, y and confidence of a group.

    >>> landmark_keys("pose")[0]
    'pose/region/point/x'
    """
    x, y, confidence = (f"{group}/{value}" for value in _VALUES)
    return x, y, confidence


def landmark_bytes(num_frames: int) -> int:
    """Returns how many bytes the landmarks of a clip take at most in a record."""
    num_keys = len(LANDMARK_GROUPS) * len(_VALUES)
    # A feature of a frame has three lengths and three numbers of fields.
    return num_frames * (NUM_LANDMARKS * len(_VALUES) * 4 + num_keys * 16) + 1024


def landmark_features(landmarks: Landmarks) -> dict[str, list[float]]:
    """Returns the features of a `raw` record: T * n values for each key.

    Args:
        landmarks: float32 [T, K, 3].

    Raises:
        ValueError: If it has another shape, or a value that is not finite.
    """
    return {
        key: values.reshape(-1).tolist()
        for key, values in _by_key(_checked(landmarks)).items()
    }


def landmark_lists(landmarks: Landmarks) -> dict[str, list[list[float]]]:
    """Returns the feature lists of a `jpeg` or `png` record: n values a frame and key.

    Args:
        landmarks: float32 [T, K, 3].

    Raises:
        ValueError: If it has another shape, or a value that is not finite.
    """
    return {
        key: values.tolist() for key, values in _by_key(_checked(landmarks)).items()
    }


def landmarks_from(values: Mapping[str, Landmarks], num_frames: int) -> Landmarks:
    """Returns the landmarks of a clip whose record has these values.

    Args:
        values: Key -> float32 [T * n], frame by frame.
        num_frames: Frames in the clip, T.

    Returns:
        float32 [T, K, 3].

    Raises:
        ValueError: If a key is missing, has another number of values, or one that is
            not finite.
    """
    landmarks = np.empty((num_frames, NUM_LANDMARKS, len(_VALUES)), np.float32)
    for key, place in _by_key(landmarks).items():
        if key not in values or values[key].size != place.size:
            raise ValueError(f"it has no {place.size} values of {key}")
        place[:] = values[key].reshape(place.shape)
    return _checked(landmarks)


def mirror_landmarks(landmarks: Landmarks) -> Landmarks:
    """Returns the landmarks of the mirrored clip: a left hand becomes a right one.

    Args:
        landmarks: float32 [..., K, 3].

    Returns:
        float32 [..., K, 3], new memory.
    """
    mirrored = landmarks[..., MIRROR_ORDER, :]
    seen = mirrored[..., 2] > 0
    mirrored[..., 0] = np.where(seen, 1 - mirrored[..., 0], 0)
    return mirrored


def _mirror_order() -> list[int]:
    """Returns, for each point, which one takes its place in a mirror."""

    def other(name: str) -> str:
        left = re.sub(r"(?<![a-z])left(?![a-z])", "\0", name)
        right = re.sub(r"(?<![a-z])right(?![a-z])", "left", left)
        return right.replace("\0", "right")

    return [LANDMARK_NAMES.index(other(name)) for name in LANDMARK_NAMES]


MIRROR_ORDER: Sequence[int] = _mirror_order()


def _by_key(landmarks: Landmarks) -> dict[str, Landmarks]:
    """Returns float32 [T, n] for each key."""
    return {
        key: landmarks[:, group_slice(group), axis]
        for group in LANDMARK_GROUPS
        for axis, key in enumerate(landmark_keys(group))
    }


def _checked(landmarks: Landmarks) -> Landmarks:
    """Returns the same landmarks, if they are such.

    Raises:
        ValueError: If not.
    """
    if landmarks.ndim != 3 or landmarks.shape[1:] != (NUM_LANDMARKS, len(_VALUES)):
        raise ValueError(
            f"landmarks must be of shape (T, {NUM_LANDMARKS}, {len(_VALUES)}), got "
            f"{landmarks.shape}"
        )
    if not np.isfinite(landmarks).all():
        raise ValueError("landmarks must be finite")
    return landmarks

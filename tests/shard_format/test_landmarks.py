"""Landmarks of a record: their names, their keys, and what a mirror makes of them."""

import numpy as np
import pytest
from drawn_shards import drawn_landmarks

from wlasl_tfrecord.shard_format import landmarks
from wlasl_tfrecord.shard_format.landmarks import (
    LANDMARK_GROUPS,
    LANDMARK_NAMES,
    group_slice,
    landmark_bytes,
    landmark_features,
    landmark_keys,
    landmark_lists,
    landmarks_from,
    mirror_landmarks,
)


def test_groups_and_their_order_are_pinned():
    # Another order is another shard format: raise LANDMARKS_VERSION, and the version in
    # docs/shard-format.md.
    assert LANDMARK_GROUPS == {"left_hand": 21, "right_hand": 21, "pose": 25}
    assert len(LANDMARK_NAMES) == len(set(LANDMARK_NAMES)) == landmarks.NUM_LANDMARKS
    assert LANDMARK_NAMES[0] == "left_hand/wrist"
    assert LANDMARK_NAMES[21 + 8] == "right_hand/index_finger_tip"
    assert LANDMARK_NAMES[42 + 15] == "pose/left_wrist"
    for group in LANDMARK_GROUPS:
        names = LANDMARK_NAMES[group_slice(group)]
        assert {name.split("/")[0] for name in names} == {group}


def test_every_key_follows_the_frames_in_a_proto():
    # A reader finds the frames of a raw record in its first kilobyte.
    for group in LANDMARK_GROUPS:
        assert min(landmark_keys(group)) > "clip/frames"


@pytest.mark.parametrize("num_frames", [1, 5])
def test_values_come_back_from_their_keys(num_frames):
    drawn = drawn_landmarks(3, num_frames)
    flat = {k: np.float32(v) for k, v in landmark_features(drawn).items()}
    np.testing.assert_array_equal(landmarks_from(flat, num_frames), drawn)
    by_frame = landmark_lists(drawn)
    assert {len(steps) for steps in by_frame.values()} == {num_frames}
    lists = {k: np.float32(v).reshape(-1) for k, v in by_frame.items()}
    np.testing.assert_array_equal(landmarks_from(lists, num_frames), drawn)
    assert drawn.nbytes < landmark_bytes(num_frames)


def test_a_mirror_swaps_the_sides_and_leaves_what_was_not_found():
    drawn = drawn_landmarks(0, 5)
    mirrored = mirror_landmarks(drawn)
    np.testing.assert_array_equal(mirrored[0, :21], 0)
    np.testing.assert_allclose(mirrored[1, :21, 0], 1 - drawn[1, 21:42, 0])
    left, right = (
        LANDMARK_NAMES.index(f"pose/{side}_wrist") for side in ("left", "right")
    )
    np.testing.assert_array_equal(mirrored[2, left, 1:], drawn[2, right, 1:])
    nose = LANDMARK_NAMES.index("pose/nose")
    np.testing.assert_array_equal(mirrored[2, nose, 1:], drawn[2, nose, 1:])
    np.testing.assert_allclose(mirror_landmarks(mirrored), drawn, atol=1e-6)


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"of shape \(T, 67, 3\), got \(5, 66, 3\)"):
        landmark_lists(np.zeros((5, 66, 3), np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_no_number_is_refused(value):
    drawn = drawn_landmarks(0, 5)
    drawn[2, 3, 1] = value
    with pytest.raises(ValueError, match="landmarks must be finite"):
        landmark_features(drawn)


def test_a_missing_or_short_key_is_named():
    features = landmark_features(drawn_landmarks(0, 2))
    values = {key: np.float32(value) for key, value in features.items()}
    key = "pose/region/point/y"
    with pytest.raises(ValueError, match=f"it has no 50 values of {key}"):
        landmarks_from({**values, key: values[key][1:]}, 2)
    del values[key]
    with pytest.raises(ValueError, match=f"it has no 50 values of {key}"):
        landmarks_from(values, 2)

"""What a network sees of landmarks does not depend on camera and signer."""

import keras
import numpy as np
import pytest
from drawn_landmarks import sign_landmarks

from wlasl_tfrecord.network.landmark_features import landmark_features
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.landmarks import group_slice

NUM_FRAMES = 12
CLIP = ClipSpec(num_frames=NUM_FRAMES, height=32, width=32)


@pytest.fixture(scope="module")
def clips():
    numbers = [5, 6]  # two signs of both hands
    return np.stack([sign_landmarks(NUM_FRAMES, "train", n) for n in numbers])


def features(landmarks, clip=CLIP):
    return np.asarray(landmark_features(keras.ops.convert_to_tensor(landmarks), clip))


def moved(landmarks, scale, shift):
    points = landmarks[..., :2] * scale + shift
    seen = landmarks[..., 2:]
    return np.concatenate([points * (seen > 0), seen], axis=-1).astype(np.float32)


def test_there_is_a_row_of_finite_numbers_for_each_frame(clips):
    found = features(clips)
    assert found.shape[:2] == (2, NUM_FRAMES)
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 30


def test_place_and_distance_of_the_camera_do_not_matter(clips):
    nearer = moved(clips, 1.5, np.array([0.2, -0.1]))
    np.testing.assert_allclose(features(nearer), features(clips), atol=0.02)


def test_pixels_are_square_whatever_the_shape_of_the_frame(clips):
    wide = moved(clips, np.array([0.5, 1.0]), np.zeros(2))
    spec = ClipSpec(num_frames=NUM_FRAMES, height=32, width=64)
    np.testing.assert_allclose(features(wide, spec), features(clips), atol=1e-3)


def test_a_hand_that_was_not_found_is_interpolated_and_marked(clips):
    place = group_slice("right_hand")
    whole = features(clips)
    hidden = clips.copy()
    hidden[:, 6, place] = 0
    near, black = features(hidden)[:, 6], hidden.copy()
    black[:, :, place] = 0
    # One frame of a slow movement is filled in nearly as it was; only the flag differs.
    differences = np.abs(near - whole[:, 6])
    assert (differences.max(axis=1) == 1).all()
    assert np.median(differences) < 0.02
    # Nothing to fill from: the hand is zeros, and nothing is no number.
    nothing = features(black)
    assert np.isfinite(nothing).all()
    assert np.count_nonzero(nothing[:, 6] == 0) > 84


def test_a_clip_without_anybody_is_finite():
    assert np.isfinite(features(np.zeros((1, NUM_FRAMES, 67, 3), np.float32))).all()


def test_the_order_of_frames_is_seen_in_the_speeds(clips):
    forwards, backwards = features(clips), features(clips[:, ::-1])[:, ::-1]
    same = np.abs(forwards - backwards).max(axis=(0, 1)) < 1e-4
    # Places are the same, speeds have the other sign.
    assert same.any()
    assert not same.all()
    np.testing.assert_allclose(
        np.abs(forwards[..., ~same]), np.abs(backwards[..., ~same]), atol=1e-3
    )

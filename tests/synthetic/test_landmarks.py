"""The landmarks of drawn signers lie where the figure is drawn."""

import dataclasses

import numpy as np

from wlasl_tfrecord.shard_format.landmarks import (
    LANDMARK_NAMES,
    group_slice,
    mirror_landmarks,
)
from wlasl_tfrecord.synthetic import figure, poses
from wlasl_tfrecord.synthetic.appearance import draw_signers
from wlasl_tfrecord.synthetic.landmarks import clip_landmarks, frame_landmarks
from wlasl_tfrecord.synthetic.poses import Motion, pose_at


def pixel(frame, point):
    height, width = frame.shape[:2]
    size = min(height, width)
    x, y = point[:2] * size + ((width - size) / 2, (height - size) / 2)
    return frame[round(float(y)), round(float(x))].astype(int)


def test_hands_and_shoulders_are_where_they_are_drawn():
    for signer in draw_signers(4, 0):
        pose = pose_at("open", 0.5, Motion())
        frame = figure.draw_frame(signer, pose, figure.draw_background(signer))
        landmarks = frame_landmarks(signer, pose)
        for name in ("left_hand/middle_finger_tip", "right_hand/wrist"):
            point = landmarks[LANDMARK_NAMES.index(name)]
            skin = np.array(signer.skin) * signer.light
            assert np.abs(pixel(frame, point) - skin).max() < 40, name
        left, right = (
            landmarks[LANDMARK_NAMES.index(f"pose/{side}_shoulder")]
            for side in ("left", "right")
        )
        # The signer's left is on the viewer's right.
        assert left[0] > right[0]


def test_a_hand_in_the_lap_is_not_found():
    signer = draw_signers(1, 0)[0]
    # So near to the camera that the lap is below the frame.
    near = dataclasses.replace(signer, heads_high=3.5)
    landmarks = clip_landmarks(near, "stop", Motion(), 9)
    seen = landmarks[..., 2] > 0
    assert landmarks.shape == (9, 67, 3)
    assert landmarks.dtype == np.float32
    # Only the right hand signs; it comes from the lap and returns there.
    assert not seen[:, group_slice("left_hand")].any()
    assert seen[4, group_slice("right_hand")].all()
    assert (landmarks[~seen] == 0).all()


def test_opposite_signs_show_the_same_poses_in_opposite_order():
    signer = draw_signers(1, 0)[0]
    rise, fall = (clip_landmarks(signer, one, Motion(), 9) for one in ("rise", "fall"))
    np.testing.assert_allclose(rise, fall[::-1], atol=1e-5)
    assert set(poses.DYNAMIC_SIGNS) >= {"rise", "fall"}


def test_a_symmetric_sign_is_its_own_mirror_image():
    signer = draw_signers(1, 0)[0]
    landmarks = clip_landmarks(signer, "open", Motion(), 5)
    centre = landmarks[:, 42, 0].mean()  # the nose
    mirrored = mirror_landmarks(landmarks)
    mirrored[..., 0] += np.where(mirrored[..., 2] > 0, 2 * centre - 1, 0)
    np.testing.assert_allclose(mirrored, landmarks, atol=1e-5)

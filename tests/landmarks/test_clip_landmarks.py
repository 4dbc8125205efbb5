"""The landmarks of real clips; where there are none, of frames without anybody."""

import cv2
import numpy as np
import pytest
from landmark_networks import networks_folder

from wlasl_tfrecord.landmarks.clip_landmarks import ClipLandmarks
from wlasl_tfrecord.landmarks.networks import Networks
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.landmarks import LANDMARK_NAMES, group_slice
from wlasl_tfrecord.video.decode import decode_clip

CLIP = ClipSpec(num_frames=6, height=96, width=96)


@pytest.fixture(scope="module")
def networks():
    return Networks(networks_folder())


def find(networks, path, framing="center", clip=CLIP):
    """Returns the landmarks of a video, and in how many frames each group is."""
    passes: list[ClipLandmarks] = []

    def observe():
        passes.append(ClipLandmarks(networks, clip, framing))
        return passes[-1].see

    _, source = decode_clip(path, clip=clip, framing=framing, observe=observe)
    indices = source.frame_indices
    return passes[-1].landmarks(indices), passes[-1].num_seen(indices)


@pytest.fixture(scope="module")
def signer(wlasl_data):
    path = wlasl_data / "wlasl100-mini" / "videos" / "00626.mp4"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path


def place(landmarks, name):
    return landmarks[:, LANDMARK_NAMES.index(name)]


def test_a_real_signer_is_found_from_head_to_hands(networks, signer):
    landmarks, num_seen = find(networks, signer)
    assert landmarks.shape == (6, 67, 3)
    assert landmarks.dtype == np.float32
    assert num_seen[2] == 6
    assert min(num_seen[:2]) >= 2
    nose, mouth = place(landmarks, "pose/nose"), place(landmarks, "pose/mouth_left")
    assert (nose[:, 1] < mouth[:, 1]).all()
    # The signer faces the camera: the own left is on the right of the picture.
    left, right = (
        place(landmarks, f"pose/{side}_shoulder")[:, 0] for side in ("left", "right")
    )
    assert (right < left).all()
    assert ((left > 0) & (left < 1)).all()
    for side in ("left", "right"):
        found = landmarks[:, group_slice(f"{side}_hand")]
        seen = found[:, 0, 2] > 0
        wrist = place(landmarks, f"pose/{side}_wrist")[seen]
        apart = np.abs(found[seen, 0, :2] - wrist[:, :2]).max(axis=1)
        assert (apart < 0.15).all()
    assert (landmarks[landmarks[..., 2] == 0] == 0).all()


def test_landmarks_follow_the_framing(networks, signer):
    # 426 x 240 pixels: the stored square shows the middle 240 of them, or all.
    cut, _ = find(networks, signer, "center")
    squashed, _ = find(networks, signer, "squash")
    padded, _ = find(networks, signer, "pad")
    pose = group_slice("pose")
    x, y = (squashed[:, pose, axis] for axis in (0, 1))
    np.testing.assert_allclose(cut[:, pose, 0], (x * 426 - 93) / 240, atol=1e-4)
    np.testing.assert_allclose(cut[:, pose, 1], y, atol=1e-4)
    # 54 of 96 rows are picture.
    np.testing.assert_allclose(padded[:, pose, 0], x, atol=1e-4)
    np.testing.assert_allclose(padded[:, pose, 1], (21 + y * 54) / 96, atol=1e-4)


def test_the_landmarks_of_a_clip_depend_on_it_alone(networks, signer):
    first, _ = find(networks, signer)
    frame = np.full((240, 320, 3), 90, np.uint8)
    ClipLandmarks(networks, CLIP, "center").see(0, frame)
    again, _ = find(networks, signer)
    np.testing.assert_array_equal(first, again)


def test_nobody_has_no_landmarks(networks):
    clip = ClipLandmarks(networks, CLIP, "center")
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    frames = [np.zeros((5, 3, 3), np.uint8), cv2.GaussianBlur(noise, (9, 9), 4)]
    for number, frame in enumerate(frames):
        clip.see(number, frame)
    assert not clip.landmarks([0, 1, 1]).any()
    assert clip.num_seen([0, 1, 1]) == [0, 0, 0]

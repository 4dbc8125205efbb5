"""The landmarks of drawn signers: exact, as their joints are known.

They stand in for those that `bin/shard --landmarks` finds in real videos: its networks
were trained on people, and not on drawings.
"""

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.shard_format.landmarks import (
    LANDMARK_NAMES,
    NUM_LANDMARKS,
    group_slice,
)
from wlasl_tfrecord.synthetic.appearance import Signer
from wlasl_tfrecord.synthetic.figure import arm_points, hand_points
from wlasl_tfrecord.synthetic.poses import Hand, Motion, Pose, pose_at

__all__ = ["clip_landmarks", "frame_landmarks"]

# In heads from the neck, as the face is drawn; left and right are the signer's.
_BODY = {
    "nose": (0.0, -0.58),
    "left_eye_inner": (0.09, -0.74),
    "left_eye": (0.15, -0.74),
    "left_eye_outer": (0.21, -0.74),
    "right_eye_inner": (-0.09, -0.74),
    "right_eye": (-0.15, -0.74),
    "right_eye_outer": (-0.21, -0.74),
    "left_ear": (0.4, -0.68),
    "right_ear": (-0.4, -0.68),
    "mouth_left": (0.11, -0.43),
    "mouth_right": (-0.11, -0.43),
    "left_hip": (0.6, 3.0),
    "right_hip": (-0.6, 3.0),
}
# A pose has these joints of a hand, too.
_HAND_JOINTS = {"thumb": 1, "index": 5, "pinky": 17}


def clip_landmarks(
    signer: Signer, gloss: str, motion: Motion, num_frames: int
) -> NDArray[np.float32]:
    """Returns the landmarks of a clip of a drawn signer.

    Args:
        signer: How they look; only their place and size count.
        gloss: What they sign.
        motion: How this instance differs from others.
        num_frames: Frames in the clip, T, evenly over the whole sign.

    Returns:
        float32 [T, K, 3], in shares of the centre crop; see `shard_format.landmarks`.
    """
    times = np.linspace(0, 1, num_frames)
    return np.stack(
        [frame_landmarks(signer, pose_at(gloss, time, motion)) for time in times]
    )


def frame_landmarks(signer: Signer, pose: Pose) -> NDArray[np.float32]:
    """Returns the landmarks of one frame, float32 [K, 3].

    A hand below the frame's lower edge is not found, as in a photograph.
    """
    points = np.zeros((NUM_LANDMARKS, 2))
    for side, name, hand in ((-1, "right", pose.right), (1, "left", pose.left)):
        _add_side(points, side, name, hand)
    for name, point in _BODY.items():
        points[_index(f"pose/{name}")] = point
    pixels = points * signer.head_pixels + np.array(signer.neck)
    # Of the largest square in the middle, as `center` frames it.
    size = min(signer.width, signer.height)
    corner = (np.array([signer.width, signer.height]) - size) / 2
    landmarks = np.ones((NUM_LANDMARKS, 3), np.float32)
    landmarks[:, :2] = (pixels - corner) / size
    for group in ("left_hand", "right_hand"):
        place = group_slice(group)
        if landmarks[place, 1].min() > 1:
            landmarks[place] = 0
    return landmarks


def _add_side(points: NDArray[np.float64], side: int, name: str, hand: Hand) -> None:
    """Fills in the arm and the hand of one side."""
    joints = hand_points(side, hand)
    points[group_slice(f"{name}_hand")] = joints
    shoulder, elbow, wrist = arm_points(side, hand)
    for joint, point in (("shoulder", shoulder), ("elbow", elbow), ("wrist", wrist)):
        points[_index(f"pose/{name}_{joint}")] = point
    for part, joint in _HAND_JOINTS.items():
        points[_index(f"pose/{name}_{part}")] = joints[joint]


def _index(name: str) -> int:
    return LANDMARK_NAMES.index(name)

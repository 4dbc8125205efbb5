"""The landmarks of one clip, found frame by frame while it is decoded."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.landmarks.hands import SIDES, Hand, Side, find_hands
from wlasl_tfrecord.landmarks.networks import Networks
from wlasl_tfrecord.landmarks.pose import Pose, find_pose
from wlasl_tfrecord.landmarks.regions import Region
from wlasl_tfrecord.shard_format.clips import ClipSpec, Framing
from wlasl_tfrecord.shard_format.landmarks import (
    LANDMARK_GROUPS,
    NUM_LANDMARKS,
    group_slice,
)
from wlasl_tfrecord.video.framing import shown_part

__all__ = ["ClipLandmarks"]

Landmarks = NDArray[np.float32]


class ClipLandmarks:
    """Finds the landmarks of one clip; a new one for each pass over its video.

    Every clip starts with a search, so its landmarks depend on it alone.
    """

    def __init__(self, networks: Networks, clip: ClipSpec, framing: Framing) -> None:
        """Starts before the first frame.

        Args:
            networks: The networks.
            clip: The shape of the clip.
            framing: How frames are made to fit.
        """
        self._networks, self._clip = networks, clip
        self._framing: Framing = framing
        self._person: Region | None = None
        self._hands: dict[Side, Region] = {}
        self._found: dict[int, Landmarks] = {}

    def see(self, number: int, frame: NDArray[np.uint8]) -> None:
        """Finds the landmarks of the next frame of the clip.

        Args:
            number: The number of the frame in its video.
            frame: uint8 [height, width, 3], BGR, before it is made to fit.
        """
        pose = find_pose(self._networks, frame, self._person)
        hands = find_hands(self._networks, frame, self._hands, pose)
        self._person = None if pose is None else pose.next_region
        self._hands = {side: hand.next_region for side, hand in hands.items()}
        full_height, full_width = frame.shape[:2]
        left, top, width, height = shown_part(
            full_height,
            full_width,
            self._framing,
            self._clip.height,
            self._clip.width,
        )
        landmarks = _join(pose, hands)
        is_seen = landmarks[:, 2:] > 0
        place = (landmarks[:, :2] - (left, top)) / (width, height)
        landmarks[:, :2] = np.where(is_seen, place, 0)
        self._found[number] = landmarks

    def landmarks(self, frame_indices: Sequence[int]) -> Landmarks:
        """Returns the landmarks of a clip.

        Args:
            frame_indices: T numbers of frames that were seen.

        Returns:
            float32 [T, K, 3]; see `shard_format.landmarks`.
        """
        return np.stack([self._found[number] for number in frame_indices])

    def num_seen(self, frame_indices: Sequence[int]) -> list[int]:
        """Counts the frames of a clip in which a group was found, for each group."""
        landmarks = self.landmarks(frame_indices)
        return [
            int((landmarks[:, group_slice(group), 2] > 0).any(axis=1).sum())
            for group in LANDMARK_GROUPS
        ]


def _join(pose: Pose | None, hands: Mapping[Side, Hand]) -> Landmarks:
    """Returns the landmarks of a frame, float32 [K, 3], in its pixels."""
    landmarks = np.zeros((NUM_LANDMARKS, 3), np.float32)
    for side in SIDES:
        if side in hands:
            place = landmarks[group_slice(f"{side}_hand")]
            place[:, :2] = hands[side].points
            place[:, 2] = hands[side].presence
    if pose is not None:
        place = landmarks[group_slice("pose")]
        place[:, :2] = pose.points[: len(place)]
        # Above 0, which means that it was not found.
        place[:, 2] = np.maximum(pose.visibility[: len(place)], _LOWEST)
    return landmarks


_LOWEST = 1e-3

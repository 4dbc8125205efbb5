"""The landmarks of frames that come one after the other, without an end.

Of frames as a clip stores them, in the process of the network: what a camera sees, and
the windows of a long video. A clip of `bin/shard` or of a single video has those that a
decoder found in whole frames, before they were made to fit; where a hand leaves the
part that is kept, the two differ.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.landmarks.clip_landmarks import ClipLandmarks
from wlasl_tfrecord.landmarks.networks import Networks

if TYPE_CHECKING:
    from wlasl_tfrecord.inference.trained_model import TrainedModel

__all__ = ["FrameLandmarks"]


class FrameLandmarks:
    """Finds the landmarks of one frame after the other, and follows them.

    Args:
        model: A model that takes landmarks.

    Raises:
        LandmarkError: If the networks that find them cannot be had.
    """

    def __init__(self, model: "TrainedModel") -> None:
        folder = model.landmark_networks
        assert folder is not None  # of a model that takes landmarks
        self._networks = Networks(folder)
        self._clip = model.info.clip
        self.restart()

    def restart(self) -> None:
        """Forgets the frames so far: those that follow are not their continuation."""
        # As they are: they have been made to fit already.
        self._finder = ClipLandmarks(self._networks, self._clip, "squash")

    def find(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Finds the landmarks of the next frame.

        Args:
            frame: uint8 [H, W, 3], RGB.

        Returns:
            float32 [K, 3]; see `shard_format.landmarks`.
        """
        self._finder.see(0, np.ascontiguousarray(frame[..., ::-1]))
        return self._finder.landmarks([0])[0]

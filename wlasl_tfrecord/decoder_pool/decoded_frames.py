"""The frames of a clip, copied out of the record that a worker made of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.shard_format import tfrecord
from wlasl_tfrecord.shard_format.clip_proto import FRAME_INDICES_KEY, FRAMES_KEY
from wlasl_tfrecord.shard_format.clips import ClipFacts
from wlasl_tfrecord.shard_format.protobuf import bytes_feature, int64_feature
from wlasl_tfrecord.shard_format.record_bytes import read_landmarks
from wlasl_tfrecord.shard_format.shard_options import ShardOptions

__all__ = ["DecodedFrames", "decoded_frames"]


@dataclass(frozen=True, kw_only=True)
class DecodedFrames:
    """The frames of one clip, and its landmarks if wanted.

    Attributes:
        frames: uint8 [T, H, W, 3], RGB.
        frame_indices: T numbers of these frames in the video, never decreasing.
        num_video_frames: Frames in the video.
        landmarks: float32 [T, K, 3], see `shard_format.landmarks`; None if not wanted.
    """

    frames: NDArray[np.uint8]
    frame_indices: tuple[int, ...]
    num_video_frames: int
    landmarks: NDArray[np.float32] | None = None

    @property
    def num_distinct_frames(self) -> int:
        """How many of the frames differ; below T for a short video."""
        return len(set(self.frame_indices))


def decoded_frames(
    record: memoryview, facts: ClipFacts, options: ShardOptions
) -> DecodedFrames:
    """Reads a clip out of a record, into memory of its own.

    Args:
        record: A record of plain frames, with its header and checksums.
        facts: What the worker found about it.
        options: What the worker was told.
    """
    proto = record[tfrecord.HEADER_BYTES : -tfrecord.CRC_BYTES]
    frames = np.frombuffer(bytes_feature(proto, FRAMES_KEY), np.uint8)
    landmarks = None
    if options.landmark_models is not None:
        landmarks = read_landmarks(proto, options.clip, options.codec)
    return DecodedFrames(
        frames=frames.reshape(options.clip.shape).copy(),
        frame_indices=int64_feature(proto, FRAME_INDICES_KEY),
        num_video_frames=facts.num_video_frames,
        landmarks=landmarks,
    )

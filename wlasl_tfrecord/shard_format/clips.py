"""A clip: its shape, where it came from, and which frames of a video make it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = [
    "FRAMINGS",
    "ClipSource",
    "ClipSpec",
    "Framing",
    "RangeRule",
    "SignRange",
    "frame_times_us",
]

Framing = Literal["center", "squash", "pad"]
FRAMINGS: tuple[Framing, ...] = ("center", "squash", "pad")

# whole: the annotation names no range. trimmed: it names one, but the file holds just
# the sign already. cut: the file is longer, and the range was taken out of it.
RangeRule = Literal["whole", "trimmed", "cut"]


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """The shape of every clip in a shard folder.

    Attributes:
        num_frames: Frames per clip, T.
        height: Frame height in pixels, H.
        width: Frame width in pixels, W.

    Raises:
        ValueError: If a size is below 1.
    """

    num_frames: int = 30
    height: int = 224
    width: int = 224

    def __post_init__(self) -> None:
        """Reject sizes that no clip can have."""
        for name in ("num_frames", "height", "width"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, H, W, 3), the shape of one clip."""
        return (self.num_frames, self.height, self.width, 3)

    @property
    def num_bytes(self) -> int:
        """Bytes of one clip, uncompressed."""
        return self.num_frames * self.height * self.width * 3


class SignRange(NamedTuple):
    """The frames of a video that hold the sign.

    Attributes:
        start: First frame, counted from 0.
        stop: One past the last frame.
        rule: How the annotation was read; stored in every record.
    """

    start: int
    stop: int
    rule: RangeRule


@dataclass(frozen=True, kw_only=True)
class ClipSource:
    """Where the frames of one clip lie in its video.

    Attributes:
        video_fps: The file's own frames per second.
        num_video_frames: Frames that were decoded or counted in the file, N.
        sign: The frames that hold the sign.
        frame_indices: T frame numbers of the video, never decreasing.
        sha256: Hex digest of the file's bytes (of a folder of images: of all its
            files).
        num_promised_frames: How many frames the file says it has; 0 if it does not.
    """

    video_fps: float
    num_video_frames: int
    sign: SignRange
    frame_indices: tuple[int, ...]
    sha256: str
    num_promised_frames: int = 0

    @property
    def num_distinct_frames(self) -> int:
        """How many different frames the clip shows; below T for a short video."""
        return len(set(self.frame_indices))

    @property
    def frame_times_us(self) -> tuple[int, ...]:
        """T instants, microseconds from the start of the video, strictly growing."""
        return frame_times_us(self.sign, len(self.frame_indices), self.video_fps)


def frame_times_us(
    sign: SignRange, num_frames: int, video_fps: float
) -> tuple[int, ...]:
    """Gives the instants at which a clip samples its sign.

    They are the ideal instants, not those of the frames nearest to them, so that they
    grow strictly even where a short video repeats a frame: MediaSequence asks for that.

    Args:
        sign: The frames that hold the sign.
        num_frames: Frames in the clip, T.
        video_fps: Frames per second of the video.

    Returns:
        T times in microseconds from the start of the video, strictly increasing.
    """
    last = sign.stop - 1
    if num_frames == 1:
        positions: Sequence[float] = [(sign.start + last) / 2]
    else:
        step = (last - sign.start) / (num_frames - 1)
        positions = [sign.start + k * step for k in range(num_frames)]
    times: list[int] = []
    for position in positions:
        time_us = round(position / video_fps * 1e6)
        # One frame alone gives the same instant T times: then a microsecond each.
        times.append(max(time_us, times[-1] + 1) if times else time_us)
    return tuple(times)

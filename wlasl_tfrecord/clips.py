"""A clip: its shape, where it came from, and which frames of a video make it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import VideoError

__all__ = [
    "ANNOTATION_FPS",
    "FRAMINGS",
    "ClipSource",
    "ClipSpec",
    "Framing",
    "RangeRule",
    "SignRange",
    "frame_indices",
    "frame_times_us",
    "sign_range",
]

Framing = Literal["center", "squash", "pad"]
FRAMINGS: tuple[Framing, ...] = ("center", "squash", "pad")

# whole: the annotation names no range. trimmed: it names one, but the file holds just
# the sign already. cut: the file is longer, and the range was taken out of it.
RangeRule = Literal["whole", "trimmed", "cut"]

# The rate at which WLASL's authors counted frames, whatever the file's own rate is.
ANNOTATION_FPS = 25.0


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


def frame_indices(num_video_frames: int, num_frames: int) -> NDArray[np.intp]:
    """Spreads T frames evenly over a video, from its first frame to its last.

    The usual guide takes the first T * (N // T) frames and so loses the end of a sign.
    Here both ends are always in the clip. A video shorter than the clip repeats frames,
    in order; it never wraps to the start, because a sign played twice is another sign.

    Args:
        num_video_frames: Frames in the trimmed video, N.
        num_frames: Frames in the clip, T. One frame is the middle one.

    Returns:
        T indices in [0, N), never decreasing.

    Raises:
        ValueError: If either number is below 1.

    >>> frame_indices(10, 4).tolist()
    [0, 3, 6, 9]
    >>> frame_indices(2, 5).tolist()
    [0, 0, 1, 1, 1]
    """
    if num_video_frames < 1 or num_frames < 1:
        raise ValueError(
            "need at least one frame on both sides, "
            f"got {num_video_frames=} and {num_frames=}"
        )
    if num_frames == 1:
        return np.array([(num_video_frames - 1) // 2], dtype=np.intp)
    # In whole numbers, halves up: no float can round differently on another machine.
    steps = np.arange(num_frames, dtype=np.intp)
    doubled = 2 * steps * (num_video_frames - 1) + (num_frames - 1)
    return doubled // (2 * (num_frames - 1))


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


# How far a range and a file may differ in length, in frames at 25 a second, for the
# file to count as cut out by that range. Trimming tools round to key frames and drop
# the last one or two; measured on 1,141 real clips of WLASL, where the true cuts differ
# by hundreds.
_TRIMMED_TOLERANCE_FRAMES = 5


def sign_range(
    num_video_frames: int,
    video_fps: float,
    start: int | None = None,
    stop: int | None = None,
    annotation_fps: float | None = ANNOTATION_FPS,
) -> SignRange:
    """Finds the sign in a video, which somebody may have trimmed already.

    WLASL's ranges count frames at 25 a second in the video as it was published. Most
    copies in circulation were trimmed to these ranges when they were downloaded, and
    the range then points behind the end of the file. So a range is cut out only if it
    fits in the file and the file is longer than it.

    Args:
        num_video_frames: Frames in the file, N.
        video_fps: Frames per second of the file.
        start: First annotated frame, from 0; None for the first.
        stop: One past the last annotated frame; None for "to the end".
        annotation_fps: The rate at which `start` and `stop` count; None if they are
            frames of this very file, which then must have them.

    Returns:
        The frames that hold the sign, and the rule that found them. At least one frame.

    Raises:
        ValueError: If the range has no frame, starts before 0 or has no rate.
        VideoError: If `annotation_fps` is None and the range is not inside the file.

    >>> sign_range(121, 25.0, start=551, stop=672)  # trimmed by whoever downloaded it
    SignRange(start=0, stop=121, rule='trimmed')
    >>> sign_range(4232, 25.0, start=2054, stop=2111)
    SignRange(start=2054, stop=2111, rule='cut')
    >>> sign_range(300, 50.0, start=50, stop=100)
    SignRange(start=100, stop=200, rule='cut')
    """
    whole = SignRange(0, num_video_frames, "whole")
    if not start and stop is None:
        return whole
    first = 0 if start is None else start
    if annotation_fps is None:
        last = num_video_frames if stop is None else stop
        if not 0 <= first < last <= num_video_frames:
            end = "the end" if stop is None else stop
            raise VideoError(
                f"range outside the video: frames {first} to {end} are wanted, decoded "
                f"{num_video_frames} frames"
            )
        return SignRange(first, last, "cut")
    if first < 0 or (stop is not None and stop <= first):
        raise ValueError(
            f"start must be at least 0 and stop above it, got {start=} and {stop=}"
        )
    if annotation_fps <= 0:
        raise ValueError(f"annotation_fps must be above 0, got {annotation_fps}")
    scale = video_fps / annotation_fps
    native_start = round(first * scale)
    if stop is None:
        if native_start >= num_video_frames:
            return SignRange(0, num_video_frames, "trimmed")
        return SignRange(native_start, num_video_frames, "cut")
    native_stop = round(stop * scale)
    tolerance = _TRIMMED_TOLERANCE_FRAMES * scale
    same_length = abs((native_stop - native_start) - num_video_frames) <= tolerance
    if native_stop > num_video_frames + tolerance or same_length:
        return SignRange(0, num_video_frames, "trimmed")
    native_stop = min(max(native_stop, native_start + 1), num_video_frames)
    return SignRange(min(native_start, native_stop - 1), native_stop, "cut")

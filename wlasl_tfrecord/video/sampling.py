"""Which frames of a video make a clip."""

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clips import SignRange

__all__ = [
    "ANNOTATION_FPS",
    "evenly_spaced",
    "sign_range",
]

# The rate at which WLASL's authors counted frames, whatever the file's own rate is.
ANNOTATION_FPS = 25.0


def evenly_spaced(num_video_frames: int, num_frames: int) -> NDArray[np.intp]:
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

    >>> evenly_spaced(10, 4).tolist()
    [0, 3, 6, 9]
    >>> evenly_spaced(2, 5).tolist()
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
    the range then points past the end of the file. So a range is cut out only if it
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
                "range outside the video",
                f"frames {first} to {end} are wanted, decoded {num_video_frames} "
                "frames",
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

"""Which frames of a video make a clip."""

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clips import SignRange

__all__ = [
    "ANNOTATION_FPS",
    "evenly_spaced",
    "evenly_timed",
    "sign_range",
    "varying_times",
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


def evenly_timed(frame_times: NDArray[np.float64], num_frames: int) -> NDArray[np.intp]:
    """Spreads T frames evenly over the time of a video, its first and last included.

    Where the rate varies, this is what `evenly_spaced` is where it does not: a second
    of 15 frames shows as much of a sign as a second of 30.

    Args:
        frame_times: float64 [N], the seconds at which the frames are shown, never
            decreasing.
        num_frames: Frames in the clip, T. One frame is the one at half time.

    Returns:
        T indices in [0, N), never decreasing.

    >>> evenly_timed(np.array([0.0, 0.1, 0.2, 0.3, 0.8]), 5).tolist()
    [0, 2, 3, 4, 4]
    """
    first, last = frame_times[0], frame_times[-1]
    if num_frames == 1:
        instants = np.array([(first + last) / 2])
    else:
        instants = np.linspace(first, last, num_frames)
    positions = np.interp(instants, frame_times, np.arange(len(frame_times)))
    return np.floor(positions + 0.5).astype(np.intp)


def varying_times(
    frame_times: NDArray[np.float64] | None,
) -> NDArray[np.float64] | None:
    """Returns the times of a video whose rate varies; None if it is constant.

    The rate varies if a frame is shown more than a frame's time away from where it
    would be at the mean rate. Clocks that count in milliseconds stay below that, and so
    does a frame that was left out: none of 852 real clips is off by more than a
    fiftieth.

    Args:
        frame_times: float64 [N], the seconds from the first frame to each; None if they
            are not known.
    """
    if frame_times is None or len(frame_times) < 2 or frame_times[-1] <= 0:
        return None
    if np.diff(frame_times).min() <= 0:
        # Two frames at once: a clock that started again, as where files were joined.
        return None
    count = len(frame_times)
    at_mean_rate = np.linspace(0.0, frame_times[-1], count)
    step = frame_times[-1] / (count - 1)
    varies = np.abs(frame_times - at_mean_rate).max() > step
    return frame_times if varies else None


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
    *,
    frame_times: NDArray[np.float64] | None = None,
    num_promised_frames: int = 0,
) -> SignRange:
    """Finds the sign in a video, which somebody may have trimmed already.

    WLASL's ranges count frames at 25 a second in the video as it was published. Most
    copies in circulation were trimmed to these ranges when they were downloaded, and
    the range then points past the end of the file. So a range is cut out only if it
    fits in the file and the file is longer than it. A file that ends before the range,
    but should not, was cut off: what is left of it does not show the sign.

    Args:
        num_video_frames: Frames in the file, N.
        video_fps: Frames per second of the file.
        start: First annotated frame, from 0; None for the first.
        stop: One past the last annotated frame; None for "to the end".
        annotation_fps: The rate at which `start` and `stop` count; None if they are
            frames of this very file, which then must have them.
        frame_times: float64 [N], the seconds from the first frame to each, if the rate
            varies: then the range is found by them.
        num_promised_frames: How many frames the file says it has; 0 if it does not.

    Returns:
        The frames that hold the sign, and the rule that found them. At least one frame.

    Raises:
        ValueError: If the range has no frame, starts before 0 or has no rate.
        VideoError: If `annotation_fps` is None and the range is not inside the file, or
            if it is inside what the file promises, and not inside what there is.

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
    native_start = _native_frame(first, scale, annotation_fps, frame_times)
    tolerance = _TRIMMED_TOLERANCE_FRAMES * scale
    is_cut_off = num_promised_frames > num_video_frames + max(3, tolerance)
    counts = (num_video_frames, num_promised_frames)
    if stop is None:
        if native_start < num_video_frames:
            return SignRange(native_start, num_video_frames, "cut")
        if is_cut_off and native_start < num_promised_frames:
            raise _cut_off(native_start, "the end", *counts)
        return SignRange(0, num_video_frames, "trimmed")
    native_stop = _native_frame(stop, scale, annotation_fps, frame_times)
    is_behind = native_stop > num_video_frames + tolerance
    if is_behind and is_cut_off and native_stop <= num_promised_frames + tolerance:
        raise _cut_off(native_start, native_stop, *counts)
    same_length = abs((native_stop - native_start) - num_video_frames) <= tolerance
    if is_behind or same_length:
        return SignRange(0, num_video_frames, "trimmed")
    native_stop = min(max(native_stop, native_start + 1), num_video_frames)
    return SignRange(min(native_start, native_stop - 1), native_stop, "cut")


def _native_frame(
    frame: int,
    scale: float,
    annotation_fps: float,
    frame_times: NDArray[np.float64] | None,
) -> int:
    """Returns the frame of the file at an annotated frame's time."""
    if frame_times is None:
        return round(frame * scale)
    last = len(frame_times) - 1
    seconds = frame / annotation_fps
    if seconds > frame_times[-1]:
        # Behind the end, frames would come at the mean rate.
        return last + round((seconds - frame_times[-1]) * last / frame_times[-1])
    return round(float(np.interp(seconds, frame_times, np.arange(last + 1))))


def _cut_off(
    start: int, stop: int | str, num_video_frames: int, num_promised_frames: int
) -> VideoError:
    return VideoError(
        "range outside the video",
        f"frames {start} to {stop} are wanted, decoded "
        f"{num_video_frames} of the {num_promised_frames} that it promises; download "
        "it again",
    )

"""A long video, one frame after the other: what windows that slide over it are made of.

The frames lie on a grid: T of them span a window, as T frames span a clip, and a window
that starts at any of them has the next T. So each frame is decoded once, however many
windows it is in.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clips import ClipSpec, Framing
from wlasl_tfrecord.video.content_hash import open_file
from wlasl_tfrecord.video.decode import decode_image, location_of, video_errors
from wlasl_tfrecord.video.framing import fit_frame
from wlasl_tfrecord.video.image_folder import image_files
from wlasl_tfrecord.video.open_video import open_video
from wlasl_tfrecord.video.sampling import ANNOTATION_FPS, varying_times

__all__ = ["GridFrame", "sample_video"]

# How many decoded frames may pass before `alive` is called again.
_FRAMES_ALIVE = 256


@dataclass(frozen=True, kw_only=True)
class GridFrame:
    """One frame of a long video.

    Attributes:
        frame: uint8 [H, W, 3], RGB.
        seconds: When the video shows it.
        num_places: Number of places of the grid in a row that it takes: more than one
            where the video has fewer frames than the grid has places.
    """

    frame: NDArray[np.uint8]
    seconds: float
    num_places: int = 1


def sample_video(
    path: str | os.PathLike[str],
    keep: Callable[[GridFrame], object],
    *,
    clip: ClipSpec,
    framing: Framing,
    window_seconds: float,
    start: int | None = None,
    stop: int | None = None,
    alive: Callable[[], object] = lambda: None,
) -> float:
    """Decodes a video to its end, and passes on the frames of the grid.

    The first T of them are the clip that `decode_clip` makes of a video that is as long
    as a window.

    Args:
        path: A video file, or a folder of numbered images.
        keep: Called with each frame of the grid, in order.
        clip: The shape of a window's clip.
        framing: How frames are made to fit.
        window_seconds: How long a window is.
        start: First frame to look at, from 0; None for the first.
        stop: One past the last frame; None for the end.
        alive: Called from time to time, while frames are decoded that nobody wants.

    Returns:
        How long the video is, or the chosen part of it, in seconds. With windows of
        this length, it is a single one.

    Raises:
        VideoError: If the video cannot be decoded, or does not have the range. Frames
            before the damage were passed on.
    """
    with video_errors(path):
        if os.path.isdir(path):
            chosen = (start, stop)
            return _sample_images(path, keep, clip, framing, window_seconds, chosen)
        with open_file(path) as descriptor:
            video = open_video(location_of(descriptor, path))
            first = start or 0
            times = varying_times(video.frame_times)
            fps = video.fps or ANNOTATION_FPS
            if times is None:
                places = _even_places(fps, clip.num_frames, window_seconds)
            else:
                places = _timed_places(times[first:], clip.num_frames, window_seconds)
            wanted = _Wanted(places, first, alive)

            def pass_on(number: int, image: NDArray[np.uint8]) -> None:
                seconds = number / fps if times is None else float(times[number])
                num_places = wanted.take()
                keep(_grid_frame(image, clip, framing, seconds, num_places))

            decoded = video.grab_frames(wanted, stop, pass_on)
            if not decoded:
                raise VideoError(
                    "too short",
                    f"no frame of it can be decoded (codec {video.codec_name!r})",
                )
            _check_range(decoded, start, stop)
        if times is not None:
            fps = _mean_fps(times[first:decoded], fps)
        return (decoded - first) / fps


class _Wanted:
    """The numbers of the wanted frames, each of which is asked for once, in order."""

    def __init__(
        self, places: Iterator[int], first: int, alive: Callable[[], object]
    ) -> None:
        """Takes the frames of the grid's places, counted from `first`."""
        self._places = places
        self._first = first
        self._alive = alive
        self._next = next(places, None)

    def __contains__(self, number: object) -> bool:
        """Returns whether a frame is wanted."""
        assert isinstance(number, int)
        if number % _FRAMES_ALIVE == 0:
            self._alive()
        return self._next is not None and number - self._first == self._next

    def take(self) -> int:
        """Takes the frame that is wanted, and returns how many places it has."""
        taken, num_places = self._next, 0
        while taken is not None and self._next == taken:
            num_places += 1
            self._next = next(self._places, None)
        return num_places


def _even_places(fps: float, num_frames: int, window_seconds: float) -> Iterator[int]:
    """Yields the frame of each place, as `evenly_spaced` does, for ever.

    >>> places = _even_places(fps=10, num_frames=4, window_seconds=1)
    >>> [next(places) for _ in range(7)]
    [0, 3, 6, 9, 12, 15, 18]
    """
    num_window_frames = _window_frames(fps, window_seconds)
    if num_window_frames == 1:
        yield from (number for number in count() for _ in range(num_frames))
    if num_frames == 1:
        middle = (num_window_frames - 1) // 2
        yield from (middle + place * num_window_frames for place in count())
    for place in count():
        doubled = 2 * place * (num_window_frames - 1) + (num_frames - 1)
        yield doubled // (2 * (num_frames - 1))


def _timed_places(
    frame_times: NDArray[np.float64], num_frames: int, window_seconds: float
) -> Iterator[int]:
    """Yields the frame of each place, as `evenly_timed` does, for a varying rate.

    Args:
        frame_times: float64 [N], seconds.
        num_frames: Frames of a window's clip, T.
        window_seconds: How long a window is.
    """
    if len(frame_times) < 2:
        yield from range(len(frame_times))
        return
    times = frame_times - frame_times[0]
    num_window_frames = max(2, _window_frames(_mean_fps(times, 0.0), window_seconds))
    # From the first frame of a window to its last.
    span = window_seconds * (num_window_frames - 1) / num_window_frames
    step = span / max(num_frames - 1, 1)
    # A rounding error must not cost the last frame of a video as long as a window.
    num_places = int(times[-1] / step * (1 + 1e-9)) + 1
    instants = np.minimum(np.arange(num_places) * step, times[-1])
    positions = np.interp(instants, times, np.arange(len(times)))
    yield from np.floor(positions + 0.5).astype(np.intp).tolist()


def _mean_fps(frame_times: NDArray[np.float64], fps: float) -> float:
    """Returns the mean rate of frames; `fps` where there is only one."""
    if len(frame_times) < 2:
        return fps
    return (len(frame_times) - 1) / (frame_times[-1] - frame_times[0])


def _window_frames(fps: float, window_seconds: float) -> int:
    """Returns how many frames of a video a window has, at least one."""
    return max(1, round(window_seconds * fps))


def _sample_images(
    directory: str | os.PathLike[str],
    keep: Callable[[GridFrame], object],
    clip: ClipSpec,
    framing: Framing,
    window_seconds: float,
    chosen: tuple[int | None, int | None],
) -> float:
    """Passes on the images of a folder, which has no rate of its own."""
    paths = image_files(directory)
    _check_range(len(paths), *chosen)
    first, last = chosen[0] or 0, len(paths) if chosen[1] is None else chosen[1]
    places = _even_places(ANNOTATION_FPS, clip.num_frames, window_seconds)
    wanted = _Wanted(places, first, lambda: None)
    for number in range(first, last):
        if number in wanted:
            image, seconds = decode_image(paths[number]), number / ANNOTATION_FPS
            keep(_grid_frame(image, clip, framing, seconds, wanted.take()))
    return (last - first) / ANNOTATION_FPS


def _grid_frame(
    image: NDArray[np.uint8],
    clip: ClipSpec,
    framing: Framing,
    seconds: float,
    num_places: int,
) -> GridFrame:
    frame = np.empty(clip.shape[1:], np.uint8)
    fit_frame(image, framing, out=frame)
    return GridFrame(frame=frame, seconds=seconds, num_places=num_places)


def _check_range(num_frames: int, start: int | None, stop: int | None) -> None:
    """Checks that a video has the frames that were asked for.

    Raises:
        VideoError: If it has not.
    """
    if (start or 0) >= num_frames or (stop or 0) > num_frames:
        end = "the end" if stop is None else stop
        raise VideoError(
            "range outside the video",
            f"frames {start or 0} to {end} are wanted, decoded {num_frames} frames",
        )

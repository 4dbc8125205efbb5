"""Windows that slide over a long video, and the signs that they show.

A window is taken as one sign, as a whole video is by `prediction`. Neighbouring windows
share most of their frames, and what the backbone computes of a frame is kept for all of
them. So the network costs as much as for the same frames in single clips, however small
the step is.
"""

import os
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.decoder_pool.jobs import VideoLimits
from wlasl_tfrecord.decoder_pool.stream import stream_frames
from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.inference.frame_landmarks import FrameLandmarks
from wlasl_tfrecord.inference.window_options import WindowOptions
from wlasl_tfrecord.network.inputs import FRAMES, LANDMARKS, pick_inputs
from wlasl_tfrecord.video.long_video import GridFrame

if TYPE_CHECKING:
    from wlasl_tfrecord.inference.trained_model import TrainedModel

__all__ = ["Slider", "Window", "video_windows"]

# Frames that the backbone computes at once.
_FRAMES_AT_ONCE = 30
# Windows that the head does. There are thousands where a picture stands for an hour.
_WINDOWS_AT_ONCE = 64
# The share of the largest motions in a window that does not count: one in five.
_LEFT_OUT = 5
# Motion is measured on a picture of so many pixels on a side: noise is averaged away.
# And over so much time, however dense the grid is.
_MOTION_PIXELS = 32
_MOTION_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Window:
    """A part of a video, taken as one sign.

    Attributes:
        start_seconds: When its first frame is shown.
        stop_seconds: When its last frame is shown.
        probabilities: float32 [num_classes].
        motion: How much moves in it; see `WindowOptions.min_motion`.
    """

    start_seconds: float
    stop_seconds: float
    probabilities: NDArray[np.float32]
    motion: float

    @property
    def middle_seconds(self) -> float:
        """The time in its middle, for which it stands."""
        return (self.start_seconds + self.stop_seconds) / 2


@dataclass(frozen=True, kw_only=True)
class _Place:
    """What is kept of a place of the grid.

    Attributes:
        seconds: When its frame is shown.
        features: What the backbone makes of the frame; or all that the network takes
            of it, by name.
        motion: How much has changed within the last `_MOTION_SECONDS`.
    """

    seconds: float
    features: Any
    motion: float


class Slider:
    """Makes windows of frames as they come, and computes each frame once.

    Args:
        model: A trained model.
        options: How the windows slide.
    """

    def __init__(self, model: "TrainedModel", options: WindowOptions) -> None:
        self._model = model
        self._network = model.split
        self._finder = FrameLandmarks(model) if model.info.takes_landmarks else None
        num_frames = model.info.clip.num_frames
        self._step = options.places_between(num_frames)
        self._places: deque[_Place] = deque(maxlen=num_frames)
        # From the oldest to the last place; the motion is between these two.
        lag = round(_MOTION_SECONDS * (num_frames - 1) / options.window_seconds)
        self._pictures: deque[NDArray[np.float32]] = deque(maxlen=1 + max(lag, 1))
        # Places until the next window is whole.
        self._num_missing = num_frames

    def push(self, frames: Sequence[GridFrame]) -> list[Window]:
        """Takes the next frames, and returns the windows that they make whole."""
        if not frames:
            return []
        rows = self._features([one.frame for one in frames])
        whole: list[list[_Place]] = []
        for frame, features in zip(frames, rows):
            picture = _small_picture(frame.frame)
            for _ in range(frame.num_places):
                self._pictures.append(picture)
                motion = float(np.abs(picture - self._pictures[0]).mean())
                place = _Place(seconds=frame.seconds, features=features, motion=motion)
                self._places.append(place)
                self._num_missing -= 1
                if self._num_missing == 0:
                    whole.append(list(self._places))
                    self._num_missing = self._step
        return self._windows(whole)

    def finish(self) -> list[Window]:
        """Returns a last window, which ends with the video; none if one did already.

        None either, if the video is shorter than a window.
        """
        is_full = len(self._places) == self._places.maxlen
        if not is_full or self._num_missing == self._step:
            return []
        self._num_missing = self._step
        return self._windows([list(self._places)])

    def restart(self) -> None:
        """Forgets the frames so far: those that follow are not their continuation."""
        self._places.clear()
        self._pictures.clear()
        self._num_missing = self._places.maxlen or 1
        if self._finder is not None:
            self._finder.restart()

    def _features(self, frames: Sequence[NDArray[np.uint8]]) -> Sequence[Any]:
        """Computes what is kept of each frame."""
        if self._finder is None:
            return list(self._network.features(np.stack(frames)))
        return [
            {FRAMES: frame, LANDMARKS: self._finder.find(frame)} for frame in frames
        ]

    def _windows(self, whole: Sequence[Sequence[_Place]]) -> list[Window]:
        # Together where they are small; whole clips of frames one by one.
        at_once = _WINDOWS_AT_ONCE if self._network.is_split else 1
        windows = []
        for start in range(0, len(whole), at_once):
            chosen = whole[start : start + at_once]
            rows = self._rows([[place.features for place in one] for one in chosen])
            windows += [_window(places, row) for places, row in zip(chosen, rows)]
        return windows

    def _rows(self, features: Sequence[Sequence[Any]]) -> NDArray[np.float32]:
        """Runs the network on what was kept of the frames of some windows."""
        if self._finder is None:
            return self._network.head(np.stack(features))
        names = self._model.info.inputs
        values = {
            name: np.array([[frame[name] for frame in one] for one in features])
            for name in names
        }
        return self._network.head(pick_inputs(names, values))


def _small_picture(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns a frame as a small grey picture, float32 [32, 32]."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    size = (_MOTION_PIXELS, _MOTION_PIXELS)
    picture = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return picture.astype(np.float32)


def _window(places: Sequence[_Place], row: NDArray[np.float32]) -> Window:
    # That of the first frame is the motion before the window.
    motions = sorted(place.motion for place in places[1:] or places)
    # Without the largest: where films are joined, the whole picture changes at once.
    kept = motions[: len(motions) - len(motions) // _LEFT_OUT]
    return Window(
        start_seconds=places[0].seconds,
        stop_seconds=places[-1].seconds,
        probabilities=row,
        motion=float(np.mean(kept)),
    )


def video_windows(
    model: "TrainedModel",
    path: str | os.PathLike[str],
    options: WindowOptions,
    *,
    start: int | None = None,
    stop: int | None = None,
    limits: VideoLimits | None = None,
) -> Iterator[Window]:
    """Yields the windows of a video.

    Memory does not grow with the length of the video: each frame is decoded once, and
    forgotten when the last window with it is done.

    Args:
        model: A trained model.
        path: A video, or a folder of numbered images.
        options: How the windows slide.
        start: First frame to look at, from 0; None for the first.
        stop: One past the last frame; None for the end.
        limits: What decoding may cost; see `decoder_pool.stream.stream_frames`.

    Yields:
        Windows by time. Of a video that is shorter than one, a single window with the
        probabilities that `predict_videos` returns.

    Raises:
        VideoError: If the video cannot be decoded.
        WlaslError: If no process can be started.
    """
    num_windows = 0
    pass_over = partial(_pass_over, model, path, start=start, stop=stop, limits=limits)
    windows = pass_over(options)
    while True:
        try:
            window = next(windows)
        except StopIteration as end:
            seconds = end.value
            break
        num_windows += 1
        yield window
    if not num_windows:
        yield from pass_over(replace(options, window_seconds=seconds))


def _pass_over(
    model: "TrainedModel",
    path: str | os.PathLike[str],
    options: WindowOptions,
    *,
    start: int | None,
    stop: int | None,
    limits: VideoLimits | None,
) -> Generator[Window, None, float]:
    """Yields the windows of a video, and returns how long it is, in seconds."""
    frames = stream_frames(
        path,
        clip=model.info.clip,
        framing=model.info.framing,
        window_seconds=options.window_seconds,
        start=start,
        stop=stop,
        limits=limits,
    )
    slider = Slider(model, options)
    waiting: list[GridFrame] = []
    while True:
        try:
            waiting.append(next(frames))
        except StopIteration as end:
            yield from slider.push(waiting)
            yield from slider.finish()
            return end.value
        except VideoError:
            # What was decoded before the damage counts.
            yield from slider.push(waiting)
            raise
        if len(waiting) == _FRAMES_AT_ONCE:
            yield from slider.push(waiting)
            waiting = []

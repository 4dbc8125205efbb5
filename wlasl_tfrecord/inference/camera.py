"""A camera: frames as they come, and the signs in them with a bounded delay."""

import contextlib
import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from wlasl_tfrecord.decoder_pool.stream import stream_frames
from wlasl_tfrecord.errors import VideoError, WlaslError
from wlasl_tfrecord.inference.signs import Sign, SignFinder
from wlasl_tfrecord.inference.trained_model import TrainedModel
from wlasl_tfrecord.inference.window_options import WindowOptions
from wlasl_tfrecord.inference.windows import Slider
from wlasl_tfrecord.shard_format.clips import ClipSpec, Framing
from wlasl_tfrecord.video.capture import silent_opencv
from wlasl_tfrecord.video.framing import fit_frame
from wlasl_tfrecord.video.long_video import GridFrame

__all__ = [
    "BACKLOG_SECONDS",
    "Camera",
    "LiveReport",
    "LiveSign",
    "most_delay_seconds",
    "recognise_live",
]

# How old frames may get before they are left out.
BACKLOG_SECONDS = 1.0


class Camera:
    """Frames of a camera, taken in a thread of its own at the times of the grid.

    Args:
        device: The number of a camera, its device file, or a video file, which is
            played at its own pace as if a camera saw it. It is decoded as every other
            video, in a process with limits.
        clip: The shape of a window's clip.
        framing: How frames are made to fit.
        window_seconds: How long a window is.

    Attributes:
        failure: What ended a film too early; None if nothing has.

    Raises:
        VideoError: If the film cannot be decoded.
        WlaslError: If the camera cannot be opened.
    """

    failure: VideoError | None = None

    def __init__(
        self, device: str, *, clip: ClipSpec, framing: Framing, window_seconds: float
    ) -> None:
        settings = (clip, framing, window_seconds)
        if Path(device).is_file():
            source = _film_frames(self, device, *settings)
            # The clock starts when the film does, not its decoder.
            first = next(source, None)
        else:
            source, first = _camera_frames(self, _opened(device), *settings), None
        self._frames: deque[GridFrame] = deque([first] if first else [])
        self._has_ended = False
        self._changed = threading.Condition()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, args=[source], daemon=True)
        self._thread.start()

    def seconds(self) -> float:
        """Returns the seconds since the start, in which the frames' times count."""
        return time.monotonic() - self._started

    def take(self) -> list[GridFrame]:
        """Waits for frames and returns all that have come; none after the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._has_ended)
            frames = list(self._frames)
            self._frames.clear()
        return frames

    def close(self) -> None:
        """Ends the thread, and frees the camera."""
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()
        self._thread.join()

    def wait(self, seconds: float) -> None:
        """Waits, unless the camera is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_ended, max(seconds, 0.0))

    def _run(self, source: Generator[GridFrame, None, None]) -> None:
        """Keeps one frame after the other."""
        try:
            with contextlib.closing(source):
                for found in source:
                    with self._changed:
                        if self._has_ended:
                            break
                        self._frames.append(found)
                        self._changed.notify_all()
        except VideoError as error:
            self.failure = error
        finally:
            with self._changed:
                self._has_ended = True
                self._changed.notify_all()


def _film_frames(
    camera: Camera, path: str, clip: ClipSpec, framing: Framing, window_seconds: float
) -> Generator[GridFrame, None, None]:
    """Yields the frames of a film when it would show them."""
    frames = stream_frames(
        path, clip=clip, framing=framing, window_seconds=window_seconds
    )
    with contextlib.closing(frames):
        for number, frame in enumerate(frames):
            if number == 0:
                yield frame
                continue
            now = camera.seconds()
            camera.wait(frame.seconds - now)
            yield dataclasses.replace(frame, seconds=max(frame.seconds, now))


def _opened(device: str) -> cv2.VideoCapture:
    """Opens a camera."""
    with silent_opencv():
        capture = cv2.VideoCapture(int(device) if device.isdecimal() else device)
    if not capture.isOpened():
        found = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
        raise WlaslError(
            f"cannot open the camera {device}; cameras of this machine: {found}"
        )
    return capture


def _camera_frames(
    camera: Camera,
    capture: cv2.VideoCapture,
    clip: ClipSpec,
    framing: Framing,
    window_seconds: float,
) -> Generator[GridFrame, None, None]:
    """Yields the frames that a camera has at the places of the grid."""
    step_seconds = window_seconds / max(clip.num_frames - 1, 1)
    num_places = 0
    try:
        while True:
            is_there, image = capture.read()
            if not is_there:
                return
            # All places up to now that have no frame yet.
            seconds = camera.seconds()
            taken = int(seconds / step_seconds) + 1 - num_places
            if taken <= 0:
                continue
            num_places += taken
            frame = np.empty(clip.shape[1:], np.uint8)
            fit_frame(image.astype(np.uint8, copy=False), framing, out=frame)
            # After a long pause only the last window counts.
            taken = min(taken, clip.num_frames)
            yield GridFrame(frame=frame, seconds=seconds, num_places=taken)
    finally:
        capture.release()


@dataclass(frozen=True, kw_only=True)
class LiveSign:
    """A sign that a camera has seen.

    Attributes:
        sign: The sign; its times are seconds since the start.
        delay_seconds: From the end of the last window that shows it until now.
    """

    sign: Sign
    delay_seconds: float


@dataclass(kw_only=True)
class LiveReport:
    """How well recognition has kept pace.

    Attributes:
        num_windows: Windows so far.
        most_delay_seconds: The longest time from a frame to the result of its window.
        skipped_seconds: Time whose frames were left out, to catch up.
    """

    num_windows: int = 0
    most_delay_seconds: float = 0.0
    skipped_seconds: float = 0.0


def most_delay_seconds(options: WindowOptions, backlog_seconds: float) -> float:
    """Returns the longest delay of a `LiveSign`, but for the computing of one window.

    Args:
        options: How the windows slide.
        backlog_seconds: How old frames may get before they are left out.
    """
    return options.window_seconds + options.step_seconds + backlog_seconds


def recognise_live(
    model: TrainedModel,
    camera: Camera,
    options: WindowOptions,
    *,
    top: int = 5,
    backlog_seconds: float = BACKLOG_SECONDS,
    report: LiveReport | None = None,
    clock: Callable[[], float] | None = None,
) -> Iterator[LiveSign]:
    """Yields the signs that a camera sees, until it ends.

    Frames that come while the network computes wait. If the oldest of them waits for
    too long, all of them are left out, and windows start again after them: so the delay
    stays bounded on a machine that is too slow.

    Args:
        model: A trained model.
        camera: The camera, with the clip and framing of the model.
        options: How the windows slide, and which of them show a sign.
        top: How many glosses a sign lists, at most.
        backlog_seconds: How old frames may get before they are left out.
        report: Is updated with what happens.
        clock: Returns the seconds since the camera's start; by default the camera's.

    Raises:
        VideoError: After the last sign, if a film could not be decoded to its end.
    """
    clock = clock or camera.seconds
    report = report or LiveReport()
    slider = Slider(model, options)
    finder = SignFinder(options, model.info.glosses, top)
    while frames := camera.take():
        age = clock() - frames[0].seconds
        if age > backlog_seconds:
            report.skipped_seconds += age
            slider.restart()
            continue
        for window in slider.push(frames):
            report.num_windows += 1
            yield from _live(finder.push(window), clock)
        delay = clock() - frames[-1].seconds
        report.most_delay_seconds = max(report.most_delay_seconds, delay)
    yield from _live(finder.finish(), clock)
    if camera.failure is not None:
        raise camera.failure


def _live(signs: Sequence[Sign], clock: Callable[[], float]) -> Iterator[LiveSign]:
    for sign in signs:
        yield LiveSign(sign=sign, delay_seconds=clock() - sign.last_seconds)

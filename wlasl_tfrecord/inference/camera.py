"""A camera: frames as they come, and the signs in them with a bounded delay."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from wlasl_tfrecord.errors import WlaslError
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
            played at its own pace as if a camera saw it.
        clip: The shape of a window's clip.
        framing: How frames are made to fit.
        window_seconds: How long a window is.

    Raises:
        WlaslError: If it cannot be opened.
    """

    def __init__(
        self, device: str, *, clip: ClipSpec, framing: Framing, window_seconds: float
    ) -> None:
        source = int(device) if device.isdecimal() else device
        with silent_opencv():
            self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            found = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
            raise WlaslError(
                f"cannot open the camera {device}; cameras of this machine: {found}"
            )
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        # A camera waits for its next picture by itself, a file does not.
        self._file_fps = fps if Path(device).is_file() and fps > 0 else None
        self._clip = clip
        self._framing: Framing = framing
        self._step_seconds = window_seconds / max(clip.num_frames - 1, 1)
        self._frames: deque[GridFrame] = deque()
        self._has_ended = False
        self._changed = threading.Condition()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
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
        self._thread.join()
        self._capture.release()

    def _run(self) -> None:
        """Reads one frame after the other, and keeps those of the grid."""
        num_places = number = 0
        while not self._has_ended:
            is_there, image = self._capture.read()
            if not is_there:
                break
            seconds = self.seconds()
            if self._file_fps is not None:
                due = number / self._file_fps
                time.sleep(max(due - seconds, 0.0))
                seconds = max(seconds, due)
            number += 1
            # All places up to now that have no frame yet.
            taken = int(seconds / self._step_seconds) + 1 - num_places
            if taken <= 0:
                continue
            num_places += taken
            frame = np.empty(self._clip.shape[1:], np.uint8)
            fit_frame(image.astype(np.uint8, copy=False), self._framing, out=frame)
            # After a long pause only the last window counts.
            taken = min(taken, self._clip.num_frames)
            found = GridFrame(frame=frame, seconds=seconds, num_places=taken)
            with self._changed:
                self._frames.append(found)
                self._changed.notify_all()
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()


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


def _live(signs: Sequence[Sign], clock: Callable[[], float]) -> Iterator[LiveSign]:
    for sign in signs:
        yield LiveSign(sign=sign, delay_seconds=clock() - sign.last_seconds)

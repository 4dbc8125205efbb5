"""Videos in, ranked glosses out.

A video is decoded as `bin/shard` decodes it, in a process with limits, with the clip
and the framing that the model was trained on: the model gets what a shard would hold.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wlasl_tfrecord.decoder_pool.decoded_frames import DecodedFrames
from wlasl_tfrecord.decoder_pool.frames import decode_clips
from wlasl_tfrecord.decoder_pool.jobs import Undecoded, VideoLimits
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.inference.ranking import top_glosses
from wlasl_tfrecord.text import text_of
from wlasl_tfrecord.video.files import (
    VIDEO_SUFFIXES,
    is_image_folder,
    is_video_name,
    list_folder,
)

if TYPE_CHECKING:
    from wlasl_tfrecord.inference.trained_model import TrainedModel

__all__ = [
    "Failure",
    "Prediction",
    "check_options",
    "find_videos",
    "missing_videos",
    "predict_videos",
]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The glosses that a model recognises in one video.

    Attributes:
        path: The video.
        glosses: The words, the most probable one first.
        probabilities: The probability of each of them.
        num_distinct_frames: Different frames in the clip; fewer than T if the video
            is shorter than a clip.
        wait_seconds: How long the network had to wait for the frames; most of the
            decoding happens while it computes.
        network_seconds: This clip's share of the time that the network took.
    """

    path: Path
    glosses: tuple[str, ...]
    probabilities: tuple[float, ...]
    num_distinct_frames: int
    wait_seconds: float
    network_seconds: float


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A video that could not be made into a clip.

    Attributes:
        path: The video.
        reason: The reason, one line that begins with the file's name.
    """

    path: Path
    reason: str


def find_videos(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Lists the videos that paths stand for.

    Args:
        paths: Videos, folders of videos (their own folders are not searched), and
            folders of numbered images without a video, each of which is one video.

    Returns:
        Files in the order of `paths`, the videos of a folder in the order of names.

    Raises:
        ManifestError: If a folder cannot be read or holds no video.
    """
    videos: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            # An unreadable file is a failure when it is decoded.
            videos.append(path)
            continue
        entries = list_folder(str(path))
        # An image beside videos is no frame.
        has_videos = any(is_video_name(entry.name) for entry in entries)
        if not has_videos and is_image_folder(str(path)):
            videos.append(path)
            continue
        inside = [
            Path(entry.path)
            for entry in entries
            if is_video_name(entry.name) or is_image_folder(entry.path)
        ]
        if not inside:
            raise ManifestError(
                f"no videos in {path}: no {', '.join(VIDEO_SUFFIXES)} and no folder of "
                "numbered images"
            )
        videos.extend(inside)
    return videos


def missing_videos(videos: Iterable[Path]) -> list[Failure]:
    """Returns a failure for each video that does not exist; needs no model."""
    return [failure for failure in map(_missing, videos) if failure is not None]


def check_options(
    *, top: int, batch_size: int, start: int | None, stop: int | None
) -> None:
    """Refuses options of `predict_videos` that are wrong for every video.

    Raises:
        ValueError: If `top` or `batch_size` is below 1, `start` is below 0, or `stop`
            is not greater.
    """
    for name, value, least in (
        ("top", top, 1),
        ("batch_size", batch_size, 1),
        ("start", start or 0, 0),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    if stop is not None and stop <= (start or 0):
        raise ValueError(f"stop must be above start {start or 0}, got {stop}")


def predict_videos(
    model: "TrainedModel",
    videos: Sequence[Path],
    *,
    top: int = 5,
    batch_size: int = 8,
    start: int | None = None,
    stop: int | None = None,
    limits: VideoLimits | None = None,
) -> Iterator[Prediction | Failure]:
    """Ranks the glosses for each video.

    Args:
        model: A model that `trained_model.load_model` returned.
        videos: Files, or folders of numbered images.
        top: Number of glosses to return, at most those of the model.
        batch_size: Clips in one call of the network, at most; a CPU is given fewer.
        start: First frame of the sign in each video, from 0; None for the first frame.
        stop: One past its last frame; None for the end of the video.
        limits: What decoding one video may cost; by default what `bin/shard` allows.

    Yields:
        One result per video, in the order of `videos`.

    Raises:
        ValueError: If `check_options` refuses one.
        WlaslError: If no process can be started to decode in, or the networks that
            find landmarks cannot be had.
    """
    check_options(top=top, batch_size=batch_size, start=start, stop=stop)
    results = decode_clips(
        videos,
        clip=model.info.clip,
        framing=model.info.framing,
        start=start,
        stop=stop,
        limits=limits,
        landmark_models=model.landmark_networks,
    )
    # Not at the top: `find_videos` is used before Keras is imported.
    from wlasl_tfrecord.inference import trained_model

    timed = zip(videos, _timed(results))
    # The decoders run ahead by a few clips while the network computes a batch. So a
    # batch does not wait for more clips than the network computes at once.
    size = min(batch_size, trained_model.most_clips_at_once())
    while batch := [_Decoded(path, *one) for path, one in islice(timed, size)]:
        yield from _predict_batch(model, batch, top)


class _Decoded(NamedTuple):
    """A video, what came of decoding it, and how long that was waited for."""

    path: Path
    result: DecodedFrames | Undecoded
    wait_seconds: float


def _timed(
    results: Iterator[DecodedFrames | Undecoded],
) -> Iterator[tuple[DecodedFrames | Undecoded, float]]:
    """Yields each result with the seconds that it was waited for."""
    while True:
        started = time.perf_counter()
        result = next(results, None)
        if result is None:
            return
        yield result, time.perf_counter() - started


def _missing(path: Path) -> Failure | None:
    """Returns the failure of a path that does not exist, worded as the decoder's."""
    try:
        os.stat(path)
    except OSError as error:
        reason = f"{text_of(str(path))}: unreadable: {error.strerror}"
        return Failure(path=path, reason=reason)
    return None


def _predict_batch(
    model: "TrainedModel", batch: Sequence[_Decoded], top: int
) -> Iterator[Prediction | Failure]:
    """Runs the network for all videos of a batch that were decoded."""
    from wlasl_tfrecord.inference import trained_model

    clips = [d.result for d in batch if isinstance(d.result, DecodedFrames)]
    started = time.perf_counter()
    rows = iter(trained_model.recognise(model, clips) if clips else ())
    seconds = (time.perf_counter() - started) / max(len(clips), 1)
    for path, result, wait_seconds in batch:
        if isinstance(result, Undecoded):
            reason = f"{text_of(str(path))}: {result.reason}"
            yield Failure(path=path, reason=reason)
            continue
        glosses, shares = top_glosses(next(rows), model.info.glosses, top)
        yield Prediction(
            path=path,
            glosses=glosses,
            probabilities=shares,
            num_distinct_frames=result.num_distinct_frames,
            wait_seconds=wait_seconds,
            network_seconds=seconds,
        )

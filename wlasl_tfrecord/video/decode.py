"""One video, or a folder of numbered images, becomes one clip."""

import contextlib
import os
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clips import ClipSource, ClipSpec, Framing, SignRange
from wlasl_tfrecord.text import text_of
from wlasl_tfrecord.video.capture import count_packets
from wlasl_tfrecord.video.content_hash import open_file, sha256_of, sha256_of_file
from wlasl_tfrecord.video.framing import fit_frame
from wlasl_tfrecord.video.image_folder import image_files
from wlasl_tfrecord.video.open_video import OpenVideo, open_video
from wlasl_tfrecord.video.sampling import (
    ANNOTATION_FPS,
    evenly_spaced,
    evenly_timed,
    sign_range,
    varying_times,
)

__all__ = ["decode_clip", "decode_image", "location_of", "video_errors"]

_TOO_LARGE = "its frames are too large"

Frames = NDArray[np.uint8]
# Takes the number of a frame in its video, and the frame as it was decoded: uint8
# [height, width, 3], BGR.
See = Callable[[int, Frames], None]
# start, stop, annotation_fps, as `sampling.sign_range` takes them.
Annotation = tuple[int | None, int | None, float | None]


def decode_clip(
    path: str | os.PathLike[str],
    *,
    clip: ClipSpec,
    framing: Framing,
    start: int | None = None,
    stop: int | None = None,
    annotation_fps: float | None = ANNOTATION_FPS,
    out: Frames | None = None,
    observe: Callable[[], See] | None = None,
) -> tuple[Frames, ClipSource]:
    """Decodes the frames of one clip.

    Args:
        path: A video file, or a folder of numbered images.
        clip: The shape of the clip.
        framing: How frames are made to fit.
        start: First annotated frame, from 0; None for the first.
        stop: One past the last annotated frame; None for "to the end".
        annotation_fps: The rate at which `start` and `stop` count; None if they are
            frames of this very file.
        out: uint8 [T, H, W, 3] to decode into, for example in shared memory; by default
            a new array.
        observe: Called at the start of each pass over the video, of which there may be
            several; returns what is called with every frame of the clip, once and in
            order, before it is made to fit.

    Returns:
        uint8 [T, H, W, 3], RGB, and where these frames lie in the video.

    Raises:
        ValueError: If `start` and `stop` name no frames; see `sampling.sign_range`.
        VideoError: If this video does not become a clip. Its kind is "unreadable", "too
            short", "range outside the video", "out of memory" or "changed".
    """
    annotation = (start, stop, annotation_fps)
    frames = np.zeros(clip.shape, np.uint8) if out is None else out
    with video_errors(path):
        if os.path.isdir(path):
            return frames, _decode_images(path, frames, framing, annotation, observe)
        with open_file(path) as descriptor:
            written = _last_written(descriptor)
            try:
                digest = sha256_of_file(descriptor)
                location = location_of(descriptor, path)
                source = _decode_video(
                    location, digest, frames, framing, annotation, observe
                )
            finally:
                # What came of it would go under the digest of what it was before.
                if _last_written(descriptor) != written:
                    raise VideoError(
                        "changed", "it was written to while it was decoded"
                    )
            return frames, source


@contextlib.contextmanager
def video_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raises whatever goes wrong with a video as a VideoError that names it.

    Raises:
        VideoError: If the block raises one, or an error of OpenCV, of the system or of
            memory.
    """
    name = text_of(os.path.basename(os.path.normpath(os.fspath(path))))
    try:
        yield
    except VideoError as error:
        raise VideoError(error.kind, error.details, name) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise VideoError("unreadable", reason, name) from error
    except MemoryError as error:
        raise VideoError("out of memory", _TOO_LARGE, name) from error
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise VideoError("out of memory", _TOO_LARGE, name) from error
        # OpenCV's messages have several lines.
        reason = " ".join(str(error).split())
        raise VideoError("unreadable", reason, name) from error


def decode_image(path: str) -> Frames:
    """Decodes an image, uint8 [height, width, 3], BGR.

    Raises:
        OSError: If the file cannot be read.
        VideoError: If it is no image.
    """
    with (
        open_file(path) as descriptor,
        open(descriptor, "rb", closefd=False) as file,
    ):
        data = np.frombuffer(file.read(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        name = text_of(os.path.basename(path))
        raise VideoError("unreadable", f"{name} is no image")
    return image.astype(np.uint8, copy=False)


def _decode_video(
    location: str,
    digest: str,
    frames: Frames,
    framing: Framing,
    annotation: Annotation,
    observe: Callable[[], See] | None,
) -> ClipSource:
    """Decodes a clip of a video file into `frames`, uint8 [T, H, W, 3].

    The header's number of frames is 1 to 3 too high in 15 % of the real clips, all of
    them with an edit list, and absurd in some. So what the file promises is believed
    only until its end has been seen, and where it was wrong, the video is decoded once
    more: for the others once is enough, and only the frames of the clip are converted
    and resized.
    """
    video = open_video(location)
    promised = video.num_promised_frames
    fps = video.fps or ANNOTATION_FPS
    num_frames = promised or count_packets(location)
    seen_to_end = False

    def sign_of(num_frames: int) -> tuple[SignRange, NDArray[np.float64] | None]:
        times = _times_of(video, num_frames)
        sign = sign_range(
            num_frames,
            fps,
            *annotation,
            frame_times=times,
            num_promised_frames=promised,
        )
        return sign, times

    while num_frames > 0:
        sign, times = sign_of(num_frames)
        if sign.stop < num_frames and not seen_to_end:
            # The end will not be seen, so the packets stand in for it, but for those
            # that the edit list hides.
            packets = count_packets(location)
            num_frames = max(1, min(packets, promised or packets))
            sign, times = sign_of(num_frames)
        wanted = _wanted(sign, len(frames), times)
        # Once the end is known, not beyond it: so each turn has fewer frames than the
        # one before, also if the file is being changed.
        is_bounded = seen_to_end or sign.stop < num_frames
        stop = sign.stop if is_bounded else None
        see = None if observe is None else observe()
        decoded = _grab_clip(video, wanted, stop, frames, framing, see)
        if decoded == sign.stop:
            return _source(digest, fps, num_frames, sign, wanted, promised, times)
        num_frames, seen_to_end = decoded, True
    raise VideoError(
        "too short", f"no frame of it can be decoded (codec {video.codec_name!r})"
    )


def _times_of(video: OpenVideo, num_frames: int) -> NDArray[np.float64] | None:
    """Returns the times of the first `num_frames` frames, if the rate varies."""
    times = varying_times(video.frame_times)
    # More frames than times: the times are those of something else.
    return None if times is None or len(times) < num_frames else times[:num_frames]


def _grab_clip(
    video: OpenVideo,
    wanted: list[int],
    stop: int | None,
    frames: Frames,
    framing: Framing,
    see: See | None,
) -> int:
    """Decodes up to `stop`, and returns the number of decoded frames."""

    def keep(number: int, frame: Frames) -> None:
        if see is not None:
            see(number, frame)
        _keep(frame, number, wanted, framing, frames)

    return video.grab_frames(set(wanted), stop, keep)


def _decode_images(
    directory: str | os.PathLike[str],
    frames: Frames,
    framing: Framing,
    annotation: Annotation,
    observe: Callable[[], See] | None,
) -> ClipSource:
    """Decodes a clip of a folder of numbered images, which has no rate of its own."""
    paths = image_files(directory)
    fps = annotation[2] or ANNOTATION_FPS
    sign = sign_range(len(paths), fps, *annotation)
    wanted = _wanted(sign, len(frames))
    see = None if observe is None else observe()
    for number in sorted(set(wanted)):
        frame = decode_image(paths[number])
        if see is not None:
            see(number, frame)
        _keep(frame, number, wanted, framing, frames)
    # Last, so that it is none of what was planned if an image changed meanwhile.
    return _source(sha256_of(directory), fps, len(paths), sign, wanted)


def _wanted(
    sign: SignRange, num_frames: int, times: NDArray[np.float64] | None = None
) -> list[int]:
    """Returns the T frame numbers of a clip, repeats included."""
    if times is None:
        inside = evenly_spaced(sign.stop - sign.start, num_frames)
    else:
        inside = evenly_timed(times[sign.start : sign.stop], num_frames)
    return (sign.start + inside).tolist()


def _keep(
    frame: Frames, number: int, wanted: list[int], framing: Framing, frames: Frames
) -> None:
    """Stores a decoded frame wherever the clip wants it."""
    first = wanted.index(number)
    fit_frame(frame, framing, out=frames[first])
    frames[first + 1 : first + wanted.count(number)] = frames[first]


def _source(
    digest: str,
    fps: float,
    num_frames: int,
    sign: SignRange,
    wanted: list[int],
    promised: int = 0,
    times: NDArray[np.float64] | None = None,
) -> ClipSource:
    return ClipSource(
        video_fps=fps,
        num_video_frames=num_frames,
        sign=sign,
        frame_indices=tuple(wanted),
        sha256=digest,
        num_promised_frames=promised,
        sign_seconds=None
        if times is None
        else (float(times[sign.start]), float(times[sign.stop - 1])),
    )


def _last_written(descriptor: int) -> tuple[int, int]:
    stat = os.fstat(descriptor)
    return stat.st_size, stat.st_mtime_ns


def location_of(descriptor: int, path: str | os.PathLike[str]) -> str:
    """Names an open file for FFmpeg.

    By its descriptor where the system can: what was checked is then what is decoded,
    and no name means anything to OpenCV or FFmpeg, however odd it is.
    """
    for directory in ("/proc/self/fd", "/dev/fd"):
        if os.path.isdir(directory):
            return f"{directory}/{descriptor}"
    return os.path.abspath(path)

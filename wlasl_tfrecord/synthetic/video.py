"""One drawn video: its content and its file."""

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.synthetic import figure, poses
from wlasl_tfrecord.synthetic.appearance import Signer
from wlasl_tfrecord.synthetic.poses import Motion

__all__ = ["SyntheticVideo", "write_video"]

# MPEG-4 part 2: the one codec for .mp4 that OpenCV's wheels can write on Linux, macOS
# and Windows. WLASL has such files, too.
_FOURCC = "mp4v"


@dataclass(frozen=True, kw_only=True)
class SyntheticVideo:
    """One video to draw.

    Attributes:
        video_id: Five digits; the name of the file.
        gloss: What is signed.
        split: train, val or test.
        repeat: Which of the signer's repetitions this is.
        signer: The signer.
        motion: How this instance differs from others.
        num_frames: Frames of the video, N.
        seed: The seed of the camera's noise and the body's sway.
    """

    video_id: str
    gloss: str
    split: str
    repeat: int
    signer: Signer
    motion: Motion
    num_frames: int
    seed: tuple[int, ...]


def write_video(videos_dir: str | os.PathLike[str], video: SyntheticVideo) -> Path:
    """Draws one video into a file.

    Args:
        videos_dir: An existing folder.
        video: What to draw.

    Returns:
        The path of the file.

    Raises:
        OutputError: If the file cannot be written whole.
    """
    # There is one process per core already.
    cv2.setNumThreads(1)
    signer = video.signer
    path = Path(videos_dir) / f"{video.video_id}.mp4"
    rng = np.random.default_rng(video.seed)
    background = figure.draw_background(signer)
    # Fresh noise for every pixel of every frame costs more than the drawing. A pattern
    # twice as large, seen at another place in every frame, looks the same.
    grain = rng.normal(0, signer.noise, (2 * signer.height, 2 * signer.width, 1))
    grain = np.repeat(grain.astype(np.int16), 3, axis=2)
    sway_phases = rng.uniform(0, 2 * np.pi, 2)
    sway_pixels = 0.03 * signer.head_pixels
    fourcc = cv2.VideoWriter.fourcc(*_FOURCC)
    size = (signer.width, signer.height)
    writer = cv2.VideoWriter(str(path), fourcc, signer.fps, size)
    for frame_index in range(video.num_frames):
        time = frame_index / (video.num_frames - 1)
        top, left = rng.integers(0, (signer.height, signer.width))
        frame = figure.draw_frame(
            signer,
            poses.pose_at(video.gloss, time, video.motion),
            background,
            shift=tuple(sway_pixels * np.sin(sway_phases + 4.5 * time)),
            noise=grain[top : top + signer.height, left : left + signer.width],
        )
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    # The writer reports no error, not even a full disk. But it writes the header last,
    # and without it the file does not open.
    written = cv2.VideoCapture(str(path)) if path.exists() else None
    if written is None or not written.isOpened():
        raise OutputError(f"{path}: the video could not be written; is the disk full?")
    written.release()
    return path

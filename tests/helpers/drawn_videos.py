"""Drawn videos, each frame with a number that can be read back, for tests."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

NUM_BITS = 12


def draw_numbered_frame(
    number: int, height: int = 120, width: int = 160
) -> NDArray[np.uint8]:
    """Draws a frame whose number `read_frame_number` finds again, uint8 [H, W, 3] RGB.

    The number stands in black and white bars across the middle square, which every
    framing keeps. Above them the frame is red, below blue: so swapped channels show. A
    green column marks the first, a yellow one the last tenth of the width: so framing
    shows.
    """
    frame = np.zeros((height, width, 3), np.uint8)
    frame[: height // 2] = (220, 30, 30)
    frame[height // 2 :] = (30, 30, 220)
    frame[:, : width // 10] = (30, 200, 30)
    frame[:, -(width // 10) :] = (220, 220, 30)
    side = min(height, width)
    left = (width - side) // 2 + side // 8
    edges = np.linspace(left, left + side * 3 // 4, NUM_BITS + 1).astype(int)
    for bit in range(NUM_BITS):
        shade = 255 if number >> bit & 1 else 0
        frame[height // 3 : -(height // 3), edges[bit] : edges[bit + 1]] = shade
    return frame


def read_frame_number(frame: NDArray[np.uint8]) -> int:
    """Reads the number of a drawn frame, uint8 [S, S, 3], framed by `center`."""
    side = frame.shape[1]
    edges = np.linspace(side / 8, side * 7 / 8, NUM_BITS + 1)
    centres = ((edges[:-1] + edges[1:]) / 2).astype(int)
    row = frame[frame.shape[0] // 2].mean(axis=-1)
    return sum(1 << bit for bit, x in enumerate(centres) if row[x] > 127)


def write_numbered_video(
    path: Path,
    num_frames: int = 40,
    fps: float = 25.0,
    height: int = 120,
    width: int = 160,
    first_number: int = 0,
) -> Path:
    """Writes a video of numbered frames and gives its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fourcc = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), fourcc, fps, (width, height))
    assert writer.isOpened()
    for number in range(first_number, first_number + num_frames):
        frame = draw_numbered_frame(number, height, width)
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path

"""A random change applied to the frames of a clip while they are in the cache.

`augment.draw_changes` draws it; here it is only carried out, with OpenCV, which resizes
five times as fast as TensorFlow (docs/decisions/0020-reading-without-a-graph.md).
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["ClipChange", "write_changed"]

Frame = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class ClipChange:
    """What to do with a clip; the same for all its frames.

    Attributes:
        frame_indices: T numbers of stored frames to show, never decreasing.
        crop: Top, left, height and width of the part that is scaled to the whole
            frame, in pixels.
        flip: Whether to mirror it left to right.
    """

    frame_indices: tuple[int, ...]
    crop: tuple[int, int, int, int]
    flip: bool = False


def write_changed(
    read_frame: Callable[[int], Frame],
    change: ClipChange,
    out: NDArray[np.uint8],
    scratch: Frame,
) -> None:
    """Writes the changed frames of a clip.

    Args:
        read_frame: Returns a stored frame by its number, uint8 [H, W, 3]; it is called
            once for each that is shown, in increasing order.
        change: What to do with them.
        out: uint8 [T, H, W, 3], where to write.
        scratch: uint8 [H, W, 3], memory to work in.
    """
    _, height, width, _ = out.shape
    top, left, crop_height, crop_width = change.crop
    whole = (crop_height, crop_width) == (height, width)
    shown = -1
    for place, index in enumerate(change.frame_indices):
        if index == shown:
            np.copyto(out[place], out[place - 1])
            continue
        shown, frame = index, read_frame(index)
        if not whole:
            crop = frame[top : top + crop_height, left : left + crop_width]
            target = scratch if change.flip else out[place]
            cv2.resize(crop, (width, height), dst=target)
            frame = target
        if change.flip:
            cv2.flip(frame, 1, dst=out[place])
        elif whole:
            np.copyto(out[place], frame)

"""Detections: boxes with key points, out of what a detector of SSD's kind computes.

Reference:
    Liu et al., "SSD: Single Shot MultiBox Detector", 2016; MediaPipe's
    `SsdAnchorsCalculator`, `TensorsToDetectionsCalculator` and
    `NonMaxSuppressionCalculator`: https://github.com/google-ai-edge/mediapipe.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Detection", "decode_detections", "merge_overlapping", "ssd_anchors"]

Floats = NDArray[np.float32]

# MediaPipe's graphs: detections of a lower score are none, and those that overlap more
# are the same thing.
_MIN_SCORE = 0.5
_MIN_OVERLAP = 0.3
_ANCHORS_A_LAYER = 2
# MediaPipe clips at 100, which is too much for an exponential in float32.
_MAX_LOGIT = 80


class Detection(NamedTuple):
    """Something that a detector sees.

    Attributes:
        score: How sure it is, from 0 to 1.
        box: float32 [4]: left, top, right and lower edge, from 0 to 1 within what the
            detector looked at.
        key_points: float32 [P, 2], x and y, from 0 to 1 as well.
    """

    score: float
    box: Floats
    key_points: Floats


def ssd_anchors(side: int, strides: Sequence[int]) -> Floats:
    """Returns the centres of the anchors of a detector.

    As `SsdAnchorsCalculator` makes them of the options of MediaPipe's graphs: anchors
    of a fixed size, two for each layer (one for its only aspect ratio, one
    interpolated), in the middles of the cells of a grid; layers that follow each other
    with the same stride share a grid.

    Args:
        side: Side of the detector's input in pixels.
        strides: Pixels between two cells, for each layer.

    Returns:
        float32 [N, 2], x and y, from 0 to 1.

    >>> ssd_anchors(16, [8, 16]).tolist()[:3]
    [[0.25, 0.25], [0.25, 0.25], [0.75, 0.25]]
    """
    anchors: list[NDArray[np.float64]] = []
    layer = 0
    while layer < len(strides):
        stride, num_layers = strides[layer], 1
        while strides[layer + num_layers : layer + num_layers + 1] == [stride]:
            num_layers += 1
        cells = -(-side // stride)
        y, x = np.mgrid[:cells, :cells]
        centres = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) / cells
        anchors.append(np.repeat(centres, _ANCHORS_A_LAYER * num_layers, axis=0))
        layer += num_layers
    return np.concatenate(anchors).astype(np.float32)


def decode_detections(
    boxes: Floats, logits: Floats, anchors: Floats, side: int
) -> list[Detection]:
    """Decodes what a detector computes, without those of a low score.

    Args:
        boxes: float32 [N, 4 + 2 P]: centre, width and height, then key points, all in
            pixels, from the anchor.
        logits: float32 [N].
        anchors: float32 [N, 2]; see `ssd_anchors`.
        side: Side of the detector's input in pixels.

    Returns:
        The detections, that of the highest score first.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -_MAX_LOGIT, _MAX_LOGIT)))
    kept = np.flatnonzero(scores >= _MIN_SCORE)
    # Stable, so that the order is the same everywhere.
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    found: list[Detection] = []
    for n in kept:
        values = np.divide(boxes[n].reshape(-1, 2), np.float32(side))
        centre, half_size = values[0] + anchors[n], values[1] / 2
        box = np.concatenate([centre - half_size, centre + half_size])
        found.append(Detection(float(scores[n]), box, values[2:] + anchors[n]))
    return found


def merge_overlapping(detections: Sequence[Detection]) -> list[Detection]:
    """Puts detections of the same thing together.

    Each is the mean of those that overlap with the one of the highest score, weighted
    by their scores.

    Args:
        detections: The highest score first.

    Returns:
        The merged ones, the highest score first.
    """
    rest = list(detections)
    merged: list[Detection] = []
    while rest:
        best = rest[0]
        same = [one for one in rest if _overlap(best.box, one.box) > _MIN_OVERLAP]
        if not same:
            # A box without an area overlaps with nothing, not even with itself.
            rest = rest[1:]
            continue
        weights = np.array([one.score for one in same], np.float32)
        weights /= weights.sum()
        box = np.einsum("n,nk->k", weights, np.stack([one.box for one in same]))
        points = np.stack([one.key_points for one in same])
        merged.append(
            Detection(best.score, box, np.einsum("n,npk->pk", weights, points))
        )
        rest = [one for one in rest if _overlap(best.box, one.box) <= _MIN_OVERLAP]
    return merged


def _overlap(one: Floats, other: Floats) -> float:
    """Returns the intersection of two boxes over their union."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    if (sides <= 0).any():
        return 0.0
    shared = float(sides.prod())
    areas = [float((box[2:] - box[:2]).prod()) for box in (one, other)]
    return shared / (sum(areas) - shared)

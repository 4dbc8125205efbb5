"""The pose of a person in a frame: detected once, then followed.

Reference:
    MediaPipe's graphs PoseDetectionCpu, PoseDetectionToRoi, PoseLandmarkByRoiCpu and
    PoseLandmarksToRoi of release 0.10.21, whose numbers are used here. Bazarevsky et
    al., "BlazePose: On-device Real-time Body Pose tracking", 2020.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.landmarks.detections import (
    decode_detections,
    merge_overlapping,
    ssd_anchors,
)
from wlasl_tfrecord.landmarks.networks import Networks
from wlasl_tfrecord.landmarks.regions import (
    Region,
    crop,
    grown,
    project,
    whole_frame,
)

__all__ = ["LEFT_WRIST", "RIGHT_WRIST", "Pose", "find_pose"]

Floats = NDArray[np.float32]

# Numbers of points.
LEFT_WRIST, RIGHT_WRIST = 15, 16
_NUM_POINTS = 33
# Two more points, which only tell where to look in the next frame.
_CENTRE, _EDGE = 33, 34

_MIN_PRESENCE = 0.5
_STRIDES = (8, 16, 32, 32, 32)
# How much larger than the circle about the person the region is.
_SCALE = 1.25
# The refinement by heat maps looks at so many cells about a point.
_KERNEL = 7


@dataclass(frozen=True, kw_only=True)
class Pose:
    """The points of a person.

    Attributes:
        points: float32 [33, 2], x and y in pixels of the frame.
        visibility: float32 [33], from 0 to 1.
        next_region: Where the person will be in the next frame.
    """

    points: Floats
    visibility: Floats
    next_region: Region


def find_pose(
    networks: Networks, frame: NDArray[np.uint8], region: Region | None
) -> Pose | None:
    """Finds the person in a frame.

    Args:
        networks: The networks.
        frame: uint8 [height, width, 3], BGR.
        region: Where the person should be, by the frame before; None to search.

    Returns:
        The person; the one who is detected most surely, if there are several. None if
        there is none.
    """
    if region is not None:
        pose = _pose_in(networks, frame, region)
        if pose is not None:
            return pose
    detected = _detect(networks, frame)
    return None if detected is None else _pose_in(networks, frame, detected)


def _detect(networks: Networks, frame: NDArray[np.uint8]) -> Region | None:
    """Searches a whole frame for a person."""
    detector = networks.pose_detector
    whole = whole_frame(*frame.shape[:2])
    image = crop(frame, whole, detector.side, black_border=True)
    boxes, logits = detector(image, num_outputs=2)
    anchors = _anchors(detector.side)
    found = decode_detections(boxes, logits[:, 0], anchors, detector.side)
    if not found:
        return None
    # The middle of the hips, and a point on the circle about the person.
    centre, edge = project(merge_overlapping(found)[0].key_points[:2], whole)
    return _region_between(centre, edge)


@lru_cache(maxsize=1)
def _anchors(side: int) -> Floats:
    return ssd_anchors(side, list(_STRIDES))


def _region_between(centre: Floats, edge: Floats) -> Region:
    """Returns the region of a person: upright in it, all within."""
    x, y = (edge - centre).tolist()
    return grown(
        Region(
            x=float(centre[0]),
            y=float(centre[1]),
            size=2 * math.hypot(x, y),
            angle=math.pi / 2 - math.atan2(-y, x),
        ),
        _SCALE,
    )


def _pose_in(
    networks: Networks, frame: NDArray[np.uint8], region: Region
) -> Pose | None:
    """Finds the points of the person in a region; None if there is nobody."""
    side = networks.pose.side
    image = crop(frame, region, side)
    values, presence, _, heat_maps, *_ = networks.pose(image, num_outputs=4)
    if presence[0] < _MIN_PRESENCE or not np.isfinite(values).all():
        return None
    # x, y, z, visibility and presence of each.
    values = values.reshape(-1, 5)
    points = project(
        refine(np.divide(values[:, :2], np.float32(side)), heat_maps), region
    )
    return Pose(
        points=points[:_NUM_POINTS],
        visibility=_sigmoid(values[:_NUM_POINTS, 3]),
        next_region=_region_between(points[_CENTRE], points[_EDGE]),
    )


def refine(points: Floats, heat_maps: Floats) -> Floats:
    """Moves points to the middle of the heat around them.

    As MediaPipe's `RefineLandmarksFromHeatmapCalculator`: a point whose surroundings
    are cold stays.

    Args:
        points: float32 [N, 2], x and y, from 0 to 1.
        heat_maps: float32 [rows, columns, N], logits.

    Returns:
        float32 [N, 2].
    """
    num_rows, num_columns, _ = heat_maps.shape
    refined = points.copy()
    reach = (_KERNEL - 1) // 2
    for n, (x, y) in enumerate(points.tolist()):
        column, row = int(x * num_columns), int(y * num_rows)
        if not (0 <= column < num_columns and 0 <= row < num_rows):
            continue
        top, left = max(0, row - reach), max(0, column - reach)
        heat = heat_maps[top : row + reach + 1, left : column + reach + 1, n]
        heat = _sigmoid(heat)
        if heat.max() < _MIN_HEAT:
            continue
        total = heat.sum()
        columns = np.arange(left, left + heat.shape[1], dtype=np.float32)
        rows = np.arange(top, top + heat.shape[0], dtype=np.float32)
        refined[n, 0] = (heat.sum(axis=0) * columns).sum() / total / num_columns
        refined[n, 1] = (heat.sum(axis=1) * rows).sum() / total / num_rows
    return refined


_MIN_HEAT = 0.5


def _sigmoid(logits: Floats) -> Floats:
    scores = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    return scores.astype(np.float32)

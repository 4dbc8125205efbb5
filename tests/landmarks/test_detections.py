import numpy as np
import pytest

from wlasl_tfrecord.landmarks.detections import (
    Detection,
    decode_detections,
    merge_overlapping,
    ssd_anchors,
)


@pytest.mark.parametrize(
    ("side", "strides", "num_anchors"),
    # The outputs of pose_detection.tflite and palm_detection_full.tflite have so many.
    [(224, [8, 16, 32, 32, 32], 2254), (192, [8, 16, 16, 16], 2016)],
)
def test_there_is_an_anchor_for_each_output(side, strides, num_anchors):
    anchors = ssd_anchors(side, strides)
    assert anchors.shape == (num_anchors, 2)
    assert anchors.dtype == np.float32
    assert 0 < anchors.min() < anchors.max() < 1


def test_layers_of_one_stride_share_a_grid():
    anchors = ssd_anchors(32, [8, 16, 16])
    # 4 x 4 cells with 2 anchors, then 2 x 2 cells with 4.
    assert len(anchors) == 32 + 16
    np.testing.assert_allclose(anchors[:3], [[1 / 8, 1 / 8]] * 2 + [[3 / 8, 1 / 8]])
    np.testing.assert_allclose(anchors[32:36], [[1 / 4, 1 / 4]] * 4)
    np.testing.assert_allclose(anchors[-1], [3 / 4, 3 / 4])


def test_boxes_and_key_points_are_decoded_from_their_anchors():
    anchors = np.float32([[0.5, 0.5], [0.25, 0.75], [0.1, 0.1]])
    boxes = np.zeros((3, 6), np.float32)
    boxes[1] = [10, -20, 40, 20, 5, 0]
    logits = np.float32([-200, 2, 200])
    sure, likely = decode_detections(boxes, logits, anchors, side=100)
    assert sure.score == 1
    assert likely.score == pytest.approx(1 / (1 + np.exp(-2)))
    np.testing.assert_allclose(likely.box, [0.15, 0.45, 0.55, 0.65], atol=1e-6)
    np.testing.assert_allclose(likely.key_points, [[0.3, 0.75]], atol=1e-6)


def detection(score, left, top, right, low):
    corner = np.float32([[left, top]])
    return Detection(score, np.float32([left, top, right, low]), corner)


def test_what_overlaps_is_merged_by_its_scores():
    one, other = detection(0.9, 0, 0, 1, 1), detection(0.6, 0.2, 0, 1.2, 1)
    far = detection(0.7, 5, 5, 6, 6)
    merged, alone = merge_overlapping([one, far, other])
    assert merged.score == 0.9
    shift = 0.2 * 0.6 / 1.5
    np.testing.assert_allclose(merged.box, [shift, 0, 1 + shift, 1], atol=1e-6)
    np.testing.assert_allclose(merged.key_points, [[shift, 0]], atol=1e-6)
    assert alone.score == pytest.approx(0.7)


def test_what_hardly_overlaps_is_kept_apart():
    # A third of the union is more than 0.3, a quarter less.
    half, quarter = detection(0.5, 0.5, 0, 1.5, 1), detection(0.5, 0.6, 0, 1.6, 1)
    whole = detection(0.9, 0, 0, 1, 1)
    assert len(merge_overlapping([whole, half])) == 1
    assert len(merge_overlapping([whole, quarter])) == 2


def test_a_box_without_an_area_is_no_detection():
    assert merge_overlapping([detection(0.9, 1, 1, 1, 2)]) == []

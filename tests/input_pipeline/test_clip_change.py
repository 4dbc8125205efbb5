import numpy as np
import pytest
import tensorflow as tf

from wlasl_tfrecord.input_pipeline.augment import (
    AugmentConfig,
    augment_clip,
    draw_changes,
)
from wlasl_tfrecord.input_pipeline.clip_change import ClipChange, write_changed

SHAPE = (6, 40, 48, 3)
FRAMES = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
WHOLE = (0, 0, 40, 48)


def changed(**options):
    out = np.empty(SHAPE, np.uint8)
    defaults = {"frame_indices": tuple(range(6)), "crop": WHOLE}
    change = ClipChange(**{**defaults, **options})
    write_changed(FRAMES.__getitem__, change, out, np.empty(SHAPE[1:], np.uint8))
    return out


def test_no_change_is_a_copy():
    np.testing.assert_array_equal(changed(), FRAMES)


def test_frames_are_shown_in_the_order_that_is_asked_for():
    order = (0, 0, 2, 3, 3, 5)
    np.testing.assert_array_equal(changed(frame_indices=order), FRAMES[list(order)])


def test_each_stored_frame_is_read_once():
    read = []

    def frame(index):
        read.append(index)
        return FRAMES[index]

    change = ClipChange(frame_indices=(1, 1, 1, 2, 4, 4), crop=(1, 2, 30, 31))
    write_changed(
        frame, change, np.empty(SHAPE, np.uint8), np.empty((40, 48, 3), np.uint8)
    )
    assert read == [1, 2, 4]


@pytest.mark.parametrize("crop", [WHOLE, (3, 5, 30, 36)])
def test_a_flip_mirrors_what_was_cropped(crop):
    np.testing.assert_array_equal(
        changed(crop=crop, flip=True), changed(crop=crop)[:, :, ::-1]
    )


def test_a_change_is_pinned():
    # Another release of OpenCV may round otherwise; another crop would be a bug here.
    out = changed(crop=(3, 5, 30, 36))
    assert out[0, 0, 0].tolist() == FRAMES[0, 3, 5].tolist()
    assert out[5, -1, -1].tolist() == FRAMES[5, 32, 40].tolist()
    middle = out[2, 20, 24].astype(int)
    # The centre of that pixel lies at row 3 + 20.5 * 30 / 40 - 0.5 and column
    # 5 + 24.5 * 36 / 48 - 0.5 of the stored frame.
    row, column = 17.875, 22.875
    weights = np.outer([0.125, 0.875], [0.125, 0.875])[..., None]
    patch = FRAMES[2, int(row) : int(row) + 2, int(column) : int(column) + 2]
    assert np.abs(middle - (patch * weights).sum((0, 1))).max() <= 1


@pytest.mark.parametrize("seed", range(8))
def test_a_change_is_that_of_the_graph_within_rounding(seed):
    config = AugmentConfig(min_scale=0.5, max_stretch=1.3, flip_probability=0.5)
    seeds = tf.constant([1, seed], tf.int64)
    shown, box, flip = draw_changes(seeds, SHAPE[:3], config)
    ours = changed(
        frame_indices=tuple(shown.numpy().tolist()),
        crop=tuple(box.numpy().tolist()),
        flip=bool(flip),
    )
    in_graph = augment_clip(tf.constant(FRAMES), seeds, config).numpy()
    assert np.abs(ours.astype(int) - in_graph).max() <= 1

"""Frames of any size become the clip's: what is kept, in which colours, how sharp."""

import cv2
import numpy as np
import pytest

from wlasl_tfrecord.video.framing import fit_frame

RED, GREEN, YELLOW, BLUE = (220, 30, 30), (30, 200, 30), (220, 220, 30), (30, 30, 220)


def fit(frame_rgb, framing, height=80, width=80):
    out = np.full((height, width, 3), 7, np.uint8)
    fit_frame(np.ascontiguousarray(frame_rgb[..., ::-1]), framing, out)
    return out


def drawn(height, width):
    """Red above, blue below; the first tenth of the columns green, the last yellow."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[: height // 2], frame[height // 2 :] = RED, BLUE
    frame[:, : width // 10], frame[:, -(width // 10) :] = GREEN, YELLOW
    return frame


def test_center_cuts_off_the_sides_of_a_wide_frame():
    out = fit(drawn(120, 240), "center")
    # 60 columns go on either side, and with them the coloured tenths.
    assert (out[:40] == RED).all()
    assert (out[-38:] == BLUE).all()


def test_center_cuts_off_the_top_and_bottom_of_a_high_frame():
    out = fit(drawn(240, 120), "center")
    assert (out[30, 4] == GREEN).all()
    assert (out[30, -4] == YELLOW).all()
    # A circle stays one: the coloured columns keep their tenth of the width.
    assert (out[10, 8:72] == RED).all()
    assert (out[10, :7] == GREEN).all()


@pytest.mark.parametrize(
    # A frame and a clip, wider and higher than each other; rows and columns that stay.
    ("frame", "clip", "rows", "columns"),
    [
        ((100, 400), (50, 100), slice(0, 100), slice(100, 300)),
        ((400, 100), (100, 50), slice(100, 300), slice(0, 100)),
        ((100, 100), (50, 100), slice(25, 75), slice(0, 100)),
        ((100, 100), (100, 50), slice(0, 100), slice(25, 75)),
    ],
)
def test_center_keeps_the_largest_part_of_the_clips_aspect(frame, clip, rows, columns):
    drawing = np.zeros((*frame, 3), np.uint8)
    drawing[rows, columns] = RED
    assert (fit(drawing, "center", *clip) == RED).all()
    # And no less of it: a frame around that part shows at all four edges.
    drawing[:] = RED
    inner = drawing[rows, columns]
    inner[4:-4, 4:-4] = BLUE
    out = fit(drawing, "center", *clip)
    edges = (out[0], out[-1], out[:, 0], out[:, -1])
    assert all((edge == RED).all() for edge in edges)
    assert (out[clip[0] // 2, clip[1] // 2] == BLUE).all()


def test_squash_keeps_everything_and_changes_the_aspect():
    out = fit(drawn(120, 240), "squash")
    assert (out[20, 3] == GREEN).all()
    assert (out[20, -3] == YELLOW).all()
    assert (out[20, 40] == RED).all()
    assert (out[60, 40] == BLUE).all()


def test_pad_keeps_everything_between_black_bars():
    out = fit(drawn(120, 240), "pad")
    assert (out[:20] == 0).all()
    assert (out[60:] == 0).all()
    assert (out[21, 3] == GREEN).all()
    assert (out[30, -3] == YELLOW).all()
    assert (out[25, 40] == RED).all()
    assert (out[55, 40] == BLUE).all()


def test_a_frame_of_the_right_size_is_kept_bit_for_bit():
    frame = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    for framing in ("center", "squash", "pad"):
        np.testing.assert_array_equal(fit(frame, framing), frame)


def test_a_clip_that_is_no_square_gets_its_aspect():
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[:25] = frame[75:] = 255
    # The middle half of the height is all that a clip of 2:1 keeps.
    assert fit(frame, "center", height=40, width=80).max() == 0


@pytest.mark.parametrize("size", [1, 2, 3, 79, 81, 159, 161, 500])
def test_every_size_fits(size):
    for height, width in ((size, 40), (40, size)):
        for framing in ("center", "squash", "pad"):
            out = fit(np.full((height, width, 3), 90, np.uint8), framing)
            assert out.max() == 90


SIZES = [(240, 320), (414, 736), (480, 640), (540, 960), (720, 1280), (1080, 1920)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_frame_comes_out_as_its_area_average(height, width):
    generator = np.random.default_rng(0)
    frame = cv2.resize(
        generator.integers(0, 256, (height // 20, width // 20, 3), dtype=np.uint8),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )
    out = fit(frame, "center", height=224, width=224).astype(float)
    left = (width - height) // 2
    square = frame[:, left : left + height].astype(np.float64)
    exact = cv2.resize(square, (224, 224), interpolation=cv2.INTER_AREA)
    assert 10 * np.log10(255**2 / np.mean((out - exact) ** 2)) >= 40


@pytest.mark.parametrize(("height", "width"), SIZES[2:])
def test_lines_finer_than_a_pixel_become_grey(height, width):
    # Plain interpolation makes a pattern of them that was never there.
    frame = np.zeros((height, width, 3), np.uint8)
    frame[::2] = 255
    out = fit(frame, "center", height=224, width=224).astype(int)
    assert np.abs(out - 127).max() <= 2

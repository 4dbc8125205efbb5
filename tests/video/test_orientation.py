"""All eight orientations are shown upright, whatever says how a picture is turned."""

import struct

import cv2
import numpy as np
import pytest
from encoded_videos import (
    add_display_orientation,
    draw_corners,
    encode_video,
    put_before_first_frame,
    read_corners,
)

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video.decode import decode_clip
from wlasl_tfrecord.video.orientation import (
    Orientation,
    is_square,
    is_turn,
    orientation_of,
    shown_frame,
)

CLIP = ClipSpec(num_frames=3, height=96, width=128)

# Matrix -> corners as shown (TL, TR, BL, BR), where R G B Y are stored. Of EXIF's eight
# orientations, in its order: a phone, turned and mirrored in every way.
ORIENTATIONS = {
    (1, 0, 0, 1): "RGBY",
    (-1, 0, 0, 1): "GRYB",
    (-1, 0, 0, -1): "YBGR",
    (1, 0, 0, -1): "BYRG",
    (0, 1, 1, 0): "RBGY",
    (0, 1, -1, 0): "BRYG",
    (0, -1, -1, 0): "YGBR",
    (0, -1, 1, 0): "GYRB",
}


def shown_corners(path):
    frames, _ = decode_clip(path, clip=CLIP, framing="squash")
    corners = {read_corners(frame) for frame in frames}
    assert len(corners) == 1
    return corners.pop()


@pytest.fixture(scope="module")
def drawn():
    return [draw_corners(number) for number in range(8)]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_a_container_turns_its_video_in_eight_ways(tmp_path, drawn, matrix, suffix):
    path = encode_video(tmp_path / f"a.{suffix}", drawn, matrix=matrix)
    assert shown_corners(path) == ORIENTATIONS[matrix]


def test_a_fragmented_mp4_turns_its_video(tmp_path, drawn):
    path = encode_video(
        tmp_path / "a.mp4",
        drawn,
        matrix=(-1, 0, 0, 1),
        container_options={"movflags": "frag_keyframe+empty_moov"},
    )
    assert shown_corners(path) == "GRYB"


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("turn", "corners"),
    [
        ("rotate=0", "RGBY"),
        ("rotate=90", "GYRB"),
        ("rotate=180", "YBGR"),
        ("rotate=270", "BRYG"),
        ("flip=horizontal", "GRYB"),
        ("flip=vertical", "BYRG"),
        ("rotate=90:flip=horizontal", "RBGY"),
        ("rotate=90:flip=vertical", "YGBR"),
    ],
)
def test_h264_turns_its_pictures_itself(tmp_path, drawn, turn, corners, suffix):
    plain = encode_video(tmp_path / "plain.mp4", drawn)
    path = add_display_orientation(plain, tmp_path / f"a.{suffix}", turn)
    assert shown_corners(path) == corners


def test_hevc_turns_its_pictures_itself(tmp_path, drawn):
    plain = encode_video(
        tmp_path / "plain.mp4",
        drawn,
        codec="libx265",
        options={"x265-params": "log-level=none"},
    )
    # An SEI message of type 47: not cancelled, mirrored, no rotation, for all frames.
    bits = f"{0b010:03b}{0:016b}1".ljust(24, "0")
    message = bytes((47, 3)) + int(bits, 2).to_bytes(3, "big")
    unit = bytes((39 << 1, 1)) + message + b"\x80"
    assert shown_corners(plain) == "RGBY"
    path = put_before_first_frame(plain, tmp_path / "a.mp4", unit)
    assert shown_corners(path) == "GRYB"


def with_exif(jpeg, orientation):
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\0*\0\0\0\x08\0\x01" + entry + bytes(4)
    block = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_of_a_folder_are_turned_by_their_exif(tmp_path, drawn, orientation):
    for number, frame in enumerate(drawn):
        jpeg = cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes()
        (tmp_path / f"{number}.jpg").write_bytes(with_exif(jpeg, orientation))
    # Where the corners of the picture as it is stored are shown.
    corners = list(ORIENTATIONS.values())[orientation - 1]
    assert shown_corners(tmp_path) == corners


@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_a_matrix_is_one_of_eight_orientations_at_any_scale(matrix):
    frame = draw_corners(0)
    for scale in (1, 0.5, 2):
        orientation = orientation_of(tuple(scale * number for number in matrix))
        turned = shown_frame(frame, orientation, 1.0)
        assert read_corners(turned) == ORIENTATIONS[matrix]


def test_no_matrix_at_all_is_upright():
    assert orientation_of((0.0, 0.0, 0.0, 0.0)) == Orientation()


@pytest.mark.parametrize(
    "matrix", [(1, 0.5, 0, 1), (0.7, 0.7, -0.7, 0.7), (1, 0, 0, 0), (1, 1, 1, 1)]
)
def test_a_picture_that_is_sheared_is_refused(tmp_path, drawn, matrix):
    path = encode_video(tmp_path / "a.mp4", drawn, matrix=matrix)
    with pytest.raises(
        VideoError,
        match=r"^a.mp4: unreadable: its display matrix .* is not a quarter turn",
    ):
        shown_corners(path)


def test_only_turns_are_turns():
    turns = [(1, 0, 0, 1), (-1, 0, 0, -1), (0, 1, -1, 0), (0, -1, 1, 0)]
    assert [matrix for matrix in ORIENTATIONS if is_turn(matrix)] == [
        matrix for matrix in ORIENTATIONS if matrix in turns
    ]
    assert not is_turn((0, 0, 0, 0))
    assert not is_turn((1, 0.5, 0, 1))


def test_pixels_are_square_to_a_hundredth():
    # Four real clips have 370:369.
    assert is_square(370 / 369)
    assert not is_square(16 / 15)


@pytest.mark.parametrize(
    ("aspect", "shape"), [(2.0, (10, 40, 3)), (0.5, (20, 20, 3)), (1.0, (10, 20, 3))]
)
def test_pixels_that_are_not_square_make_a_larger_frame(aspect, shape):
    frame = np.full((10, 20, 3), 90, np.uint8)
    shown = shown_frame(frame, Orientation(), aspect)
    assert shown.shape == shape
    assert (shown == 90).all()


def test_a_frame_is_stretched_before_it_is_turned():
    frame = np.zeros((10, 20, 3), np.uint8)
    assert shown_frame(frame, Orientation(swaps_axes=True), 2.0).shape == (40, 10, 3)

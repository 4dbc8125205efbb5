"""Colours: which ones a video names, and that matrix and range are its own."""

import random
import struct

import numpy as np
import pytest
from encoded_videos import PATCHES, encode_patches, header_of

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video import pyav_container
from wlasl_tfrecord.video.capture import OpenCVCapture
from wlasl_tfrecord.video.colours import (
    Colours,
    are_plain,
    colours_of_boxes,
    colours_of_matroska,
    colours_of_stream,
    is_only_for_dolby,
    need_conversion,
)
from wlasl_tfrecord.video.decode import decode_clip
from wlasl_tfrecord.video.open_video import open_video
from wlasl_tfrecord.video.pyav_capture import PyavCapture

# The numbers of ITU-T H.273, for matrices, primaries and transfer functions.
BT709, UNKNOWN, BT470BG, BT601, SMPTE240M, BT2020 = 1, 2, 5, 6, 7, 9
PQ, HLG, BT2020_10, P3, SRGB = 16, 18, 14, 12, 13


def patches_of(capture):
    """Returns the colours of the patches in the first frame, int [N, 3] RGB."""
    kept = []
    capture.grab_frames({0}, None, lambda _, frame: kept.append(frame.copy()))
    return kept[0][16, 16::32, ::-1].astype(int)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("matrix", [BT709, BT470BG, BT601, SMPTE240M, BT2020, UNKNOWN])
def test_matrix_and_range_are_those_that_the_video_names(
    tmp_path, matrix, full_range, bits
):
    path = encode_patches(
        tmp_path / "a.mp4", matrix=matrix, full_range=full_range, bits=bits
    )
    for capture in (OpenCVCapture(str(path)), PyavCapture(str(path))):
        np.testing.assert_allclose(patches_of(capture), PATCHES, atol=3)
    assert isinstance(open_video(str(path)), OpenCVCapture)


@pytest.mark.parametrize("key", [b"\x55\xba\x81", b"\x55\xbb\x81"])
@pytest.mark.parametrize("number", [8, 10, 13, 19, 21, 23, 99, 200])
def test_numbers_that_no_scaler_knows_leave_the_pixels_alone(tmp_path, key, number):
    # OpenCV returns memory that nobody wrote for some of them, and ends for others.
    path = encode_patches(
        tmp_path / "a.webm",
        codec="libvpx-vp9",
        matrix=BT709,
        primaries=BT709,
        transfer=BT709,
    )
    data = path.read_bytes()
    assert data.count(key + b"\x01") == 1
    path.write_bytes(data.replace(key + b"\x01", key + bytes([number])))
    video = open_video(str(path))
    plain = are_plain(Colours(number, 1) if key[1] == 0xBB else Colours(1, number))
    assert isinstance(video, OpenCVCapture if plain else PyavCapture)
    np.testing.assert_allclose(patches_of(video), PATCHES, atol=3)


@pytest.mark.parametrize(
    ("colours", "needed"),
    [
        ((BT709, BT709), False),
        ((UNKNOWN, UNKNOWN), False),
        ((BT601, SRGB), False),
        ((BT2020, PQ), True),
        ((BT709, HLG), True),
        ((13, PQ), True),
        ((P3, SRGB), True),
        ((P3, UNKNOWN), True),
        # Numbers of nothing, and logarithmic functions.
        ((13, BT709), False),
        ((BT2020, 9), False),
        ((BT709, 200), False),
    ],
)
def test_which_colours_are_converted(colours, needed):
    assert need_conversion(Colours(*colours)) is needed


@pytest.mark.parametrize(
    ("codec", "encoder", "parameters"),
    [
        ("h264", "libx264", "cqm=jvt:sar=4/3:overscan=show"),
        ("h264", "libx264", "nal-hrd=vbr:vbv-maxrate=500:vbv-bufsize=500:bframes=0"),
        ("hevc", "libx265", ""),
        # Every branch before the colours: lists, references, cropping, layers.
        ("hevc", "libx265", "scaling-list=default:bframes=8:ref=5:temporal-layers=3"),
        ("hevc", "libx265", "sar=1:overscan=show:rect=1:amp=1:range=full:b-intra=1"),
    ],
)
@pytest.mark.parametrize("transfer", [BT709, PQ, UNKNOWN])
def test_a_stream_tells_its_colours(tmp_path, codec, encoder, parameters, transfer):
    named = transfer != UNKNOWN
    path = encode_patches(
        tmp_path / "a.mkv",
        codec=encoder,
        bits=10,
        matrix=BT2020 if named else UNKNOWN,
        primaries=BT2020 if named else UNKNOWN,
        transfer=transfer,
        parameters=parameters,
    )
    extradata, packet = header_of(path)
    expected = [Colours(BT2020, transfer)] if named else []
    assert colours_of_stream(codec, extradata, [packet]) == expected


@pytest.mark.parametrize(
    ("codec", "encoder"), [("h264", "libx264"), ("hevc", "libx265")]
)
def test_damaged_parameters_are_one_of_two_errors(tmp_path, codec, encoder):
    generator = random.Random(0)
    path = encode_patches(tmp_path / "a.mkv", codec=encoder, transfer=PQ)
    extradata, packet = header_of(path)
    outcomes = set()
    for _ in range(1500):
        damaged = bytearray(extradata)
        for _ in range(generator.choice([1, 3, 30])):
            damaged[generator.randrange(150) % len(damaged)] = generator.randrange(256)
        cut = generator.randrange(len(damaged) + 1)
        try:
            found = colours_of_stream(codec, bytes(damaged[:cut]), [packet[:200]])
            outcomes.add(len(found) > 0)
        except (IndexError, ValueError) as error:
            outcomes.add(type(error))
    assert IndexError in outcomes


def test_containers_tell_their_colours():
    nclx = b"nclx" + struct.pack(">3H", 9, 16, 9) + b"\x80"
    vpcc = bytes([1, 0, 0, 0, 2, 31, 0xA0, 9, 18, 9])
    assert colours_of_boxes({b"colr": nclx}) == [Colours(9, 16)]
    assert colours_of_boxes({b"vpcC": vpcc}) == [Colours(9, 18)]
    assert colours_of_boxes({b"colr": b"prof" + bytes(99)}) == []
    header = b"\x55\xb0\x88\x55\xba\x81\x12\x55\xbb\x81\x09"
    assert not all(map(are_plain, colours_of_matroska(header)))
    plain = b"\x55\xb0\x88\x55\xba\x81\x01\x55\xbb\x81\x01"
    assert all(map(are_plain, colours_of_matroska(plain)))


def with_dolby(path, profile, also):
    """Adds a box of Dolby Vision to the description of frames in an MP4."""
    content = bytes([1, 0, profile << 1, 0x05, also << 4]) + bytes(19)
    added = struct.pack(">I", 8 + len(content)) + b"dvcC" + content
    data = bytearray(path.read_bytes())
    # The tables lie at the end, so that no frame moves.
    place = data.index(b"hvcC") - 4
    for name in (b"hev1", b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        at = data.index(name) - 4
        size = int.from_bytes(data[at : at + 4], "big") + len(added)
        data[at : at + 4] = struct.pack(">I", size)
    data[place:place] = added
    path.write_bytes(data)
    return path


def test_dolby_vision_without_another_picture_is_refused(tmp_path):
    options = {"matrix": BT2020, "bits": 10, "codec": "libx265"}
    path = encode_patches(tmp_path / "a.mp4", **options, primaries=9, transfer=HLG)
    before = patches_of(open_video(str(path)))
    # Profile 8.4 is what phones record: HLG for everybody.
    with_dolby(path, profile=8, also=4)
    np.testing.assert_array_equal(patches_of(open_video(str(path))), before)
    path = with_dolby(encode_patches(tmp_path / "b.mp4", **options), 5, 0)
    with pytest.raises(
        VideoError, match=r"^b.mp4: unreadable: Dolby Vision of profile 5, .* -vf libpl"
    ):
        decode_clip(path, clip=ClipSpec(), framing="center")


@pytest.mark.parametrize(
    ("profile", "also", "refused"), [(5, 0, True), (8, 4, False), (8, 0, False)]
)
def test_dolby_vision_in_matroska_is_seen(profile, also, refused):
    # The type of an addition and its content, within what comes before the frames.
    content = bytes([1, 0, profile << 1, 5, also << 4]) + bytes(19)
    header = b"\x41\xe7\x84dvcC\x41\xed\x98" + content
    assert is_only_for_dolby({}, header) is refused


def test_without_pyav_hdr_is_refused_with_a_command(tmp_path, monkeypatch):
    path = encode_patches(
        tmp_path / "a.mp4", matrix=BT2020, bits=10, primaries=BT2020, transfer=PQ
    )
    monkeypatch.setattr(pyav_container, "is_installed", lambda: False)
    with pytest.raises(
        VideoError, match=r"it is of other colours than those of BT.709 .* -vf zscale="
    ):
        open_video(str(path))

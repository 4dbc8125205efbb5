"""Headers of codecs: whether a stream may hold an interlaced frame."""

import random
import time

import pytest
from encoded_videos import draw_corners, encode_video, header_of

from wlasl_tfrecord.video.codec_headers import is_progressive, turns_pictures

INTERLACED = {"flags": "+ildct+ilme"}


def encode(tmp_path, name, **options):
    frames = [draw_corners(number) for number in range(4)]
    return header_of(encode_video(tmp_path / name, frames, **options))


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        # Every branch before the flag: profiles, scaling lists, orders, cropping.
        "cqm=jvt",
        "bframes=0:ref=1:no-cabac=1:8x8dct=0",
        "sar=4/3:overscan=show:videoformat=pal:colormatrix=bt709:chromaloc=2",
        "nal-hrd=vbr:vbv-maxrate=500:vbv-bufsize=500",
        "pic-struct=1",
        "nal-hrd=vbr:vbv-maxrate=500:vbv-bufsize=500:pic-struct=1",
        "stitchable=1",
    ],
)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_h264_of_frames_is_progressive(tmp_path, parameters, pix_fmt):
    options = {"x264-params": parameters} if parameters else {}
    extradata, packet = encode(tmp_path, "a.mp4", options=options, pix_fmt=pix_fmt)
    assert is_progressive("h264", extradata, [packet])
    assert not turns_pictures("h264", extradata, [packet])


@pytest.mark.parametrize(
    "parameters",
    ["interlaced=1:tff=1", "interlaced=1:bff=1:cqm=jvt", "fake-interlaced=1"],
)
def test_h264_that_may_have_fields_is_not(tmp_path, parameters):
    extradata, packet = encode(
        tmp_path, "a.mp4", options={"x264-params": parameters}, interlaced=True
    )
    assert not is_progressive("h264", extradata, [packet])


def test_parameters_that_come_with_the_frames_prove_nothing(tmp_path):
    extradata, packet = encode(tmp_path, "a.ts")
    assert extradata.startswith(b"\0\0\x01")
    assert not is_progressive("h264", extradata, [packet])


def test_parameters_of_fields_before_the_first_frame_count(tmp_path):
    plain, _ = encode(tmp_path, "a.mp4")
    options = {"x264-params": "interlaced=1:tff=1"}
    fields, _ = encode(tmp_path, "b.mp4", options=options, interlaced=True)
    unit = fields[8 : 8 + int.from_bytes(fields[6:8], "big")]
    packet = len(unit).to_bytes(4, "big") + unit
    assert is_progressive("h264", plain)
    assert not is_progressive("h264", plain, [packet])


@pytest.mark.parametrize(("structure", "stamp"), [(3, ""), (4, ""), (0, "101")])
def test_a_picture_whose_timing_is_interlaced_is_not(tmp_path, structure, stamp):
    # Coded in frames, and called interlaced by each picture's timing.
    extradata, _ = encode(tmp_path, "a.mp4", options={"x264-params": "pic-struct=1"})
    for plain, bits in ((False, f"{structure:04b}{stamp}"), (True, "00000")):
        content = int(bits.ljust(8, "0"), 2).to_bytes(1, "big")
        unit = b"\x06\x01\x01" + content + b"\x80"
        packet = len(unit).to_bytes(4, "big") + unit
        assert is_progressive("h264", extradata, [packet]) is plain


@pytest.mark.parametrize("name", ["a.avi", "a.mp4"])
@pytest.mark.parametrize("interlaced", [False, True])
def test_mpeg4_says_it_in_its_layer(tmp_path, name, interlaced):
    options = INTERLACED if interlaced else {}
    extradata, _ = encode(tmp_path, name, codec="mpeg4", options=options)
    assert is_progressive("fmp4", extradata) is not interlaced


@pytest.mark.parametrize("parameters", ["", ":interlace=tff"])
def test_hevc_says_it_in_its_configuration(tmp_path, parameters):
    options = {"x265-params": f"log-level=none{parameters}"}
    extradata, _ = encode(tmp_path, "a.mp4", codec="libx265", options=options)
    assert is_progressive("hevc", extradata) is not parameters


@pytest.mark.parametrize("codec", ["vp80", "vp90", "flv1", "wmv2"])
def test_some_codecs_have_no_fields(codec):
    assert is_progressive(codec, b"")


@pytest.mark.parametrize("codec", ["mpg2", "dvsd", "mjpg", "av01", "\0\0\0\0", "h264"])
def test_other_codecs_and_missing_headers_prove_nothing(codec):
    assert not is_progressive(codec, b"")


@pytest.mark.parametrize("codec", ["h264", "hevc", "fmp4"])
def test_damaged_headers_are_no_error(tmp_path, codec):
    encoder = {"h264": "libx264", "hevc": "libx265", "fmp4": "mpeg4"}[codec]
    options = {"x265-params": "log-level=none"} if codec == "hevc" else {}
    whole = encode(tmp_path, "a.mp4", codec=encoder, options=options)
    generator = random.Random(0)
    seen = set()
    for _ in range(2000):
        extradata, packet = (bytearray(part[:300]) for part in whole)
        for part in (extradata, packet):
            for _ in range(generator.choice([1, 3, 30])):
                part[generator.randrange(len(part))] = generator.randrange(256)
        cut = generator.randrange(len(extradata) + 1)
        seen.add(is_progressive(codec, bytes(extradata[:cut]), [bytes(packet)]))
        turns_pictures(codec, bytes(extradata), [bytes(packet)])
    assert seen == {True, False}


def test_a_header_of_megabytes_takes_no_time():
    unit = b"\x67\x64" + bytes(2**16 - 3)
    extradata = b"\x01\x64\0\x1f\xff\xe1\xff\xff" + unit
    started = time.process_time()
    assert not is_progressive("h264", extradata)
    assert time.process_time() - started < 1

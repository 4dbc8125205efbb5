"""The decoder is chosen by what a file is, and every kind of file comes out right."""

from fractions import Fraction

import av
import numpy as np
import pytest
from encoded_videos import (
    draw_corners,
    encode_video,
    read_corners,
    read_level,
)

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video import pyav_container
from wlasl_tfrecord.video.decode import decode_clip
from wlasl_tfrecord.video.open_video import open_video
from wlasl_tfrecord.video.pyav_capture import PyavCapture

NUM_FRAMES = 12
INTERLACED = {
    "interlaced": True,
    "options": {"flags": "+ildct+ilme", "x264-params": "interlaced=1:tff=1"},
}
FIELDS = {"interlaced": True, "options": {"flags": "+ildct+ilme"}}
HEVC = {"codec": "libx265", "options": {"x265-params": "log-level=none"}}
RGBA = {"input_format": "rgba"}

# What OpenCV decodes right, and what it does not.
OPENCV = {
    "a.mp4": {},
    "a.mov": {},
    "a.mkv": {},
    "a.flv": {},
    "turned.mp4": {"matrix": (0, 1, -1, 0)},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "444.mp4": {"pix_fmt": "yuv444p"},
    "10bit.mp4": {"pix_fmt": "yuv420p10le"},
    "hevc.mp4": HEVC,
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "vp8.webm": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "wmv2.wmv": {"codec": "wmv2"},
    "flv1.flv": {"codec": "flv"},
    "msmpeg4.avi": {"codec": "msmpeg4", "options": {"b": "4M"}},
    # Pixels that are 0.3 % wider than high, as four real clips have them.
    "almost.mp4": {"pixel_aspect": Fraction(370, 369)},
}
PYAV = {
    "interlaced.mp4": INTERLACED,
    "interlaced.mkv": INTERLACED,
    "interlaced.ts": INTERLACED,
    # Marked as interlaced in the stream, though coded in frames.
    "marked.mp4": {"options": {"x264-params": "fake-interlaced=1"}},
    # Its parameters come with the frames, and may change.
    "a.ts": {},
    "mpeg2.mpg": {"codec": "mpeg2video", **FIELDS},
    "mpeg2.mov": {"codec": "mpeg2video", **FIELDS},
    "mpeg4.avi": {"codec": "mpeg4", **FIELDS},
    "mpeg4.mp4": {"codec": "mpeg4", **FIELDS},
    "dv.avi": {"codec": "dvvideo", "size": (576, 720)},
    "dv.mov": {"codec": "dvvideo", "size": (576, 720)},
    "av1.mp4": {"codec": "libsvtav1"},
    "av1.webm": {"codec": "libsvtav1"},
    "mirrored.mp4": {"matrix": (-1, 0, 0, 1), "corners": "GRYB"},
    "mirrored.mkv": {"matrix": (-1, 0, 0, 1), "corners": "GRYB"},
    "wide.mp4": {"pixel_aspect": Fraction(2, 1), "size": (120, 80)},
    "wide.mkv": {"pixel_aspect": Fraction(2, 1), "size": (120, 80)},
    "wide.avi": {"codec": "mpeg4", "pixel_aspect": Fraction(2, 1), "size": (120, 80)},
    "high.mp4": {"pixel_aspect": Fraction(1, 2), "size": (60, 160)},
    "alpha.webm": {"codec": "libvpx-vp9", "pix_fmt": "yuva420p", **RGBA},
    "alpha.mov": {"codec": "qtrle", "pix_fmt": "argb", **RGBA},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuva444p10le", **RGBA},
    "png.mov": {"codec": "png", "pix_fmt": "rgba", **RGBA},
    "ffv1.mkv": {"codec": "ffv1", "pix_fmt": "bgra", **RGBA},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


def encode(path, *, size=(120, 160), corners=None, **options):
    frames = [draw_corners(number, *size) for number in range(NUM_FRAMES)]
    if options.get("input_format") == "rgba":
        opaque = np.full((*size, 1), 255, np.uint8)
        frames = [np.concatenate([frame, opaque], axis=2) for frame in frames]
    return encode_video(path, frames, **options)


def check(path, corners="RGBY"):
    """Checks each frame of a video that `encode` wrote."""
    clip = ClipSpec(num_frames=NUM_FRAMES, height=120, width=160)
    frames, source = decode_clip(path, clip=clip, framing="center")
    assert source.frame_indices == tuple(range(NUM_FRAMES))
    assert source.num_promised_frames == NUM_FRAMES
    for number, frame in enumerate(frames):
        assert read_corners(frame) == corners, number
        assert abs(read_level(frame) - (20 + 5 * number)) < 9, number


@pytest.mark.parametrize("name", OPENCV)
def test_opencv_decodes_what_its_headers_call_plain(tmp_path, name):
    path = encode(tmp_path / name, **OPENCV[name])
    assert not isinstance(open_video(str(path)), PyavCapture)
    if "turned" in name:
        clip = ClipSpec(num_frames=2, height=160, width=120)
        frames, _ = decode_clip(path, clip=clip, framing="center")
        assert read_corners(frames[0]) == "BRYG"
    else:
        check(path)


@pytest.mark.parametrize("name", PYAV)
def test_pyav_decodes_what_opencv_does_not_decode_right(tmp_path, name):
    path = encode(tmp_path / name, **PYAV[name])
    assert isinstance(open_video(str(path)), PyavCapture)
    check(path, PYAV[name].get("corners", "RGBY"))


def test_a_gif_is_a_video(tmp_path):
    # In eight bits for all colours; the middle is grey.
    path = encode(tmp_path / "a.gif", codec="gif", pix_fmt="rgb8")
    assert isinstance(open_video(str(path)), PyavCapture)
    frames, source = decode_clip(path, clip=ClipSpec(), framing="center")
    assert source.num_video_frames == NUM_FRAMES
    levels = [read_level(frame) for frame in frames]
    assert levels[0] < levels[15] < levels[-1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "interlaced.mp4",
            "it is interlaced, or not known to be progressive, and PyAV, which decodes "
            "that, is not installed; pip install av, or convert it: ffmpeg -i IN -vf "
            "bwdif=deint=interlaced -c:v libx264",
        ),
        ("av1.mp4", "it is AV1, and PyAV, .* ffmpeg -i IN -c:v libx264 -crf 17 -pix_f"),
        (
            "mirrored.mp4",
            "it is mirrored by its display matrix, or by its codec, and",
        ),
        ("wide.mp4", r"it is of pixels that are not square, .* scale=trunc\(iw\*sar/2"),
        ("alpha.mov", "it is interlaced, or not known"),
    ],
)
def test_without_pyav_the_message_has_the_command(tmp_path, monkeypatch, name, message):
    path = encode(tmp_path / name, **PYAV[name])
    monkeypatch.setattr(pyav_container, "is_installed", lambda: False)
    with pytest.raises(VideoError, match=f"^{name}: unreadable: {message}"):
        decode_clip(path, clip=ClipSpec(), framing="center")


def test_without_pyav_other_videos_are_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(pyav_container, "is_installed", lambda: False)
    for name in ("a.mp4", "a.mkv", "mpeg4.avi", "vp9.webm"):
        check(encode(tmp_path / name, **OPENCV[name]))


def test_sound_alone_is_called_so(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate = 44100
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match=r"^a.mp4: unreadable: no video in it, only s"):
        decode_clip(path, clip=ClipSpec(), framing="center")


@pytest.mark.parametrize("suffix", ["ts", "mkv", "mp4", "flv"])
def test_a_video_that_turns_interlaced_half_way_is_not_plain(tmp_path, suffix):
    # As a recorder of television writes it, and as it is copied to other containers:
    # the parameters of the second half come with its first frame.
    plain = {"qp": "5", "bf": "0"}
    first = encode(tmp_path / "1.ts", options=plain)
    options = {**INTERLACED["options"], **plain}
    second = encode(tmp_path / "2.ts", interlaced=True, options=options)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    path = joined
    if suffix != "ts":
        path = tmp_path / f"a.{suffix}"
        with av.open(str(joined)) as opened, av.open(str(path), "w") as written:
            stream = opened.streams.video[0]
            copy = written.add_stream_from_template(stream)
            packets = [packet for packet in opened.demux(stream) if packet.size]
            for number, packet in enumerate(packets):
                moved = av.Packet(bytes(packet))
                moved.pts = moved.dts = number
                moved.time_base, moved.duration = Fraction(1, 25), 1
                moved.is_keyframe, moved.stream = packet.is_keyframe, copy
                written.mux(moved)
    assert isinstance(open_video(str(path)), PyavCapture)
    clip = ClipSpec(num_frames=2 * NUM_FRAMES, height=120, width=160)
    frames, source = decode_clip(path, clip=clip, framing="center")
    assert source.num_video_frames == 2 * NUM_FRAMES
    for number, frame in enumerate(frames):
        assert read_corners(frame) == "RGBY", number
        assert abs(read_level(frame) - (20 + 5 * (number % NUM_FRAMES))) < 9, number


@pytest.mark.parametrize("suffix", ["mkv", "mov"])
def test_of_several_videos_in_a_file_it_is_the_largest(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    picture = av.VideoFrame.from_ndarray(np.full((60, 80, 3), 99, np.uint8)).reformat(
        format="yuv420p"
    )
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, (width, height) in zip(streams, [(80, 60), (160, 120)]):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        container.mux(streams[0].encode(picture))
        container.mux(streams[0].encode(None))
        for number in range(NUM_FRAMES):
            drawn = av.VideoFrame.from_ndarray(draw_corners(number))
            frame = drawn.reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(streams[1].encode(frame))
        container.mux(streams[1].encode(None))
    assert isinstance(open_video(str(path)), PyavCapture)
    check(path)

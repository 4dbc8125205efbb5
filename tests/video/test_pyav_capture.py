"""The second decoder: its pixels are those of the first, and none is made up."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from encoded_videos import draw_corners, encode_video, read_corners

from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video.capture import OpenCVCapture
from wlasl_tfrecord.video.decode import decode_clip
from wlasl_tfrecord.video.open_video import open_video
from wlasl_tfrecord.video.pyav_capture import PyavCapture

INTERLACED = {"flags": "+ildct+ilme", "x264-params": "interlaced=1:tff=1"}
# FFmpeg's numbers: BT.709, BT.601, BT.2020, SMPTE 240M, unknown; limited, full range.
BT709, BT601, BT2020, SMPTE240M, UNKNOWN = 1, 5, 9, 7, 2
LIMITED, FULL = 1, 2


def all_frames(capture, stop=None):
    frames = {}

    def keep(number, frame):
        frames[number] = frame.copy()

    count = capture.grab_frames(set(range(100)), stop, keep)
    assert sorted(frames) == list(range(count))
    return np.stack([frames[number] for number in range(count)])


@pytest.fixture(scope="module")
def drawn():
    return [draw_corners(number) for number in range(8)]


@pytest.mark.parametrize(
    ("colorspace", "color_range", "pix_fmt"),
    [
        (BT709, LIMITED, "yuv420p"),
        (BT601, LIMITED, "yuv420p"),
        (SMPTE240M, LIMITED, "yuv420p"),
        (UNKNOWN, LIMITED, "yuv422p"),
        (BT709, FULL, "yuv420p"),
        (BT601, FULL, "yuvj420p"),
        (BT709, LIMITED, "yuv444p"),
        (BT2020, LIMITED, "yuv420p10le"),
    ],
)
def test_both_decoders_give_the_same_colours(
    tmp_path, drawn, colorspace, color_range, pix_fmt
):
    colours = {"colorspace": colorspace, "color_range": color_range}
    more = {"pix_fmt": pix_fmt, "colours": colours}
    plain = encode_video(tmp_path / "a.mp4", drawn, options={"qp": "1"}, **more)
    expected = all_frames(OpenCVCapture(str(plain)))
    np.testing.assert_array_equal(all_frames(PyavCapture(str(plain))), expected)
    # And so does deinterlacing, but for what it does to edges.
    options = {"qp": "1", **INTERLACED}
    path = encode_video(
        tmp_path / "i.mp4", drawn, interlaced=True, options=options, **more
    )
    video = open_video(str(path))
    assert isinstance(video, PyavCapture)
    difference = np.abs(all_frames(video)[1:].astype(int) - expected[1:])
    assert difference.mean() < 0.5


def test_real_clips_have_the_same_pixels_in_both(wlasl_data):
    # 00627 has 1080 lines, 40313 50 frames a second, 63185 4,232 frames.
    for video_id in ("00627", "05233", "40313", "70304"):
        path = str(wlasl_data / "wlasl-clips" / "videos" / f"{video_id}.mp4")
        one, other = OpenCVCapture(path), PyavCapture(path)
        np.testing.assert_array_equal(all_frames(one, 40), all_frames(other, 40))


def test_no_real_clip_needs_it(wlasl_data):
    paths = sorted(wlasl_data.glob("*/videos/*.mp4"))
    assert len(paths) == 852
    assert not any(isinstance(open_video(str(p)), PyavCapture) for p in paths)


def test_a_field_of_hevc_is_a_frame_of_full_height(tmp_path):
    fields = [draw_corners(number, height=64) for number in range(8)]
    path = encode_video(
        tmp_path / "a.mp4",
        fields,
        codec="libx265",
        options={"x265-params": "log-level=none:interlace=tff"},
    )
    frames = all_frames(open_video(str(path)))
    assert frames.shape == (8, 128, 160, 3)
    assert {read_corners(frame[..., ::-1]) for frame in frames} == {"RGBY"}


def test_what_is_transparent_is_black(tmp_path, drawn):
    frames = []
    for frame in drawn:
        opacity = np.full((120, 160, 1), 255, np.uint8)
        opacity[60:] = 0
        opacity[:60, 80:] = 128
        frames.append(np.concatenate([frame, opacity], axis=2))
    for name, codec, pix_fmt in (
        ("a.mov", "qtrle", "argb"),
        ("a.webm", "libvpx-vp9", "yuva420p"),
    ):
        path = encode_video(
            tmp_path / name,
            frames,
            codec=codec,
            pix_fmt=pix_fmt,
            input_format="rgba",
        )
        shown = all_frames(open_video(str(path)))[..., ::-1]
        for frame in shown:
            np.testing.assert_allclose(frame[10, 10], (230, 30, 30), atol=8)
            np.testing.assert_allclose(frame[10, 150], (15, 115, 15), atol=8)
            assert frame[70:].max() < 12


def test_both_decoders_live_in_one_process(tmp_path, drawn):
    plain = encode_video(tmp_path / "plain.mp4", drawn)
    interlaced = encode_video(
        tmp_path / "interlaced.mp4", drawn, interlaced=True, options=INTERLACED
    )
    av1 = encode_video(tmp_path / "av1.mp4", drawn, codec="libsvtav1")
    clip = ClipSpec(num_frames=8, height=60, width=80)
    paths = [plain, interlaced, av1, plain]

    def decode(number):
        frames, _ = decode_clip(paths[number % 4], clip=clip, framing="center")
        return frames.tobytes()

    alone = [decode(number) for number in range(4)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(decode, range(400)))
    assert together == alone * 100

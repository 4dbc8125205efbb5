"""Interlaced frames lose their combs, and none of them is lost."""

import numpy as np
import pytest
from encoded_videos import draw_corners, encode_video, read_corners, read_level

from wlasl_tfrecord.video.open_video import open_video

INTERLACED = {"flags": "+ildct+ilme", "x264-params": "interlaced=1:tff=1"}


@pytest.fixture(scope="module")
def drawn():
    return [draw_corners(number) for number in range(8)]


def all_frames(video):
    """Returns all frames of a video, uint8 [N, height, width, 3] BGR."""
    frames = []
    video.grab_frames(set(range(100)), None, lambda _, f: frames.append(f.copy()))
    return np.stack(frames)


def moving_bar(number, height=120, width=160):
    frame = np.full((height, width, 3), 40, np.uint8)
    left = 4 * number
    frame[:, left : left + 20] = 220
    return frame


def test_a_movement_loses_its_combs(tmp_path):
    # Each frame is woven of two instants, as a camera of fields sees them.
    woven = []
    for number in range(12):
        frame = moving_bar(2 * number)
        frame[1::2] = moving_bar(2 * number + 1)[1::2]
        woven.append(frame)
    path = encode_video(
        tmp_path / "a.mp4", woven, interlaced=True, options={"qp": "5", **INTERLACED}
    )
    frames = all_frames(open_video(str(path)))
    assert len(frames) == 12
    for number in range(1, 11):
        rows = frames[number].astype(int)
        # Where the bar's edges are, two neighbouring rows differ by no comb.
        assert np.abs(rows[1:] - rows[:-1]).mean() < 1
        truth = moving_bar(2 * number)
        assert np.abs(rows - truth).mean() < 3
    combs = np.abs(woven[5][1:].astype(int) - woven[5][:-1]).mean()
    assert combs > 5


def test_a_video_that_turns_interlaced_half_way_keeps_all_its_frames(tmp_path, drawn):
    # MPEG-2 may change from frame to frame: here two files one after the other.
    first = encode_video(tmp_path / "1.mpg", drawn, codec="mpeg2video")
    second = encode_video(
        tmp_path / "2.mpg",
        [draw_corners(number) for number in range(8, 16)],
        codec="mpeg2video",
        interlaced=True,
        options={"flags": "+ildct+ilme"},
    )
    path = tmp_path / "a.mpg"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    frames = all_frames(open_video(str(path)))
    levels = [read_level(frame) for frame in frames]
    np.testing.assert_allclose(levels, [20 + 5 * n for n in range(16)], atol=3)
    assert {read_corners(frame[..., ::-1]) for frame in frames} == {"RGBY"}

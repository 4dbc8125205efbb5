"""No camera is here: a video file at its own pace stands in for one."""

import time

import numpy as np
import pytest

from wlasl_tfrecord.errors import VideoError, WlaslError
from wlasl_tfrecord.inference import camera as cameras
from wlasl_tfrecord.inference import trained_model
from wlasl_tfrecord.inference.window_options import WindowOptions
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video.long_video import sample_video

CLIP = ClipSpec(num_frames=4, height=32, width=32)
OPTIONS = WindowOptions(
    window_seconds=0.6, step_seconds=0.2, threshold=0.0, min_motion=0.0
)


@pytest.fixture(scope="module")
def film(tmp_path_factory, numbered_video):
    """Two seconds."""
    folder = tmp_path_factory.mktemp("films")
    return numbered_video(folder / "film.mp4", num_frames=50, first_number=500)


def opened(film):
    return cameras.Camera(str(film), clip=CLIP, framing="center", window_seconds=0.6)


def test_frames_come_at_the_pace_of_the_film(film):
    camera = opened(film)
    started = time.monotonic()
    frames = []
    while taken := camera.take():
        frames += taken
    assert 1.8 < time.monotonic() - started < 6
    camera.close()
    expected = []
    settings = {"framing": "center", "window_seconds": 0.6}
    sample_video(film, expected.append, clip=CLIP, **settings)
    assert len(frames) == len(expected) == 11
    for frame, other in zip(frames, expected):
        np.testing.assert_array_equal(frame.frame, other.frame)
        assert frame.num_places == other.num_places
        assert frame.seconds >= other.seconds


def test_a_film_is_decoded_in_a_process_with_limits(film, monkeypatch):
    monkeypatch.setattr(cameras.cv2, "VideoCapture", None)
    camera = opened(film)
    assert camera.take()
    camera.close()


@pytest.mark.parametrize("name", ["film.mp4", "film.m3u8"])
def test_what_is_no_film_is_one_line(tmp_path, name):
    # A playlist could name any file or address.
    (tmp_path / name).write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.mp4\n")
    with pytest.raises(VideoError, match=rf"{name}: unreadable: not a video"):
        opened(tmp_path / name)


def test_a_film_that_breaks_off_is_told_after_its_last_frame(trained_run, monkeypatch):
    def broken(path, *, clip, **_):
        for number in range(8):
            picture = np.full(clip.shape[1:], 30 * number, np.uint8)
            yield cameras.GridFrame(frame=picture, seconds=0.0, num_places=1)
        raise VideoError("crash", "its decoder was ended by SIGSEGV", "film.mp4")

    monkeypatch.setattr(cameras, "stream_frames", broken)
    camera = opened(__file__)
    model = trained_model.load_model(trained_run)
    live, found = [], cameras.recognise_live(model, camera, OPTIONS, clock=lambda: 0.0)
    with pytest.raises(VideoError, match=r"film\.mp4: crash: its decoder was"):
        live.extend(found)
    camera.close()
    assert sum(one.sign.num_windows for one in live) >= 3


def test_whoever_has_seen_enough_closes_the_camera(film):
    camera = opened(film)
    taken = camera.take()
    assert taken
    camera.close()
    # Had it waited for the end of the film, there would be all of its 11 frames.
    assert len(taken + camera.take()) < 11
    assert camera.take() == []


def test_a_camera_that_is_not_there_is_one_line(capfd):
    with pytest.raises(WlaslError, match=r"cannot open the camera 97; cameras of this"):
        opened("97")
    assert capfd.readouterr().err == ""


def test_signs_are_named_with_a_bounded_delay(trained_run, film):
    model = trained_model.load_model(trained_run)
    model.warm_up()
    camera = opened(film)
    report = cameras.LiveReport()
    most = cameras.most_delay_seconds(OPTIONS, cameras.BACKLOG_SECONDS)
    assert most == pytest.approx(0.6 + 0.2 + 1.0)
    live = list(cameras.recognise_live(model, camera, OPTIONS, report=report, top=2))
    camera.close()
    assert live
    assert all(0 <= one.delay_seconds < most for one in live)
    assert len(live[0].sign.glosses) == 2
    assert report.num_windows >= 3
    assert 0 < report.most_delay_seconds < 1


class SlowCamera(cameras.Camera):
    """Frames that waited for too long, as if the network had not kept pace."""

    def __init__(self, ages):
        self._ages = list(ages)
        self._number = 0

    def seconds(self):
        return 100.0

    def take(self):
        if not self._ages:
            return []
        self._number += 1
        seconds = 100.0 - self._ages.pop(0)
        picture = np.full((32, 32, 3), 20 * self._number, np.uint8)
        return [
            cameras.GridFrame(frame=picture, seconds=seconds, num_places=1)
            for _ in range(2)
        ]


def test_frames_that_are_too_old_are_left_out(trained_run):
    model = trained_model.load_model(trained_run)
    report = cameras.LiveReport()
    # Two and two frames make a window, and each further one another; not over a gap.
    camera = SlowCamera([0.5, 1.5, 0.5, 0.4, 0.3])
    list(cameras.recognise_live(model, camera, OPTIONS, report=report))
    assert report.skipped_seconds == pytest.approx(1.5)
    assert report.num_windows == 3
    assert report.most_delay_seconds == pytest.approx(0.5)

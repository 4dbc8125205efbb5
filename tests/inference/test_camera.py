"""No camera is here: a video file at its own pace stands in for one."""

import time

import numpy as np
import pytest

from wlasl_tfrecord.errors import WlaslError
from wlasl_tfrecord.inference import camera as cameras
from wlasl_tfrecord.inference import trained_model
from wlasl_tfrecord.inference.window_options import WindowOptions
from wlasl_tfrecord.shard_format.clips import ClipSpec

OPTIONS = WindowOptions(
    window_seconds=0.6, step_seconds=0.2, threshold=0.0, min_motion=0.0
)


@pytest.fixture(scope="module")
def film(tmp_path_factory, numbered_video):
    """Two seconds."""
    folder = tmp_path_factory.mktemp("films")
    return numbered_video(folder / "film.mp4", num_frames=50, first_number=500)


def opened(film, num_frames=4):
    clip = ClipSpec(num_frames=num_frames, height=32, width=32)
    return cameras.Camera(str(film), clip=clip, framing="center", window_seconds=0.6)


def test_frames_come_at_the_pace_of_the_film(film):
    camera = opened(film)
    started = time.monotonic()
    frames = []
    while taken := camera.take():
        frames += taken
    assert 1.8 < time.monotonic() - started < 6
    camera.close()
    # Each 0.2 seconds a place of the grid.
    assert sum(frame.num_places for frame in frames) == 10
    assert frames[0].frame.shape == (32, 32, 3)
    seconds = [frame.seconds for frame in frames]
    assert seconds == sorted(seconds)


def test_a_slow_film_fills_all_places(numbered_video, tmp_path):
    path = numbered_video(tmp_path / "slow.mp4", num_frames=4, fps=4.0)
    camera = opened(path, num_frames=13)
    frames = []
    while taken := camera.take():
        frames += taken
    camera.close()
    # 0.75 seconds in steps of 0.05; the first frame has one place.
    assert frames[0].num_places == 1
    assert 14 <= sum(frame.num_places for frame in frames) <= 18


def test_whoever_has_seen_enough_closes_the_camera(film):
    camera = opened(film)
    assert camera.take()
    started = time.monotonic()
    camera.close()
    assert time.monotonic() - started < 1
    camera.take()
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

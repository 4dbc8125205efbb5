import cv2
import numpy as np
import pytest

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video.decode import decode_clip
from wlasl_tfrecord.video.long_video import _timed_places, sample_video
from wlasl_tfrecord.video.sampling import evenly_spaced, evenly_timed

CLIP = ClipSpec(num_frames=4, height=96, width=96)


def sampled(path, **options):
    found = []
    chosen = {"clip": CLIP, "framing": "center", "window_seconds": 0.8, **options}
    sample_video(path, found.append, **chosen)
    return found


@pytest.fixture(scope="module")
def video(tmp_path_factory, numbered_video):
    return numbered_video(tmp_path_factory.mktemp("videos") / "a.mp4", num_frames=46)


def test_the_frames_of_every_window_are_spread_as_those_of_a_clip(video, frame_number):
    found = sampled(video)
    numbers = [frame_number(one.frame) for one in found]
    # 0.8 seconds are 20 frames, and every fourth place begins the next 19.
    assert numbers[:4] == evenly_spaced(20, 4).tolist()
    assert numbers == [0, 6, 13, 19, 25, 32, 38, 44]
    assert [one.seconds for one in found] == [number / 25 for number in numbers]
    assert {one.num_places for one in found} == {1}


def test_a_video_as_long_as_a_window_has_the_frames_of_its_clip(
    video, numbered_video, tmp_path
):
    path = numbered_video(tmp_path / "short.mp4", num_frames=20)
    frames, _ = decode_clip(path, clip=CLIP, framing="center")
    assert np.array_equal([one.frame for one in sampled(path)], frames)


def test_a_window_as_long_as_the_video_is_the_only_one(video, tmp_path, numbered_video):
    seconds = sample_video(
        video, lambda _: None, clip=CLIP, framing="center", window_seconds=9.0
    )
    assert seconds == 46 / 25
    frames, _ = decode_clip(video, clip=CLIP, framing="center")
    found = sampled(video, window_seconds=seconds)
    assert np.array_equal([one.frame for one in found], frames)


def test_a_frame_that_the_grid_wants_twice_is_decoded_once(numbered_video, tmp_path):
    path = numbered_video(tmp_path / "slow.mp4", num_frames=4, fps=2)
    found = sampled(path, window_seconds=1.0)
    # Two frames a window, four places: 0 0 1 1 1 2 2 2 3 ...
    assert [one.num_places for one in found[:3]] == [2, 3, 3]


def test_a_part_of_the_video_is_counted_from_its_first_frame(video, frame_number):
    found = sampled(video, start=10, stop=31)
    assert [frame_number(one.frame) for one in found] == [10, 16, 23, 29]
    assert found[0].seconds == 10 / 25


@pytest.mark.parametrize("chosen", [{"start": 46}, {"stop": 47}, {"start": 60}])
def test_a_part_that_the_video_does_not_have_is_its_failure(video, chosen):
    with pytest.raises(
        VideoError, match=r"a\.mp4: range outside .*, decoded 46 frames"
    ):
        sampled(video, **chosen)


def test_what_is_no_video_is_named(tmp_path):
    path = tmp_path / "page.mp4"
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(VideoError, match=r"^page\.mp4: unreadable: not a video"):
        sampled(path)


def test_numbered_images_are_frames_at_25_a_second(tmp_path):
    for number in range(30):
        shade = np.full((96, 96, 3), 8 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"{number:03}.png"), shade)
    found = sampled(tmp_path, start=4)
    assert [int(one.frame[0, 0, 0]) // 8 for one in found] == [4, 10, 17, 23, 29]
    assert [one.seconds for one in found] == [n / 25 for n in (4, 10, 17, 23, 29)]
    with pytest.raises(VideoError, match="range outside the video"):
        sampled(tmp_path, stop=31)


def test_somebody_hears_of_the_decoder_while_nothing_is_wanted(
    numbered_video, tmp_path
):
    path = numbered_video(tmp_path / "a.mp4", num_frames=600, height=32, width=32)
    calls = []
    clip = ClipSpec(num_frames=2, height=32, width=32)
    found = sampled(path, clip=clip, start=590, alive=lambda: calls.append(None))
    assert len(found) == 1
    assert len(calls) == 3


def test_times_that_vary_are_spread_as_those_of_a_clip():
    random = np.random.default_rng(1)
    times = np.concatenate([[0.0], np.cumsum(random.uniform(0.02, 0.09, 59))])
    # A window as long as the video: its frames, and the time of one more.
    whole = times[-1] * 60 / 59
    places = list(_timed_places(times + 5, 30, whole))
    assert places == evenly_timed(times, 30).tolist()
    # Half as long: the grid is twice as dense and goes on to the end.
    half = list(_timed_places(times, 30, whole / 2))
    assert len(half) in (58, 59, 60)
    assert half == sorted(half)
    assert list(_timed_places(times[:1], 30, 1.0)) == [0]

import itertools

import numpy as np
import pytest

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clips import (
    ClipSource,
    ClipSpec,
    SignRange,
    frame_times_us,
)
from wlasl_tfrecord.video.sampling import (
    evenly_spaced,
    evenly_timed,
    sign_range,
    varying_times,
)


def test_spec_gives_the_shape_and_the_bytes_of_a_clip():
    spec = ClipSpec(num_frames=5, height=16, width=24)
    assert spec.shape == (5, 16, 24, 3)
    assert spec.num_bytes == 5 * 16 * 24 * 3
    assert ClipSpec().shape == (30, 224, 224, 3)


@pytest.mark.parametrize("name", ["num_frames", "height", "width"])
def test_spec_rejects_a_size_that_no_clip_can_have(name):
    with pytest.raises(ValueError, match=f"^{name} must be at least 1, got 0$"):
        ClipSpec(**{name: 0})


def test_every_clip_has_the_first_and_the_last_frame_of_its_video():
    for num_video_frames, num_frames in itertools.product(range(1, 90), range(2, 40)):
        indices = evenly_spaced(num_video_frames, num_frames)
        assert len(indices) == num_frames
        assert indices[0] == 0
        assert indices[-1] == num_video_frames - 1
        assert (np.diff(indices) >= 0).all()


def test_frames_are_spread_evenly():
    for num_video_frames, num_frames in itertools.product(range(1, 90), range(2, 40)):
        steps = np.diff(evenly_spaced(num_video_frames, num_frames))
        assert steps.max() - steps.min() <= 1


def test_a_long_enough_video_repeats_no_frame_and_a_short_one_shows_all_of_its():
    for num_video_frames, num_frames in itertools.product(range(1, 90), range(2, 40)):
        distinct = len(set(evenly_spaced(num_video_frames, num_frames).tolist()))
        assert distinct == min(num_video_frames, num_frames)


def test_a_clip_of_one_frame_is_the_middle_of_the_sign():
    assert evenly_spaced(9, 1).tolist() == [4]


def test_no_clip_comes_from_no_frames():
    with pytest.raises(
        ValueError, match="at least one frame on both sides, got num_vid"
    ):
        evenly_spaced(0, 30)
    with pytest.raises(ValueError, match="num_frames=0"):
        evenly_spaced(30, 0)


@pytest.mark.parametrize(
    ("num_video_frames", "fps", "start", "stop", "expected"),
    [
        # WLASL's "frame_start 1, frame_end -1": nothing to cut.
        (68, 29.97, 0, None, SignRange(0, 68, "whole")),
        (68, 29.97, None, None, SignRange(0, 68, "whole")),
        # 70304 and 10004 of WLASL: the range points behind the end of a trimmed file.
        (121, 25.0, 551, 672, SignRange(0, 121, "trimmed")),
        (57, 25.0, 2065, 2122, SignRange(0, 57, "trimmed")),
        # 63185: not trimmed.
        (4232, 25.0, 2054, 2111, SignRange(2054, 2111, "cut")),
        # The range counts 25 frames a second, the file has 50.
        (300, 50.0, 50, 100, SignRange(100, 200, "cut")),
        # A range from the first frame that is as long as the file, give or take a few.
        (60, 25.0, 0, 62, SignRange(0, 60, "trimmed")),
        (60, 25.0, 0, 57, SignRange(0, 60, "trimmed")),
        # A range that ends two frames behind the file, but is far shorter than it.
        (600, 25.0, 500, 602, SignRange(500, 600, "cut")),
        # "A few" are frames at 25 a second: here twice as many of the file's.
        (216, 50.0, 0, 104, SignRange(0, 216, "trimmed")),
        (600, 50.0, 250, 304, SignRange(500, 600, "cut")),
        # From a frame to the end, inside and behind the file.
        (600, 25.0, 500, None, SignRange(500, 600, "cut")),
        (60, 25.0, 500, None, SignRange(0, 60, "trimmed")),
        # A range so short that its rounding leaves nothing still has one frame.
        (600, 10.0, 100, 101, SignRange(40, 41, "cut")),
    ],
)
def test_a_range_is_cut_only_out_of_a_file_that_has_more(
    num_video_frames, fps, start, stop, expected
):
    assert sign_range(num_video_frames, fps, start, stop) == expected


def test_a_sign_has_a_frame_whatever_the_annotation_says():
    for num, fps, start, length in itertools.product(
        (1, 2, 30, 300), (5.0, 23.976, 25.0, 60.0), (0, 1, 29, 299), (1, 2, 30, 10**9)
    ):
        for stop in (start + length, None):
            found = sign_range(num, fps, start, stop)
            assert 0 <= found.start < found.stop <= num


@pytest.mark.parametrize(
    ("start", "stop", "fps", "message"),
    [
        (-30, 10, 25.0, "start must be at least 0 and .*, got start=-30 and stop=10"),
        (40, 20, 25.0, "stop above it, got start=40 and stop=20"),
        (None, 0, 25.0, "stop above it, got start=None and stop=0"),
        (5, 10, 0.0, "annotation_fps must be above 0, got 0.0"),
    ],
)
def test_a_range_that_no_video_has_is_refused(start, stop, fps, message):
    with pytest.raises(ValueError, match=message):
        sign_range(60, 50.0, start, stop, fps)


def test_a_range_in_the_files_own_frames_is_taken_to_the_letter():
    assert sign_range(60, 50.0, 10, 58, None) == SignRange(10, 58, "cut")
    with pytest.raises(
        VideoError,
        match="range outside the video: frames 10 to 64 are wanted, decoded 60 frames",
    ):
        sign_range(60, 50.0, 10, 64, None)
    with pytest.raises(VideoError, match="frames 60 to the end are wanted"):
        sign_range(60, 50.0, 60, None, None)


def test_times_grow_strictly_even_where_frames_repeat():
    for num_video_frames, fps in itertools.product((1, 2, 7, 31, 300), (12.5, 25, 60)):
        times = frame_times_us(SignRange(0, num_video_frames, "whole"), 30, fps)
        assert len(times) == 30
        assert (np.diff(times) > 0).all()


def test_times_are_those_of_the_video():
    times = frame_times_us(SignRange(25, 76, "cut"), 3, 25.0)
    assert times == (1_000_000, 2_000_000, 3_000_000)
    assert frame_times_us(SignRange(0, 51, "whole"), 1, 25.0) == (1_000_000,)
    # To the nearest microsecond: 33,366.7 and 66,733.4 of them.
    times = frame_times_us(SignRange(0, 3, "whole"), 3, 29.97)
    assert times == (0, 33_367, 66_733)


def test_times_of_a_varying_rate_are_those_of_its_frames():
    source = ClipSource(
        video_fps=20.0,
        num_video_frames=300,
        sign=SignRange(210, 240, "cut"),
        frame_indices=(210, 225, 239),
        sha256="",
        sign_seconds=(12.0, 13.0),
    )
    assert source.frame_times_us == (12_000_000, 12_500_000, 13_000_000)
    assert (source.start_us, source.stop_us) == (12_000_000, 13_050_000)


def test_a_source_counts_its_distinct_frames():
    source = ClipSource(
        video_fps=25.0,
        num_video_frames=2,
        sign=SignRange(0, 2, "whole"),
        frame_indices=(0, 0, 1),
        sha256="",
    )
    assert source.num_distinct_frames == 2
    assert source.frame_times_us == (0, 20_000, 40_000)


class TestVaryingRate:
    # 150 frames at 15 a second, then 150 at 30.
    times = np.concatenate([np.arange(150) / 15, 10 + np.arange(150) / 30])

    @pytest.mark.parametrize(
        ("start", "stop", "expected"),
        [
            (0, 25, (0, 15)),
            (125, 250, (75, 150)),
            (300, 325, (210, 240)),
            # As far as the end, and a little behind it.
            (300, 375, (210, 300)),
            (300, 378, (210, 300)),
            (300, None, (210, 300)),
        ],
    )
    def test_a_range_is_found_by_its_seconds(self, start, stop, expected):
        found = sign_range(300, 19.9, start, stop, frame_times=self.times)
        assert found == SignRange(*expected, "cut")

    def test_a_range_behind_the_end_is_that_of_a_trimmed_file(self):
        for start, stop in ((500, 600), (500, None), (0, 375)):
            found = sign_range(300, 20.0, start, stop, frame_times=self.times)
            assert found == SignRange(0, 300, "trimmed")

    def test_frames_of_the_file_itself_are_counted_all_the_same(self):
        found = sign_range(300, 20.0, 10, 20, None, frame_times=self.times)
        assert found == SignRange(10, 20, "cut")

    def test_a_clip_is_spread_over_the_time(self):
        # 15 seconds: two thirds of the time are half of the frames.
        assert evenly_timed(self.times, 4).tolist() == [0, 75, 150, 299]
        assert evenly_timed(self.times, 1).tolist() == [112]

    def test_at_a_constant_rate_it_is_spread_over_the_frames(self):
        for count, num_frames in itertools.product(range(1, 60), range(1, 40)):
            times = np.arange(count) * 0.04
            by_time = evenly_timed(times, num_frames)
            # Halfway between two frames, either is right.
            away = by_time - evenly_spaced(count, num_frames)
            assert np.abs(away).max() <= 1
            assert (np.diff(by_time) >= 0).all()
            if num_frames > 1:
                assert (by_time[0], by_time[-1]) == (0, count - 1)

    @pytest.mark.parametrize(
        ("times", "varies"),
        [
            (times, True),
            (None, False),
            (np.zeros(1), False),
            (np.zeros(5), False),
            # Two recordings, one after the other, whose clocks both start at 0.
            (np.sort(np.append(np.arange(50) / 25, np.arange(20) / 10)), False),
            (np.arange(100) / 29.97, False),
            # A clock of milliseconds; a frame that was left out; a long last frame.
            (np.round(np.arange(100) / 30, 3), False),
            (np.delete(np.arange(100) / 30, 40), False),
            (np.append(np.arange(99) / 30, 99 / 30 + 0.03), False),
            # Half of the frames left out for a second; a picture that stands still.
            (np.concatenate([np.arange(30) / 30, 1 + np.arange(15) / 15]), True),
            (np.concatenate([np.arange(30) / 30, 3 + np.arange(30) / 30]), True),
        ],
    )
    def test_a_rate_varies_if_a_frame_is_a_frame_away(self, times, varies):
        found = varying_times(times)
        assert (found is not None) is varies


@pytest.mark.parametrize(
    ("num_frames", "promised", "start", "stop", "message"),
    [
        (300, 431, 350, 400, "frames 350 to 400 are wanted, decoded 300 of the 431"),
        (300, 431, 290, 400, "frames 290 to 400 are wanted, decoded 300 of the 431"),
        (300, 431, 350, None, "frames 350 to the end are wanted, decoded 300 of the"),
        # The range ends a little behind what the file promises.
        (300, 431, 350, 434, "frames 350 to 434 are wanted"),
    ],
)
def test_a_file_that_was_cut_off_before_its_sign_is_refused(
    num_frames, promised, start, stop, message
):
    with pytest.raises(VideoError, match=f"range outside the video: {message}"):
        sign_range(num_frames, 25.0, start, stop, num_promised_frames=promised)


@pytest.mark.parametrize(
    ("num_frames", "promised", "start", "stop", "expected"),
    [
        # It fits neither: trimmed by whoever downloaded it, and cut off since.
        (300, 431, 1350, 1400, (0, 300, "trimmed")),
        (300, 431, 500, None, (0, 300, "trimmed")),
        # It lies in what is left.
        (300, 431, 100, 150, (100, 150, "cut")),
        (300, 431, 100, None, (100, 300, "cut")),
        # Headers promise up to 3 frames too many.
        (120, 123, 551, 672, (0, 120, "trimmed")),
        (57, 60, 0, 58, (0, 57, "trimmed")),
        (57, 0, 100, 160, (0, 57, "trimmed")),
    ],
)
def test_other_files_are_understood_as_before(
    num_frames, promised, start, stop, expected
):
    found = sign_range(num_frames, 25.0, start, stop, num_promised_frames=promised)
    assert found == SignRange(*expected)

import tracemalloc

import numpy as np
import pytest

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.inference import prediction, trained_model
from wlasl_tfrecord.inference.ranking import top_glosses
from wlasl_tfrecord.inference.split_network import SplitNetwork
from wlasl_tfrecord.inference.window_options import WindowOptions
from wlasl_tfrecord.inference.windows import Slider, video_windows
from wlasl_tfrecord.video.decode import decode_clip
from wlasl_tfrecord.video.long_video import GridFrame


@pytest.fixture(scope="module")
def model(trained_run):
    return trained_model.load_model(trained_run)


@pytest.fixture(scope="module")
def video(tmp_path_factory, numbered_video):
    """3.6 seconds."""
    return numbered_video(
        tmp_path_factory.mktemp("videos") / "long.mp4", num_frames=90, first_number=300
    )


def test_a_window_is_what_predict_says_of_its_part_of_the_video(model, video):
    # 20 frames, of which four are 19/3 apart: every third place begins the next 19.
    options = WindowOptions(window_seconds=0.8, step_seconds=0.8)
    windows = list(video_windows(model, video, options))
    for n, window in enumerate(windows[:4]):
        frames, _ = decode_clip(
            video,
            clip=model.info.clip,
            framing="center",
            start=19 * n,
            stop=19 * n + 20,
            annotation_fps=None,
        )
        expected = model.network.predict_on_batch(frames[None])[0]
        np.testing.assert_allclose(window.probabilities, expected, atol=1e-4)
        assert window.start_seconds == pytest.approx(19 * n / 25)
        assert window.stop_seconds == pytest.approx((19 * n + 19) / 25)


@pytest.mark.parametrize("seconds", [0.48, 3.0])
def test_a_single_clip_has_the_glosses_of_predict(model, few_videos, seconds):
    # As long as the window, or shorter.
    options = WindowOptions(window_seconds=seconds)
    path = few_videos / "0.mp4"
    [window] = video_windows(model, path, options)
    [expected] = prediction.predict_videos(model, [path])
    assert isinstance(expected, prediction.Prediction)
    glosses, shares = top_glosses(window.probabilities, model.info.glosses, 5)
    assert glosses == expected.glosses
    assert shares == pytest.approx(expected.probabilities, abs=1e-4)
    assert window.start_seconds == 0
    assert 0.3 < window.stop_seconds < 0.48
    assert window.motion > 0


def test_a_video_of_a_single_frame_has_a_window(model, numbered_video, tmp_path):
    path = numbered_video(tmp_path / "one.mp4", num_frames=1, first_number=900)
    [window] = video_windows(model, path, WindowOptions())
    [expected] = prediction.predict_videos(model, [path], top=1)
    assert isinstance(expected, prediction.Prediction)
    assert window.probabilities.max() == pytest.approx(
        expected.probabilities[0], abs=1e-4
    )
    assert window.motion == 0


def test_the_last_window_ends_with_the_video(model, video):
    options = WindowOptions(window_seconds=0.8, step_seconds=0.8)
    windows = list(video_windows(model, video, options))
    *starts, last = [window.start_seconds for window in windows]
    assert np.diff(starts) == pytest.approx([0.76] * (len(starts) - 1))
    assert windows[-1].stop_seconds == 89 / 25
    assert 0 < last - starts[-1] < 0.76


def test_each_frame_is_computed_once_however_small_the_step(model, video, monkeypatch):
    computed = []

    def features(frames):
        computed.extend(frames)
        return model.split.features(frames)

    split = SplitNetwork(is_split=True, features=features, head=model.split.head)
    counted = trained_model.TrainedModel(
        network=model.network, info=model.info, path=model.path
    )
    monkeypatch.setitem(vars(counted), "split", split)
    options = WindowOptions(window_seconds=0.8, step_seconds=0.01)
    windows = list(video_windows(counted, video, options))
    assert len(windows) == len(computed) - 3
    assert len(computed) == 15


def test_a_network_that_looks_at_all_frames_slides_as_well(model, video, monkeypatch):
    options = WindowOptions(window_seconds=0.8, step_seconds=0.4)
    expected = list(video_windows(model, video, options))
    whole = trained_model.TrainedModel(
        network=model.network, info=model.info, path=model.path
    )
    split = SplitNetwork(
        is_split=False,
        features=lambda frames: frames,
        head=lambda clips: model.network.predict_on_batch(clips),
    )
    monkeypatch.setitem(vars(whole), "split", split)
    found = list(video_windows(whole, video, options))
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-4)


def frames_of(pictures, seconds=0.1):
    return [
        GridFrame(frame=np.full((32, 32, 3), shade, np.uint8), seconds=seconds * n)
        for n, shade in enumerate(pictures)
    ]


@pytest.mark.parametrize(
    # Places are 0.2 seconds apart, or 0.1: then the change over two of them counts.
    ("seconds", "motions"),
    [(0.6, [0, 6 / 3, 12 / 3]), (0.3, [0, 6 / 3, 18 / 3])],
)
def test_motion_is_the_mean_change_within_a_fifth_of_a_second(model, seconds, motions):
    slider = Slider(model, WindowOptions(window_seconds=seconds, step_seconds=0.01))
    windows = slider.push(frames_of([9, 9, 9, 9, 15, 21]))
    assert [window.motion for window in windows] == pytest.approx(motions)


def test_after_a_gap_no_window_has_frames_from_before_it(model):
    slider = Slider(model, WindowOptions(window_seconds=0.4))
    assert slider.push([]) == []
    assert slider.push(frames_of([1, 2, 3])) == []
    slider.restart()
    assert slider.push(frames_of([200, 200, 200])) == []
    [window] = slider.push(frames_of([200]))
    assert window.motion == 0


def test_a_video_that_fails_in_the_middle_has_the_windows_before(
    model, numbered_video, tmp_path
):
    path = numbered_video(tmp_path / "a.mp4", num_frames=60)
    options = WindowOptions(window_seconds=0.8, step_seconds=0.1)
    found = []
    windows = video_windows(model, path, options, stop=99)
    with pytest.raises(VideoError, match=r"a\.mp4: range outside the video"):
        found.extend(windows)
    assert len(found) > 5


def test_a_short_video_that_cannot_be_decoded_is_named(model, tmp_path):
    path = tmp_path / "page.mp4"
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(VideoError, match=r"^page\.mp4: unreadable: not a video"):
        list(video_windows(model, path, WindowOptions()))


def test_memory_does_not_grow_with_the_length_of_a_video(model):
    slider = Slider(model, WindowOptions(window_seconds=0.4, step_seconds=0.1))

    def push(count):
        for number in range(count):
            slider.push(frames_of([number % 250] * 4))

    push(50)
    tracemalloc.start()
    try:
        push(20)
        before = tracemalloc.get_traced_memory()[0]
        push(400)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # 1,600 frames of 3 KiB are 4.7 MiB.
    assert grown < 2**18

import cv2
import numpy as np
import pytest

from wlasl_tfrecord.decoder_pool.jobs import VideoLimits
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.inference import prediction, trained_model
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video.decode import decode_clip

CLIP = ClipSpec(num_frames=4, height=32, width=32)
GLOSSES = ("book", "drink", "computer", "before", "chair")


@pytest.fixture(scope="module")
def model(trained_run):
    return trained_model.load_model(trained_run)


def predicted(model, paths, **options):
    """Returns predictions of videos that all become clips."""
    results = list(prediction.predict_videos(model, paths, **options))
    good = [one for one in results if isinstance(one, prediction.Prediction)]
    assert len(good) == len(results)
    return good


def failed(model, path, **options):
    """Returns why a video becomes no clip."""
    [result] = prediction.predict_videos(model, [path], **options)
    assert isinstance(result, prediction.Failure)
    return result.reason


def test_a_prediction_is_what_the_network_says_of_the_decoded_clip(model, few_videos):
    path = few_videos / "1.mp4"
    [result] = predicted(model, [path], top=5)
    frames, _ = decode_clip(path, clip=CLIP, framing="center")
    row = np.asarray(model.network(frames[None]))[0]
    assert result.glosses == tuple(GLOSSES[i] for i in np.argsort(-row))
    assert result.probabilities == pytest.approx(sorted(row, reverse=True), abs=1e-4)
    assert sum(result.probabilities) == pytest.approx(1, abs=1e-5)
    assert row.max() > 0.3, "a test that any answer would pass"


def test_results_come_in_order_whatever_the_batch(model, few_videos):
    paths = [few_videos / f"{index}.mp4" for index in (2, 0, 1)]
    paths.insert(1, few_videos / "broken.mp4")
    in_one = list(prediction.predict_videos(model, paths, batch_size=8))
    by_two = list(prediction.predict_videos(model, paths, batch_size=2))
    assert [result.path for result in in_one] == paths
    for one, other in zip(in_one, by_two):
        if isinstance(one, prediction.Failure):
            assert one == other
        else:
            assert isinstance(other, prediction.Prediction)
            assert one.glosses == other.glosses
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_start_and_stop_choose_frames_of_the_file(model, tmp_path):
    # Lossless images, so that the same frames are the same in both folders.
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    for name, chosen in (("whole", range(12)), ("part", range(4, 10))):
        (tmp_path / name).mkdir()
        for index in chosen:
            enlarged = cv2.resize(images[index], (64, 64))
            assert cv2.imwrite(str(tmp_path / name / f"{index:04d}.png"), enlarged)
    [cut] = predicted(model, [tmp_path / "whole"], start=4, stop=10)
    [part] = predicted(model, [tmp_path / "part"])
    assert cut.glosses == part.glosses
    assert cut.probabilities == pytest.approx(part.probabilities, abs=1e-5)
    [whole] = predicted(model, [tmp_path / "whole"])
    assert cut.probabilities != pytest.approx(whole.probabilities, abs=1e-3)


def test_a_range_outside_the_video_is_its_failure(model, few_videos):
    reason = failed(model, few_videos / "0.mp4", start=5, stop=99)
    assert "0.mp4: range outside the video" in reason


def test_a_short_video_says_how_many_frames_it_had(model, numbered_video, tmp_path):
    path = numbered_video(tmp_path / "short.mp4", num_frames=3)
    [result] = predicted(model, [path])
    assert result.num_distinct_frames == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "top must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"start": -1}, "start must be at least 0, got -1"),
        ({"start": 9, "stop": 9}, "stop must be above start 9, got 9"),
    ],
)
def test_arguments_that_no_video_can_make_right(model, options, message):
    with pytest.raises(ValueError, match=message):
        list(prediction.predict_videos(model, [], **options))


def test_a_folder_stands_for_its_videos(few_videos):
    names = [path.name for path in prediction.find_videos([few_videos])]
    assert names == ["0.mp4", "1.mp4", "2.mp4", "broken.mp4"]


def test_a_folder_of_images_is_one_video(tmp_path):
    images = tmp_path / "frames"
    images.mkdir()
    (images / "0001.jpg").write_bytes(b"")
    assert prediction.find_videos([images]) == [images]
    assert prediction.find_videos([tmp_path]) == [images]
    # An image beside a video is no frame.
    (images / "sign.mp4").write_bytes(b"")
    assert prediction.find_videos([images]) == [images / "sign.mp4"]


def test_a_folder_without_videos_is_an_error(tmp_path):
    with pytest.raises(ManifestError, match=r"no videos in .*: no \.mp4, \.avi"):
        prediction.find_videos([tmp_path])


def test_a_video_of_huge_frames_is_its_failure(model, few_videos, tmp_path):
    path = tmp_path / "huge.avi"
    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), fourcc, 25, (12000, 12000))
    writer.write(np.zeros((12000, 12000, 3), np.uint8))
    writer.release()
    limits = VideoLimits(memory_mib=300)
    paths = [path, few_videos / "0.mp4"]
    huge, other = prediction.predict_videos(model, paths, limits=limits)
    assert isinstance(huge, prediction.Failure)
    assert huge.reason == f"{path}: out of memory: its frames are too large"
    assert isinstance(other, prediction.Prediction)

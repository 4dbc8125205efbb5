import cv2
import numpy as np
import pytest
import tensorflow as tf
from drawn_shards import drawn_frames

from wlasl_tfrecord.inference.export_saved_model import write_saved_model
from wlasl_tfrecord.inference.trained_model import load_model, probabilities
from wlasl_tfrecord.shard_format.decode_images import decode_image
from wlasl_tfrecord.video.sampling import evenly_spaced


@pytest.fixture(scope="module")
def model(trained_run):
    return load_model(trained_run)


@pytest.fixture(scope="module")
def loaded(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "saved_model"
    write_saved_model(model, path)
    return tf.saved_model.load(str(path))


@pytest.fixture(scope="module")
def clips():
    """Two different clips, uint8 [2, 4, 32, 32, 3]."""
    return np.stack([drawn_frames(n, (4, 32, 32, 3)) for n in (3, 20)])


def ranked(model, clips):
    """The glosses and probabilities of clips, as lists, the most probable first."""
    rows = probabilities(model, clips)
    order = np.argsort(-rows, axis=1)
    glosses = np.array(model.info.glosses)[order].tolist()
    return glosses, np.take_along_axis(rows, order, 1)


def answer(result):
    glosses = [[word.decode() for word in row] for row in result["glosses"].numpy()]
    return glosses, result["probabilities"].numpy()


def jpegs(clip):
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
    return [
        cv2.imencode(".jpg", frame[..., ::-1], quality)[1].tobytes() for frame in clip
    ]


def test_clips_are_answered_in_glosses(model, loaded, clips):
    glosses, shares = answer(loaded.signatures["clips"](frames=tf.constant(clips)))
    expected_glosses, expected = ranked(model, clips)
    assert glosses == expected_glosses
    np.testing.assert_allclose(shares, expected, atol=1e-4)


def test_jpegs_are_decoded_as_the_library_decodes_them(model, loaded, clips):
    images = [jpegs(clip) for clip in clips]
    result = loaded.signatures["jpegs"](images=tf.constant(images))
    decoded = np.empty(clips.shape, np.uint8)
    for place, image in np.ndenumerate(np.array(images, object)):
        decode_image(memoryview(image), "jpeg", decoded[place])
    expected_glosses, expected = ranked(model, decoded)
    glosses, shares = answer(result)
    assert glosses == expected_glosses
    np.testing.assert_allclose(shares, expected, atol=1e-4)


def test_one_video_needs_no_batch(model, loaded, clips):
    images = jpegs(clips[0])
    one = answer(loaded.signatures["jpegs"](images=tf.constant(images)))
    batch = answer(loaded.signatures["jpegs"](images=tf.constant([images])))
    assert one[0] == batch[0]
    assert one[1].shape == (1, 5)


@pytest.mark.parametrize("num_images", [1, 3, 7, 11])
def test_of_more_frames_those_are_taken_that_the_library_takes(
    model, loaded, num_images
):
    images = jpegs(drawn_frames(5, (num_images, 32, 32, 3)))
    chosen = [images[k] for k in evenly_spaced(num_images, 4)]
    found = answer(loaded.signatures["jpegs"](images=tf.constant(images)))
    expected = answer(loaded.signatures["jpegs"](images=tf.constant(chosen)))
    assert found[0] == expected[0]
    np.testing.assert_allclose(found[1], expected[1], atol=1e-6)


def test_a_larger_frame_is_cropped_in_the_middle(model, loaded):
    # The sides are cut off: whatever is there changes nothing.
    middle = np.full((4, 64, 64, 3), 90, np.uint8)
    middle[:, 20:40, 20:40] = 200
    answers = []
    for side in (0, 255):
        wide = np.full((4, 64, 96, 3), side, np.uint8)
        wide[:, :, 16:80] = middle
        # Blocks of 16 pixels do not mix, so the JPEG's own loss is the same, too.
        result = loaded.signatures["jpegs"](images=tf.constant(jpegs(wide)))
        answers.append(answer(result))
    assert answers[0][0] == answers[1][0]
    np.testing.assert_allclose(answers[0][1], answers[1][1], atol=1e-5)


def test_a_frame_that_takes_minutes_is_refused(loaded):
    huge = np.zeros((5800, 5800, 3), np.uint8)
    image = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    large = cv2.imencode(".jpg", huge[:2000, :2000])[1].tobytes()
    # A scan that changes nothing.
    scan = b"\xff\xda\0\x08\1\1\0\1\5\2"
    for forged in (
        cv2.imencode(".jpg", huge)[1].tobytes(),
        image[:-2] + scan * 501 + image[-2:],
        large[:-2] + scan * 140 + large[-2:],
    ):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match="more than 33,554,432 pixels, or 500"
        ):
            loaded.signatures["jpegs"](images=tf.constant([forged]))

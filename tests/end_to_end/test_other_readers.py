"""Other people's readers read our folders, with no code of ours.

tests/interop runs the packages that PyPI has. These it has not; their feature
specifications are copied from their sources:

- DMVR, `dmvr/modalities.py`, `add_image` and `add_label`:
  https://github.com/google-deepmind/dmvr
- Scenic, `scenic/projects/vivit/data/video_tfrecord_dataset.py`, which hands both over
  to DMVR: https://github.com/google-research/scenic
- MediaSequence, `mediapipe/util/sequence/media_sequence.py`, whose parsers of single
  values are FixedLenFeature and of lists VarLenFeature:
  https://github.com/google-ai-edge/mediapipe/tree/master/mediapipe/util/sequence
"""

import json
import warnings

import numpy as np
import pytest
import tensorflow as tf
from checkout import CHECKOUT
from documented_examples import example, run_here
from drawn_shards import drawn_landmarks

from wlasl_tfrecord import ShardReader
from wlasl_tfrecord.shard_format.shard_folder import load_folder, load_records

# One clip in two shards: one of them is empty.
NUM_CLIPS = {"train": 7, "val": 1}


def labels_of(directory, split="train"):
    records = load_records(load_folder(directory), split)
    return dict(zip(records.video_ids, records.labels.tolist()))


def frames_of(directory, video_id):
    """Draws again what the fixture drew under this id."""
    from drawn_shards import drawn_frames

    return drawn_frames(int(video_id[-5:]), load_folder(directory).clip.shape)


# TensorFlow Datasets


@pytest.fixture(scope="module")
def tfds():
    with warnings.catch_warnings():
        # Of packages that it imports, not of ours.
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            "tensorflow_datasets", reason="needs the extra tfds: pip install .[tfds]"
        )


@pytest.mark.filterwarnings("ignore")
def test_tfds_reads_a_raw_folder(tfds, tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards", NUM_CLIPS)
    builder = tfds.builder_from_directory(str(directory))
    assert builder.name == "wlasl"
    assert {name: info.num_examples for name, info in builder.info.splits.items()} == (
        NUM_CLIPS
    )
    assert builder.info.features["clip/label/index"].names == [
        "book",
        "drink",
        "computer",
    ]
    for split, num_clips in NUM_CLIPS.items():
        expected = labels_of(directory, split)
        clips = list(builder.as_dataset(split=split).as_numpy_iterator())
        assert len(clips) == num_clips
        for clip in clips:
            video_id = clip["clip/media_id"].decode()
            assert clip["clip/label/index"] == expected.pop(video_id)
            frames = frames_of(directory, video_id)
            assert clip["clip/frames"].dtype == np.uint8
            np.testing.assert_array_equal(clip["clip/frames"], frames)
            assert (np.diff(clip["image/timestamp"]) > 0).all()
            assert clip["wlasl/frame_indices"].tolist() == [0, 1, 2, 3, 4]
        assert expected == {}


@pytest.mark.filterwarnings("ignore")
def test_tfds_reads_landmarks(tfds, tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards", {"train": 2}, landmarks=True)
    builder = tfds.builder_from_directory(str(directory))
    (clip,) = builder.as_dataset(split="train[1:]").as_numpy_iterator()
    number = int(clip["clip/media_id"][-5:])
    x = clip["right_hand/region/point/x"]
    np.testing.assert_array_equal(x, drawn_landmarks(number, 5)[:, 21:42, 0])


@pytest.mark.filterwarnings("ignore")
def test_tfds_slices_and_shuffles_a_raw_folder(tfds, tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards", NUM_CLIPS)
    builder = tfds.builder_from_directory(str(directory))
    half = builder.as_dataset(split="train[:4]", shuffle_files=True)
    assert len({clip["example/id"] for clip in half.as_numpy_iterator()}) == 4


@pytest.mark.filterwarnings("ignore")
def test_tfds_reads_clips_of_one_frame(tfds, tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards", {"train": 2}, num_frames=1)
    builder = tfds.builder_from_directory(str(directory))
    for clip in builder.as_dataset(split="train").as_numpy_iterator():
        shapes = {key: np.shape(value) for key, value in clip.items()}
        assert shapes.pop("clip/frames") == (1, 16, 24, 3)
        # As docs/shard-format.md says: these keep their axis.
        lists = {key for key, shape in shapes.items() if shape == (1,)}
        assert lists == {"image/timestamp", "wlasl/frame_indices"}
        assert set(shapes.values()) == {(), (1,)}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("codec", ["jpeg", "png"])
def test_tfds_says_of_other_codecs_what_the_page_quotes(
    tfds, tmp_path, write_folder, codec
):
    directory = write_folder(tmp_path / "shards", NUM_CLIPS, codec=codec)
    with pytest.raises(
        ValueError, match=r"^Cannot restore wlasl/1\.0\.0\. It"
    ) as caught:
        tfds.builder_from_directory(str(directory))
    page = (CHECKOUT / "docs" / "other-frameworks.md").read_text(encoding="utf-8")
    assert str(caught.value).rstrip(".") in page


# The document


@pytest.mark.parametrize("codec", ["jpeg", "png"])
def test_the_parser_of_the_document_decodes_our_pixels(
    tmp_path, write_folder, codec, monkeypatch
):
    directory = write_folder(tmp_path / "shards", NUM_CLIPS, codec=codec)
    shown = example("11. Reading it without us", "docs/shard-format.md", "parse(")
    names, _ = run_here(shown, tmp_path)
    monkeypatch.chdir(tmp_path)
    reader = ShardReader(directory)
    expected = [(clip["label"], clip["frames"].tobytes()) for clip in reader]
    clips = names["clips"].as_numpy_iterator()
    assert sorted((label, frames.tobytes()) for frames, label in clips) == sorted(
        expected
    )


# The readers of MediaSequence


def records_of(directory, split="train"):
    folder = load_folder(directory)
    paths = [folder.shard_path(shard) for shard in folder.split_shards(split)]
    return tf.data.TFRecordDataset(paths)


def close(frames, expected, codec):
    """PNG is exact; JPEG at the fixture's quality is near."""
    difference = np.abs(frames.astype(int) - expected)
    return (difference == 0).all() if codec == "png" else difference.mean() < 4


@pytest.fixture(params=["jpeg", "png"])
def folder(request, tmp_path, write_folder):
    return write_folder(tmp_path / "shards", NUM_CLIPS, codec=request.param), (
        request.param
    )


def test_dmvr_and_scenic_read_a_folder(folder):
    directory, codec = folder
    expected = labels_of(directory)

    def parse(serialized):
        context, lists = tf.io.parse_single_sequence_example(
            serialized,
            {
                "clip/label/index": tf.io.VarLenFeature(tf.int64),
                "clip/label/text": tf.io.VarLenFeature(tf.string),
                # Of the test below alone.
                "example/id": tf.io.FixedLenFeature((), tf.string),
            },
            {"image/encoded": tf.io.FixedLenSequenceFeature((), tf.string)},
        )
        # DMVR decodes each frame by decode_jpeg, whatever it is, and densifies labels.
        frames = tf.map_fn(
            lambda image: tf.image.decode_jpeg(image, channels=3),
            lists["image/encoded"],
            fn_output_signature=tf.uint8,
        )
        return {
            "image": frames,
            "label": tf.sparse.to_dense(context["clip/label/index"]),
            "label_name": tf.sparse.to_dense(context["clip/label/text"]),
            "id": context["example/id"],
        }

    glosses = load_folder(directory).glosses
    for clip in records_of(directory).map(parse).as_numpy_iterator():
        video_id = clip["id"].decode()
        assert clip["image"].shape == (5, 16, 24, 3)
        assert close(clip["image"], frames_of(directory, video_id), codec)
        label = expected.pop(video_id)
        assert clip["label"].tolist() == [label]
        assert clip["label_name"].tolist() == [glosses[label].encode()]
    assert expected == {}


def test_media_sequence_reads_a_folder(folder):
    directory, codec = folder
    single = {
        "example/id": tf.string,
        "example/dataset_name": tf.string,
        "clip/media_id": tf.string,
        "clip/start/timestamp": tf.int64,
        "clip/end/timestamp": tf.int64,
        "image/format": tf.string,
        "image/channels": tf.int64,
        "image/colorspace": tf.string,
        "image/height": tf.int64,
        "image/width": tf.int64,
        "image/frame_rate": tf.float32,
    }
    for serialized in records_of(directory):
        context, lists = tf.io.parse_single_sequence_example(
            serialized,
            {key: tf.io.FixedLenFeature((), dtype) for key, dtype in single.items()}
            | {
                "clip/label/index": tf.io.VarLenFeature(tf.int64),
                "clip/label/string": tf.io.VarLenFeature(tf.string),
            },
            {
                "image/encoded": tf.io.FixedLenSequenceFeature((), tf.string),
                "image/timestamp": tf.io.FixedLenSequenceFeature((), tf.int64),
            },
        )
        assert context["image/format"] == codec.upper()
        assert context["image/colorspace"] == "RGB"
        assert (context["image/height"], context["image/width"]) == (16, 24)
        times = lists["image/timestamp"].numpy()
        assert len(times) == len(lists["image/encoded"]) == 5
        assert (np.diff(times) > 0).all()
        assert context["clip/start/timestamp"] <= times[0]
        assert times[-1] < context["clip/end/timestamp"]
        # The rate of the stored frames.
        rate = 1e6 * 4 / (times[-1] - times[0])
        assert float(context["image/frame_rate"]) == pytest.approx(rate)


def test_a_folder_of_sequence_examples_promises_nothing_to_tfds(folder):
    directory, _ = folder
    assert not (directory / "features.json").exists()
    info = json.loads((directory / "dataset_info.json").read_text())
    assert [split["name"] for split in info["splits"]] == ["train", "val"]

import numpy as np
import pytest

from wlasl_tfrecord.errors import ShardFolderError
from wlasl_tfrecord.inference.export_clips import (
    SplitComparison,
    calibration_clips,
    compare_on_noise,
    compare_on_split,
)
from wlasl_tfrecord.inference.trained_model import load_model, probabilities
from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
from wlasl_tfrecord.shard_format.shard_folder import load_folder


@pytest.fixture(scope="module")
def model(trained_run):
    return load_model(trained_run)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_folder, model):
    path = write_folder(
        tmp_path_factory.mktemp("data") / "shards",
        {"train": 70, "val": 9},
        num_frames=4,
        height=32,
        width=32,
        glosses=model.info.glosses,
    )
    return load_folder(path)


def test_calibration_takes_a_sample_of_the_training_clips(folder):
    clips = list(calibration_clips(folder, ("frames",)))
    assert len(clips) == 64
    assert clips[0].keys() == {"frames"}
    reader = ShardReader(folder, "train")
    np.testing.assert_array_equal(clips[0]["frames"][0], reader[0]["frames"])
    np.testing.assert_array_equal(clips[-1]["frames"][0], reader[69]["frames"])


def test_calibration_needs_training_clips(tmp_path, write_folder):
    folder = load_folder(write_folder(tmp_path / "shards", {"val": 3}))
    with pytest.raises(ShardFolderError, match="no 'train'"):
        list(calibration_clips(folder, ("frames",)))


def test_a_comparison_counts_every_clip_of_a_split(model, folder):
    # An export that is never right: it finds the gloss after the true one.
    reader = ShardReader(folder, "val")
    number = {reader[n]["frames"].tobytes(): n for n in range(9)}

    def run(clips):
        labels = [reader.records.labels[number[clip.tobytes()]] for clip in clips]
        return np.eye(5, dtype=np.float32)[(np.array(labels) + 1) % 5]

    found = compare_on_split(model, run, folder, "val")
    shares = probabilities(model, reader.read_batch(range(9)))
    first = shares.argmax(1)
    assert found.num_clips == 9
    assert found.export_correct == 0
    assert found.model_correct == (first == reader.records.labels).sum()
    assert found.same_first == (first == (reader.records.labels + 1) % 5).sum()
    wrong = np.eye(5)[(reader.records.labels + 1) % 5]
    assert found.max_difference == pytest.approx(np.abs(wrong - shares).max(), rel=1e-3)


def test_a_comparison_is_one_line():
    comparison = SplitComparison(
        split="val",
        num_clips=84,
        model_correct=51,
        export_correct=50,
        same_first=80,
        max_difference=0.034,
    )
    assert str(comparison) == (
        "val, 84 clips: top-1 59.5%, the model 60.7%; the same first gloss for 80 "
        "clips, probabilities differ by at most 0.03"
    )


def test_noise_tells_a_model_from_another(model):
    same = compare_on_noise(model, lambda clips: probabilities(model, clips))
    assert same == (0.0, 2)
    uniform = compare_on_noise(model, lambda clips: np.full((len(clips), 5), 0.2))
    assert uniform[0] > 0.1

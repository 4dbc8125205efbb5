"""The whole way of landmarks: shards, training, evaluation, exports.

The landmarks are those of drawn signers. The frames beside them show nothing, so that a
model that recognises the signs has read the landmarks.
"""

import csv
import dataclasses
import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from checkout import CHECKOUT
from drawn_landmarks import GLOSSES, write_signs
from drawn_shards import write_folder

from wlasl_tfrecord.errors import OutputError, RecipeError, TrainingError
from wlasl_tfrecord.evaluation.evaluation import evaluate
from wlasl_tfrecord.inference import export, trained_model
from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
from wlasl_tfrecord.landmarks.network_files import NETWORK_FILES
from wlasl_tfrecord.network import model_info
from wlasl_tfrecord.network.recipes import training_defaults
from wlasl_tfrecord.serving.web_export import export_web
from wlasl_tfrecord.training.config import TrainConfig
from wlasl_tfrecord.training.trainer import train

OPTIONS = {"width": 48, "num_blocks": 1, "lstm_units": 24, "dropout": 0.2}


def config(**changes):
    defaults = {
        "recipe": "landmarks_lstm",
        "recipe_options": OPTIONS,
        **training_defaults("landmarks_lstm"),
        "batch_size": 16,
        "weight_average": 0.9,
    }
    return TrainConfig(**{**defaults, **changes})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_signs(
        tmp_path_factory.mktemp("data") / "shards", {"train": 64, "val": 24}
    )


@pytest.fixture(scope="module")
def run_dir(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    train(data, out, config(epochs=30))
    return out


@pytest.fixture(scope="module")
def model(run_dir):
    return trained_model.load_model(run_dir)


@pytest.fixture(scope="module")
def clips(data):
    return ShardReader(data, "val").read_landmarks(range(8))


def test_signs_of_unseen_signers_are_recognised_from_landmarks_alone(data, run_dir):
    report = evaluate(data, run_dir)
    assert report.top(1) >= 0.8
    scores = report.scores
    # The same poses in opposite order.
    pair = np.isin(scores.labels, [GLOSSES.index(one) for one in ("rise", "fall")])
    assert pair.sum() == 6
    assert (scores.predictions[pair] == scores.labels[pair]).all()


def test_the_saved_model_is_of_plain_keras(run_dir, clips, model):
    plain = keras.models.load_model(run_dir / "model.keras", compile=False)
    np.testing.assert_allclose(
        plain.predict_on_batch(clips),
        trained_model.probabilities(model, clips),
        atol=1e-5,
    )


def test_the_model_says_that_it_takes_landmarks_and_whose(run_dir):
    described = json.loads((run_dir / "model.json").read_text())
    assert described["inputs"] == ["landmarks"]
    assert described["format_version"] == 2
    assert described["landmarks"]["source"] == "mediapipe 0.10.21"
    assert described["landmarks"]["networks"] == {
        name: file.sha256 for name, file in NETWORK_FILES.items()
    }
    assert described["landmarks"]["groups"]["left_hand"] == 21
    assert model_info.read_model_info(run_dir).takes_landmarks


@pytest.mark.parametrize("export_format", ["saved_model", "tflite", "keras"])
def test_an_export_takes_landmarks_and_agrees(model, data, tmp_path, export_format):
    report = export.export_model(model, tmp_path, export_format, data=data, split="val")
    assert report.max_difference is not None
    assert report.max_difference < 1e-4
    assert report.comparison is not None
    assert report.comparison.same_first == 24
    assert json.loads((tmp_path / "model.json").read_text())["inputs"] == ["landmarks"]


def test_an_onnx_export_agrees(model, tmp_path):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    report = export.export_model(model, tmp_path, "onnx")
    assert report.max_difference is not None
    assert report.max_difference < 1e-4


@pytest.mark.parametrize(
    ("quantization", "tolerance"), [("float16", 0.02), ("int8", 1)]
)
def test_a_smaller_export_gives_numbers_where_nothing_was_found(
    model, data, tmp_path, quantization, tolerance
):
    report = export.export_model(
        model, tmp_path, "tflite", quantization=quantization, data=data
    )
    assert report.comparison is not None
    assert report.comparison.same_first >= 12
    clip = np.zeros((1, *model.network.input_shape[1:]), np.float32)
    found = export.load_exported(report.path)(clip)
    wanted = trained_model.probabilities(model, clip)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, wanted, atol=tolerance)


def test_the_page_without_a_server_cannot_find_landmarks(model, tmp_path):
    with pytest.raises(OutputError, match="landmarks, which the page in a browser"):
        export_web(model, tmp_path)


def test_h5_refuses_operations_in_one_line(model, tmp_path):
    with pytest.raises(RecipeError, match="cannot be written as h5"):
        export.export_model(model, tmp_path, "h5")


def test_a_folder_without_landmarks_is_refused(run_dir, tmp_path):
    folder = write_folder(
        tmp_path / "shards",
        {"train": 16, "val": 4},
        num_frames=12,
        height=32,
        width=32,
        glosses=GLOSSES,
        codec="jpeg",
    )
    with pytest.raises(RecipeError, match=r"takes landmarks, and .* has none; shard"):
        train(folder, tmp_path / "run", config(epochs=1))
    assert not (tmp_path / "run" / "config.json").exists()
    with pytest.raises(TrainingError, match=r"takes landmarks, and .* has none; shard"):
        evaluate(folder, run_dir)


def test_an_interrupted_training_ends_with_the_same_weights(data, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = config(epochs=2, deterministic=True)
    train(data, whole, options)

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1 and not logs:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, broken, options, checkpoint_minutes=0.0, callbacks=[Stop()])
    train(data, broken, options)
    first, second = (
        keras.models.load_model(one / "model.keras", compile=False).get_weights()
        for one in (whole, broken)
    )
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_command_takes_the_options_of_the_recipe(data, tmp_path):
    out = tmp_path / "run"
    command = [
        sys.executable, "bin/train", "--data", str(data), "--out", str(out),
        "--model", "landmarks_lstm", "--epochs", "1", "--option", "width=16",
        "--option", "num_blocks=1", "--option", "lstm_units=8",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, cwd=CHECKOUT)
    stored = json.loads((out / "config.json").read_text())["training"]
    wanted = {**training_defaults("landmarks_lstm"), "epochs": 1}
    assert {name: stored[name] for name in wanted} == wanted


def test_frames_and_landmarks_go_into_one_network(data, tmp_path):
    out = tmp_path / "both"
    options = {"alpha": 0.35, "landmarks_width": 16, "num_blocks": 1, "lstm_units": 8}
    chosen = dataclasses.replace(
        config(epochs=1),
        recipe="mobilenetv2_landmarks_lstm",
        recipe_options=options,
        weights="none",
        accumulate=2,
    )
    train(data, out, chosen)
    assert len(evaluate(data, out).scores.labels) == 24
    model = trained_model.load_model(out)
    assert model.info.inputs == ("frames", "landmarks")
    shutil.rmtree(out / "checkpoints")
    for export_format in ("saved_model", "tflite"):
        report = export.export_model(model, tmp_path / export_format, export_format)
        assert report.max_difference is not None
        assert report.max_difference < 1e-3


def test_the_history_shows_that_it_learned(run_dir):
    with open(run_dir / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])

import dataclasses
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from wlasl_tfrecord.errors import OutputError, RecipeError, TrainingError
from wlasl_tfrecord.inference import export, trained_model
from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
from wlasl_tfrecord.video.decode import decode_clip

GLOSSES = ("book", "drink", "computer", "before", "chair")

# Form, quantisation, how far a probability may be from the model's.
EXPORTS: list[tuple[Any, Any, float]] = [
    ("keras", "none", 1e-4),
    # TimeDistributed computes each frame by itself, and so in another order.
    ("h5", "none", 1e-4),
    ("saved_model", "none", 1e-4),
    ("tflite", "none", 1e-4),
    ("tflite", "float16", 0.02),
    # Weights that nobody trained, and amplified, show what 8 bits cost at its worst.
    ("tflite", "dynamic", 0.35),
    # Calibrated on clips that look otherwise; real ones are compared in the guide.
    ("tflite", "int8", 0.75),
    ("onnx", "none", 1e-4),
]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory, write_run):
    """A run as a GPU would leave it: trained in 16 bits."""
    return write_run(tmp_path_factory.mktemp("runs") / "run", policy="mixed_float16")


@pytest.fixture(scope="module")
def model(run_dir):
    return trained_model.load_model(run_dir)


@pytest.fixture(scope="module")
def clips(model, tmp_path_factory, numbered_video):
    """Two decoded clips, uint8 [2, T, H, W, 3]."""
    directory = tmp_path_factory.mktemp("videos")
    decoded = []
    for index in range(2):
        path = numbered_video(directory / f"{index}.mp4", first_number=2047 * index)
        decoded.append(decode_clip(path, clip=model.info.clip, framing="center")[0])
    return np.stack(decoded)


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_folder):
    """A shard folder with clips for that model."""
    return write_folder(
        tmp_path_factory.mktemp("data") / "shards",
        {"train": 10, "val": 5},
        num_frames=4,
        height=32,
        width=32,
        glosses=GLOSSES,
    )


@pytest.fixture(scope="module")
def reports(model, data, tmp_path_factory):
    """Every export, by form and quantisation."""
    made = {}
    for export_format, quantization, _ in EXPORTS:
        out_dir = tmp_path_factory.mktemp(f"{export_format}-{quantization}")
        if export_format == "saved_model":
            # What an earlier export left there is to be replaced.
            (out_dir / "saved_model").mkdir()
            for name in ("saved_model.pb", "stale"):
                (out_dir / "saved_model" / name).write_text("")
        made[export_format, quantization] = export.export_model(
            model, out_dir, export_format, quantization=quantization, data=data
        )
    return made


@pytest.mark.parametrize(("export_format", "quantization", "tolerance"), EXPORTS)
def test_an_export_answers_like_the_model(
    model, clips, reports, export_format, quantization, tolerance
):
    report = reports[export_format, quantization]
    expected = trained_model.probabilities(model, clips)
    # The clips are told apart, so a model that always says the same would fail.
    assert np.abs(expected[0] - expected[1]).max() > 0.5
    answers = export.load_exported(report.path)(clips)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, expected, atol=tolerance)
    # On noise, as the command reports it, an untrained network strays further.
    assert report.max_difference <= 2 * tolerance


def test_an_export_leaves_its_glosses_beside_it_and_nothing_else(reports):
    for report in reports.values():
        info = json.loads((report.path.parent / "model.json").read_text())
        assert info["glosses"] == list(GLOSSES)
        assert info["clip"] == {"num_frames": 4, "height": 32, "width": 32}
        left = {path.name for path in report.path.parent.iterdir()}
        assert left == {report.path.name, "model.json"}


def test_an_export_replaces_an_earlier_one(reports):
    path = reports["saved_model", "none"].path
    assert (path / "saved_model.pb").exists()
    assert not (path / "stale").exists()


def test_an_export_without_numbers_is_refused(model, tmp_path, monkeypatch):
    broken = np.full((2, len(GLOSSES)), np.nan, np.float32)
    monkeypatch.setattr(export, "load_exported", lambda _: lambda _: broken)
    with pytest.raises(
        OutputError, match=r"model\.tflite would give probabilities that"
    ):
        export.export_model(model, tmp_path, "tflite")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_a_format_cannot_hold_is_one_line(model, tmp_path):
    clip = model.info.clip
    frames = keras.Input(clip.shape, dtype="uint8", name="frames")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(frames))
    # TFLite has no such operation.
    x = keras.ops.erfinv(keras.ops.clip(x, -0.9, 0.9))
    x = keras.layers.Dense(len(GLOSSES), activation="softmax")(x)
    other = dataclasses.replace(model, network=keras.Model(frames, x))
    with pytest.raises(OutputError, match=r"model\.tflite cannot hold the network of "):
        export.export_model(other, tmp_path, "tflite")
    assert list(tmp_path.iterdir()) == []


def test_quantisation_makes_the_file_smaller(reports):
    plain = reports["tflite", "none"].num_bytes
    assert reports["tflite", "float16"].num_bytes < 0.6 * plain
    assert reports["tflite", "dynamic"].num_bytes < 0.4 * plain
    assert reports["tflite", "int8"].num_bytes < 0.5 * plain


def test_an_export_is_compared_with_its_model_on_a_split(model, data, reports):
    labels = np.arange(5) % len(GLOSSES)
    clips = ShardReader(data, "val").read_batch(range(5))
    first = trained_model.probabilities(model, clips).argmax(1)
    for (export_format, quantization), report in reports.items():
        found = report.comparison
        assert (found.split, found.num_clips) == ("val", 5)
        assert found.model_correct == (first == labels).sum()
        if quantization == "none":
            assert found.same_first == 5, export_format
            assert found.export_correct == found.model_correct


def test_int8_without_clips_to_calibrate_on_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match="calibrated on training clips; name a shard"):
        export.export_model(model, tmp_path, "tflite", quantization="int8")


def test_shards_of_other_glosses_are_refused(model, tmp_path, write_folder):
    other = write_folder(
        tmp_path / "other", num_frames=4, height=32, width=32, glosses=GLOSSES[::-1]
    )
    with pytest.raises(TrainingError, match=r"the glosses of the model in .* differ"):
        export.export_model(model, tmp_path / "out", "keras", data=other)
    assert not (tmp_path / "out").exists()


def test_a_saved_model_serves_without_this_library(model, clips, reports, tmp_path):
    report = reports["saved_model", "none"]
    np.save(tmp_path / "clips.npy", clips)
    code = (
        "import sys, numpy as np, tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "serve = model.signatures['serving_default']\n"
        "spec = serve.structured_input_signature[1]['frames']\n"
        "assert spec.dtype == tf.uint8 and spec.shape[0] is None, spec\n"
        "out = serve(frames=tf.constant(np.load(sys.argv[2])))['probabilities']\n"
        "np.save(sys.argv[3], out.numpy())\n"
        "assert 'wlasl_tfrecord' not in sys.modules\n"
    )
    files = [str(tmp_path / name) for name in ("clips.npy", "out.npy")]
    subprocess.run(
        [sys.executable, "-c", code, str(report.path), *files],
        check=True,
        cwd=tmp_path,
        capture_output=True,
    )
    expected = trained_model.probabilities(model, clips)
    np.testing.assert_allclose(np.load(files[1]), expected, atol=1e-4)


@pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_litert") is None,
    reason="ai-edge-litert is not installed",
)
def test_a_tflite_file_runs_in_litert(model, clips, reports):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(reports["tflite", "none"].path))
    run = interpreter.get_signature_runner()
    answer = run(frames=clips[:1])["probabilities"]
    np.testing.assert_allclose(
        answer, trained_model.probabilities(model, clips[:1]), atol=1e-3
    )


def test_only_tflite_can_be_quantised(model, tmp_path):
    with pytest.raises(ValueError, match="only tflite can be quantised, got 'keras'"):
        export.export_model(model, tmp_path, "keras", quantization="float16")


def test_an_export_is_not_written_through_a_link(model, tmp_path):
    theirs, out = tmp_path / "theirs", tmp_path / "out"
    theirs.mkdir()
    out.mkdir()
    names = ("model.keras", "model.json")
    for name in names:
        (theirs / name).write_text("kept")
        (out / name).symlink_to(theirs / name)
    export.export_model(model, out, "keras")
    assert {(theirs / name).read_text() for name in names} == {"kept"}
    assert not any((out / name).is_symlink() for name in names)


def test_a_place_that_cannot_be_written_is_one_line(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        OutputError, match=r"cannot write .*; free some space, or choose"
    ):
        export.export_model(model, tmp_path / "file", "keras")


def test_a_recipe_that_h5_cannot_hold_is_refused(model, tmp_path):
    nameless = trained_model.TrainedModel(
        network=model.network,
        info=dataclasses.replace(model.info, recipe={}),
        path=Path("mine/model.keras"),
    )
    with pytest.raises(
        RecipeError, match=r"cannot be written as h5, .*; use the .keras file"
    ):
        export.export_model(nameless, tmp_path, "h5")
    assert list(tmp_path.iterdir()) == []

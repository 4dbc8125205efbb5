"""Training on small shard folders, with a small recipe that is written here."""

import contextlib
import fcntl
import hashlib
import json
import os
import pty
import re
import shutil
import signal
import struct
import sys
import termios
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import largest_file

from wlasl_tfrecord import run_config
from wlasl_tfrecord.errors import RecipeError, RecordError, TrainingError
from wlasl_tfrecord.index import load_folder
from wlasl_tfrecord.train_config import TrainConfig

# Keras 3.15 converts variables by a protocol that NumPy 2.4 deprecates.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn.t accept a copy keyword:DeprecationWarning"
)

# Small enough to be traced in a second, with all parts that a real one has: a backbone
# with blocks and BatchNorm, features, dropout, an LSTM, logits.
RECIPE = """
import keras

def build_model(
    clip, num_classes, *, weights="imagenet", dropout=0.0, units=8, fold_time=True
):
    inputs = keras.Input(clip.shape[1:])
    x = inputs
    for index in range(2):
        x = keras.layers.Conv2D(4, 3, 2, name=f"conv{index}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{index}", momentum=0.9)(x)
        x = keras.layers.Activation("relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    backbone = keras.Model(inputs, x, name="backbone")
    if weights != "none":
        for layer in backbone.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
    frames = keras.Input(clip.shape, dtype="uint8", name="frames")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(frames)
    if fold_time:
        x = backbone(keras.ops.reshape(x, (-1, *clip.shape[1:])))
        x = keras.ops.reshape(x, (-1, clip.num_frames, 4))
    else:
        x = keras.layers.TimeDistributed(backbone)(x)
    x = keras.layers.Identity(name="features")(x)
    x = keras.layers.LSTM(units)(x)
    x = keras.layers.Dropout(dropout)(x)
    x = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    x = keras.layers.Softmax(dtype="float32")(x)
    return keras.Model(frames, x)

def backbone_blocks(model):
    backbone = model.get_layer("backbone")
    return [
        [backbone.get_layer(f"conv{i}"), backbone.get_layer(f"norm{i}")]
        for i in range(2)
    ]
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "tiny.py"
    path.write_text(RECIPE)
    return str(path)


@pytest.fixture(scope="module")
def shards(write_folder, tmp_path_factory):
    return write_folder(
        tmp_path_factory.mktemp("data") / "shards",
        {"train": 14, "val": 7},
        num_frames=3,
        height=16,
        width=16,
    )


def config(recipe, **changes):
    values = {
        "recipe": recipe,
        "weights": "somewhere",
        "epochs": 3,
        "batch_size": 4,
        "learning_rate": 0.01,
        "precision": "float32",
        "feature_views": 2,
    }
    return TrainConfig(**(values | changes))


def final_weights(run_dir):
    import keras

    model = keras.models.load_model(run_dir / "model.keras", compile=False)
    return [np.array(weight) for weight in model.weights]


def run(shards, out, configuration, **options):
    from wlasl_tfrecord import training

    lines = []
    report = training.train(shards, out, configuration, say=lines.append, **options)
    return report, lines


def read_events(directory):
    """Reads what TensorBoard would: (step, value) of all event files."""
    import tensorflow as tf

    found = []
    for path in sorted(directory.iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            found += [(event.step, value) for value in event.summary.value]
    return found


def test_a_run_folder_describes_itself(shards, recipe, tmp_path):
    import keras

    from wlasl_tfrecord import history, runs

    report, lines = run(shards, tmp_path / "run", config(recipe), save_h5=True)
    folder = tmp_path / "run"
    assert report.num_epochs == 3
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "checkpoints",
        "config.json",
        "features",
        "history.csv",
        "history.png",
        "model.h5",
        "model.json",
        "model.keras",
        "tensorboard",
    }
    assert not [name for name in names if name.startswith(".")]
    from_keras, from_h5 = (
        keras.models.load_model(folder / f"model.{suffix}", compile=False)
        for suffix in ("keras", "h5")
    )
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 16, 3), np.uint8)
    np.testing.assert_allclose(
        from_keras.predict(frames, verbose=0),
        from_h5.predict(frames, verbose=0),
        atol=1e-6,
    )
    info = runs.read_model_info(folder)
    assert info.glosses == ("book", "drink", "computer")
    assert info.clip.shape == (3, 16, 16, 3)
    assert info.recipe["name"] == "tiny"
    stored = json.loads((folder / "config.json").read_text())
    assert stored["training"]["batch_size"] == 4
    assert {"tensorflow", "keras"} <= set(stored["versions"])
    assert stored["data"] == str(shards)
    assert stored["index_sha256"] == dict(load_folder(shards).index_sha256)
    assert stored["command_line"] == sys.argv
    assert stored["git_revision"] == run_config._git_revision(Path(run_config.__file__))
    digest = hashlib.sha256(Path(recipe).read_bytes()).hexdigest()
    assert stored["recipe_sha256"] == digest
    rows = history.read_history(folder)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert {row["phase"] for row in rows} == {"head"}
    assert all(row["val_top5"] == 1 for row in rows)  # there are only three glosses
    assert (folder / "history.png").read_bytes().startswith(b"\x89PNG")
    assert any("head 3/3" in line for line in lines)
    assert any("features train-1: 14 clips" in line for line in lines)
    events = read_events(folder / "tensorboard")
    for tag in ("loss", "val_top1", "learning_rate", "input_wait"):
        points = [(step, e.simple_value) for step, e in events if e.tag == tag]
        assert points == [(n, pytest.approx(row[tag])) for n, row in enumerate(rows, 1)]
    images = [one.image for _, one in events if one.tag == "confusion"]
    assert len(images) == sum(" * |" in line for line in lines) >= 1
    picture = cv2.imdecode(
        np.frombuffer(images[0].encoded_image_string, np.uint8), cv2.IMREAD_COLOR
    )
    assert picture.shape[0] > 200
    assert picture.shape[1] > 200


def test_without_augmentation_the_cache_changes_nothing(shards, recipe, tmp_path):
    plain = config(recipe, augment=False, epochs=4)
    cached, _ = run(shards, tmp_path / "cached", plain)
    uncached, _ = run(
        shards,
        tmp_path / "not",
        config(recipe, augment=False, epochs=4, feature_cache=False),
    )
    assert not (tmp_path / "not" / "features").exists()
    for key in ("loss", "val_loss", "top1", "val_top1"):
        assert cached.best[key] == pytest.approx(uncached.best[key], rel=1e-5)
    both = zip(final_weights(tmp_path / "cached"), final_weights(tmp_path / "not"))
    for one, other in both:
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_first_views_are_the_first_epochs_of_an_augmented_training(
    shards, recipe, tmp_path
):
    cached, _ = run(shards, tmp_path / "cached", config(recipe, feature_views=3))
    uncached, _ = run(shards, tmp_path / "not", config(recipe, feature_cache=False))
    assert cached.best["loss"] == pytest.approx(uncached.best["loss"], rel=1e-4)
    still, _ = run(shards, tmp_path / "still", config(recipe, augment=False))
    assert cached.best["loss"] != pytest.approx(still.best["loss"], rel=1e-4)


def test_the_second_phase_trains_the_last_blocks_but_no_batch_norm(
    shards, recipe, tmp_path
):
    import keras

    from wlasl_tfrecord import recipes
    from wlasl_tfrecord.clips import ClipSpec

    options = {"fine_tune_epochs": 2, "fine_tune_blocks": 1, "epochs": 1}
    run(shards, tmp_path, config(recipe, patience=9, **options))
    keras.utils.set_random_seed(0)
    fresh = recipes.load_recipe(recipe).build(
        ClipSpec(num_frames=3, height=16, width=16), 3, {"weights": "somewhere"}
    )
    trained = keras.models.load_model(tmp_path / "model.keras", compile=False)
    history = (tmp_path / "history.csv").read_text()
    assert history.count("\nhead,") == 1
    assert history.count("\nfine-tune,") == 2
    before = {w.path: np.asarray(w.value) for w in fresh.get_layer("backbone").weights}
    changed = {
        weight.path
        for weight in trained.get_layer("backbone").weights
        if not np.array_equal(before[weight.path], weight.value)
    }
    assert changed <= {"conv1/kernel", "conv1/bias"}


@pytest.mark.parametrize("weights", ["somewhere", "none"])
def test_rematerialisation_ends_with_the_same_weights(
    shards, recipe, tmp_path, weights
):
    options = {"weights": weights, "epochs": 2, "fine_tune_epochs": 2}
    for remat in (False, True):
        out = tmp_path / str(remat)
        run(shards, out, config(recipe, remat=remat, fine_tune_blocks=2, **options))
    plain, again = (final_weights(tmp_path / str(remat)) for remat in (False, True))
    for one, other in zip(plain, again, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"fine_tune_epochs": 1}, {"weights": "none", "remat": True}]
)
def test_a_recipe_without_blocks_is_named(shards, tmp_path, options):
    whole = tmp_path / "whole.py"
    whole.write_text(RECIPE.replace("def backbone_blocks", "def _blocks"))
    with pytest.raises(
        TrainingError, match=r"whole.py has no function backbone_blocks, .* --remat and"
    ):
        run(shards, tmp_path / "run", config(str(whole), epochs=1, **options))


def test_from_scratch_everything_is_trained_in_one_phase(shards, recipe, tmp_path):
    report, lines = run(shards, tmp_path, config(recipe, weights="none"))
    assert report.best["phase"] == "all"
    assert any("whole network is trained" in line for line in lines)
    assert not (tmp_path / "features").exists()


def test_no_better_validation_ends_the_phase(shards, recipe, tmp_path):
    still = config(recipe, learning_rate=1e-12, patience=2, epochs=9)
    report, lines = run(shards, tmp_path, still)
    assert report.num_epochs == 3
    assert lines[-1] == "no better validation for 2 epochs: phase ended early"


def test_a_plateau_halves_the_rate(shards, recipe, tmp_path):
    from wlasl_tfrecord import history

    options = {"schedule": "plateau", "plateau_patience": 1, "patience": 9}
    slow = config(recipe, learning_rate=1e-12, epochs=4, **options)
    run(shards, tmp_path, slow)
    rates = [row["learning_rate"] for row in history.read_history(tmp_path)]
    # So slow that nothing changes: each epoch but the first is a plateau.
    assert [rate * 1e12 for rate in rates] == pytest.approx([1, 1, 0.5, 0.25])


def test_callbacks_of_keras_are_told_and_may_stop(shards, recipe, tmp_path):
    import keras

    told = []

    class Listener(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002
            told.append(batch)

        def on_epoch_end(self, epoch, logs=None):
            told.append((epoch, sorted(logs or ())[:2]))
            self.model.stop_training = True

    report, _ = run(shards, tmp_path, config(recipe), callbacks=[Listener()])
    assert told == [0, 1, 2, (0, ["clips_per_second", "input_wait"])]
    assert report.num_epochs == 1


def test_a_loss_that_is_no_number_names_the_clips(shards, recipe, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text(
        RECIPE.replace(
            "x = keras.layers.Dropout(dropout)(x)", "x = keras.ops.log(x - 9.0)"
        )
    )
    with pytest.raises(
        TrainingError,
        match=r"the loss is not a number at step 1 of .* of the clips train000.*"
        r"train again with a lower --learning-rate and another --out; "
        r".*step-000000000\.npz is the last good checkpoint$",
    ):
        run(shards, tmp_path / "run", config(str(broken)))


def test_other_options_do_not_go_on_with_a_run(shards, recipe, tmp_path):
    run(shards, tmp_path, config(recipe, epochs=1))
    with pytest.raises(TrainingError, match=r"other options \(learning_rate 0.01, not"):
        run(shards, tmp_path, config(recipe, epochs=1, learning_rate=0.1))


def test_a_start_that_failed_keeps_the_folder_for_other_options(
    shards, recipe, tmp_path
):
    # As for want of a network to download the weights.
    with pytest.raises(RecipeError, match="too small for MobileNetV2"):
        run(shards, tmp_path / "run", config("mobilenetv2_lstm"))
    report, _ = run(shards, tmp_path / "run", config(recipe, epochs=1))
    assert report.num_epochs == 1


@pytest.mark.parametrize(
    ("before", "after"), [("units=8", "units=9"), ("momentum=0.9", "momentum=0.8")]
)
def test_an_edited_recipe_does_not_go_on(shards, tmp_path, before, after):
    mine = tmp_path / "mine.py"
    mine.write_text(RECIPE)
    run(shards, tmp_path / "run", config(str(mine), epochs=1))
    mine.write_text(RECIPE.replace(before, after))
    with pytest.raises(
        TrainingError, match=r"mine.py has changed since .*run was started with it; put"
    ):
        run(shards, tmp_path / "run", config(str(mine), epochs=1))
    mine.write_text(RECIPE)
    _, lines = run(shards, tmp_path / "run", config(str(mine), epochs=1))
    assert any("going on from step 3" in line for line in lines)


def test_a_finished_run_is_not_trained_again(shards, recipe, tmp_path):
    first, _ = run(shards, tmp_path, config(recipe, epochs=2))
    before = final_weights(tmp_path)
    second, _ = run(shards, tmp_path, config(recipe, epochs=2))
    assert second == first
    for one, other in zip(before, final_weights(tmp_path)):
        np.testing.assert_array_equal(one, other)


def test_a_model_that_is_gone_is_written_again(shards, recipe, tmp_path):
    run(shards, tmp_path, config(recipe, epochs=2))
    before = final_weights(tmp_path)
    (tmp_path / "model.keras").unlink()
    (tmp_path / "model.json").unlink()
    run(shards, tmp_path, config(recipe, epochs=2), save_h5=True)
    for one, other in zip(before, final_weights(tmp_path)):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "model.h5").is_file()
    assert (tmp_path / "model.json").is_file()


def test_damaged_features_are_computed_again_and_leftovers_go(shards, recipe, tmp_path):
    from wlasl_tfrecord import feature_files

    run(shards, tmp_path, config(recipe, epochs=1))
    first, second = sorted((tmp_path / "features").glob("train-*.npy"))
    whole = first.read_bytes()
    first.write_bytes(whole[:300])
    before = second.stat().st_mtime_ns
    shutil.rmtree(tmp_path / "checkpoints")
    leftover = tmp_path / "features" / ".train-0-0.npy.host.1.part"
    leftover.write_bytes(b"half")
    _, lines = run(shards, tmp_path, config(recipe, epochs=1))
    assert [line for line in lines if line.startswith("features ")] == [
        "features train-0: 14 clips"
    ]
    assert first.read_bytes() == whole
    assert feature_files.is_whole(first)
    assert second.stat().st_mtime_ns == before
    assert not leftover.exists()


def test_a_checkpoint_of_another_release_falls_back(shards, recipe, tmp_path):
    run(shards, tmp_path, config(recipe, epochs=2), checkpoint_minutes=0)
    older, newest = sorted((tmp_path / "checkpoints").iterdir())
    with np.load(newest) as stored:
        arrays = dict(stored)
    progress = json.loads(arrays["progress.json"].tobytes())
    progress["what_is_new"] = 1
    text = np.frombuffer(json.dumps(progress).encode(), np.uint8)
    np.savez(newest, **{**arrays, "progress.json": text})
    _, lines = run(shards, tmp_path, config(recipe, epochs=2))
    assert f"{newest} is damaged or of another release (" in lines[0]
    assert "'what_is_new'); trying the one before" in lines[0]
    step = int(older.stem.split("-")[1])
    assert any(line.startswith(f"going on from step {step} ") for line in lines)


def test_a_signal_while_features_are_cached_stops(shards, recipe, tmp_path, capfd):
    from wlasl_tfrecord import training

    def say(line):
        if line.startswith("features train-1"):
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(
        TrainingError, match=r"stopped by SIGTERM; go on with bin/train --resume .*run$"
    ):
        training.train(
            shards, tmp_path / "run", config(recipe, feature_views=9), say=say
        )
    assert signal.getsignal(signal.SIGTERM) is before
    assert "stopping after this step; the same signal once" in capfd.readouterr().err
    names = sorted(path.name for path in (tmp_path / "run" / "features").iterdir())
    assert [name[:8] for name in names] == ["train-0-"]


def test_a_full_disk_is_a_line(shards, recipe, tmp_path):
    from wlasl_tfrecord import history, recipes, saving
    from wlasl_tfrecord.errors import OutputError

    log = history.EventLog(tmp_path / "tensorboard")
    with (
        largest_file(10),
        pytest.raises(
            OutputError,
            match=r"cannot write to .*/tensorboard \(.*\); free some space and go on",
        ),
    ):
        log.scalars({"loss": 1.0}, 1)
    run(shards, tmp_path / "run", config(recipe, epochs=1))
    with (
        largest_file(1000),
        pytest.raises(
            OutputError, match=r"cannot write .*/model.h5 \(.*; free some space, and"
        ),
    ):
        saving.save_h5(
            tmp_path / "run",
            recipes.load_recipe(recipe),
            load_folder(shards),
            {"weights": "somewhere"},
            print,
        )
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.parametrize(("seconds", "warns"), [(0.054, False), (0.056, True)])
def test_waiting_for_input_is_warned_of(recipe, tmp_path, seconds, warns):
    import keras

    from wlasl_tfrecord import epochs, strategies
    from wlasl_tfrecord.progress import Progress

    lines = []
    model = keras.Sequential([keras.layers.Input([1]), keras.layers.Dense(1)])
    run_ = epochs.Run(
        directory=tmp_path,
        config=config(recipe),
        strategy=strategies.make_strategy("none"),
        model=model,
        glosses=("book",),
        checkpoint_seconds=9,
        save_best=lambda: None,
        events=None,
        callbacks=keras.callbacks.CallbackList([], model=model),
        stopped=(),
        say=lines.append,
    )
    phase = epochs.Phase(
        name="head",
        model=model,
        scored_model=model,
        num_epochs=2,
        steps_per_epoch=1,
        learning_rate=0.1,
        training_batches=lambda _: None,
        validation_batches=None,
        prepare=None,
        class_weights=None,
        describe_step=str,
    )
    spent = Progress(seconds=1.0, wait_seconds=seconds, sums=(1.0, 0.0, 0.0, 4.0))
    epochs.end_epoch(run_, phase, spent, None, 0.1)
    share = f"{seconds:.0%}"
    assert lines[0].endswith(f"4 clips/s, input wait {share}")
    warning = f"  the step waited for input {share} of the time; `bin/bench input` says"
    assert [line.startswith(warning) for line in lines[1:]] == [True] * warns


def test_a_terminal_gets_a_bar_and_a_counter(shards, recipe, tmp_path, monkeypatch):
    import keras

    # The bar is drawn ten times a second at most.
    slow = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: time.sleep(0.2)  # noqa: ARG005
    )
    ours, theirs = pty.openpty()
    shown = []

    def read():
        # It ends with an error when nobody has the other side open any more.
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 1 << 16):
                shown.append(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    size = struct.pack("HHHH", 24, 120, 0, 0)  # rows, columns
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    with os.fdopen(theirs, "w") as tty, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", tty)
        run(shards, tmp_path, config(recipe, epochs=2), callbacks=[slow])
    reader.join()
    os.close(ours)
    text = b"".join(shown).decode()
    assert "features train-0: 4/14 clips\r" in text
    assert "features train-0: 14/14 clips\r\n" in text
    bars = re.findall(r"head 2/2: +(\d+)%.* (\d+)/12 \[.*clips/s.*", text)
    assert bars, text
    assert re.search(r"loss=\d\.\d{3}, top1=\d+\.\d%", text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, got 0.0"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0, got -1.0"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\), got 1.0"),
        ({"schedule": "steps"}, "schedule must be one of cosine, plateau, constant"),
        (
            {"precision": "half"},
            "precision must be one of auto, float32, mixed_float16",
        ),
        ({"fine_tune_epochs": -1}, "fine_tune_epochs must be at least 0, got -1"),
        ({"max_bad_records": -1}, "max_bad_records must be at least 0, got -1"),
        ({"crop": "gpu"}, "crop must be one of auto, input, device, got 'gpu'"),
    ],
)
def test_a_choice_out_of_its_range_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**changes)


def test_parts_that_do_not_divide_the_batch_are_refused(shards, recipe, tmp_path):
    with pytest.raises(ValueError, match="--accumulate 3 does not divide the 4 clips"):
        run(shards, tmp_path, config(recipe, accumulate=3))


def test_a_batch_larger_than_the_split_is_refused(shards, recipe, tmp_path):
    with pytest.raises(ValueError, match="batch_size 16 is larger than the split"):
        run(shards, tmp_path, config(recipe, batch_size=16))
    assert not list(tmp_path.iterdir())


def test_a_recipe_that_h5_cannot_hold_is_named(shards, tmp_path):
    folding = tmp_path / "folding.py"
    source = RECIPE.replace(", fold_time=True", "").replace("if fold_time", "if True")
    folding.write_text(source)
    with pytest.raises(RecipeError, match=r"cannot be written as h5, which holds"):
        run(shards, tmp_path / "run", config(str(folding), epochs=1), save_h5=True)


@pytest.mark.parametrize("feature_cache", [True, False])
def test_a_damaged_record_is_named(write_folder, recipe, tmp_path, feature_cache):
    sizes = {"num_frames": 3, "height": 16, "width": 16}
    damaged = write_folder(tmp_path / "shards", {"train": 4, "val": 3}, **sizes)
    path = damaged / "wlasl-train.tfrecord-00000-of-00002"
    content = bytearray(path.read_bytes())
    content[200] ^= 255
    path.write_bytes(content)
    options = {"batch_size": 2, "feature_cache": feature_cache}
    with pytest.raises(
        RecordError, match=r"-train.tfrecord-00000-of-00002: record 0 .*video_id train"
    ):
        run(damaged, tmp_path / "run", config(recipe, **options))


@pytest.mark.parametrize("feature_cache", [True, False])
def test_damaged_records_are_passed_over_as_far_as_allowed(
    write_folder, recipe, tmp_path, feature_cache
):
    from wlasl_tfrecord import evaluation

    sizes = {"num_frames": 3, "height": 16, "width": 16}
    damaged = write_folder(tmp_path / "shards", {"train": 4, "val": 3}, **sizes)
    for split in ("train", "val"):
        path = damaged / f"wlasl-{split}.tfrecord-00000-of-00002"
        content = bytearray(path.read_bytes())
        content[200] ^= 255
        path.write_bytes(content)
    options = {"batch_size": 2, "feature_cache": feature_cache, "max_bad_records": 1}
    report, _ = run(damaged, tmp_path / "run", config(recipe, **options))
    assert report.num_epochs == 3
    assert np.isfinite(report.best["loss"])
    # Two of the three validation clips are left, so halves are all there is.
    assert report.best["val_top1"] in (0, 0.5, 1)
    scores = evaluation.evaluate(damaged, tmp_path / "run", max_bad_records=1).scores
    assert len(scores.labels) == 2
    assert scores.top(1) == report.best["val_top1"]


@pytest.mark.parametrize(
    ("crop", "gpus", "on_device"),
    [
        ("auto", [], False),
        ("auto", ["GPU:0"], True),
        ("input", ["GPU:0"], False),
        ("device", [], True),
    ],
)
def test_clips_are_cropped_once(
    shards, recipe, tmp_path, monkeypatch, crop, gpus, on_device
):
    from wlasl_tfrecord import augment, dataset, phases

    calls = []

    def listen(module, name):
        function = getattr(module, name)

        def call(*arguments, **options):
            calls.append((name, options.get("augment")))
            return function(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    listen(augment, "crop_clips")
    listen(dataset, "input_fn")
    # Only the choice is asked for its GPUs; the training itself has none.
    choose = phases._augmentation

    def chosen(configuration):
        with monkeypatch.context() as patch:
            patch.setattr(phases.tf.config, "list_logical_devices", lambda _: gpus)
            return choose(configuration)

    monkeypatch.setattr(phases, "_augmentation", chosen)
    run(shards, tmp_path, config(recipe, crop=crop, epochs=1))
    assert any(name == "crop_clips" for name, _ in calls) == on_device
    crops = {one.min_scale for name, one in calls if name == "input_fn" and one}
    assert crops == ({1.0} if on_device else {0.8})


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_sixteen_bits_train_both_phases_and_save_float32(
    shards, recipe, tmp_path, precision
):
    import keras

    options = {"precision": precision, "epochs": 2, "fine_tune_epochs": 1}
    report, lines = run(shards, tmp_path, config(recipe, **options))
    assert report.num_epochs == 3
    assert f", {precision}) on 14 clips" in lines[0]
    saved = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert {layer.compute_dtype for layer in saved.layers} <= {"float32", "uint8"}
    bits = np.load(next((tmp_path / "features").glob("train-0-*.npy"))).dtype
    assert bits == ("uint16" if precision == "mixed_bfloat16" else "float16")

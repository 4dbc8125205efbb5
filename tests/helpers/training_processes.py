"""bin/train in processes of its own, for tests that end them."""

import os
import subprocess
import sys
import time

from checkout import CHECKOUT
from drawn_shards import write_folder

from wlasl_tfrecord.training import checkpoints

RECIPE = """
import keras

def build_model(clip, num_classes, *, weights="imagenet"):
    inputs = keras.Input(clip.shape[1:])
    x = keras.layers.Conv2D(4, 3, 2, name="conv")(inputs)
    if weights == "none":
        x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    backbone = keras.Model(inputs, x, name="backbone")
    frames = keras.Input(clip.shape, dtype="uint8")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(frames)
    x = backbone(keras.ops.reshape(x, (-1, *clip.shape[1:])))
    x = keras.ops.reshape(x, (-1, clip.num_frames, 4))
    x = keras.layers.Identity(name="features")(x)
    x = keras.layers.LSTM(4)(x)
    x = keras.layers.Dropout(0.3)(x)
    x = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(frames, keras.layers.Softmax(dtype="float32")(x))

def backbone_blocks(model):
    return [[model.get_layer("backbone").get_layer("conv")]]
"""


def write_place(folder):
    """Puts shards and a recipe into a folder."""
    sizes = {"num_frames": 3, "height": 12, "width": 12}
    write_folder(folder / "shards", {"train": 10, "val": 4}, **sizes)
    (folder / "tiny.py").write_text(RECIPE)
    (folder / "pretrained.h5").touch()
    return folder


def start(place, out, *more, before=(), **variables):
    """Starts bin/train in a process of its own, with environment variables.

    What is in `before` starts it: `ip netns exec NAME`.
    """
    command = [
        *before, sys.executable, "-m", "wlasl_tfrecord.cli.train", "--data", "shards",
        "--out", out, "--model", "tiny.py", "--weights", "pretrained.h5",
        "--epochs", "6", "--fine-tune-epochs", "6", "--fine-tune-blocks", "1",
        "--batch-size", "2", "--checkpoint-minutes", "0", "--patience", "99",
        "--learning-rate", "0.05", "--fine-tune-learning-rate", "0.01",
        "--deterministic", *more,
    ]  # fmt: skip
    environment = {
        **os.environ,
        "PYTHONPATH": str(CHECKOUT),
        "CUDA_VISIBLE_DEVICES": "-1",
        **variables,
    }
    return subprocess.Popen(
        command,
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def steps_done(run_dir):
    names = sorted(path.stem for path in (run_dir / "checkpoints").glob("step-*.npz"))
    return int(names[-1].split("-")[1]) if names else 0


def wait_for_step(process, run_dir, step):
    """Waits until a checkpoint of that step or a later one is written."""
    wait_until(process, lambda: steps_done(run_dir) >= step)


def wait_until(process, happened):
    """Waits for something that a process does."""
    deadline = time.monotonic() + 240
    while not happened():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def final_state(run_dir):
    """Gives everything the last checkpoint holds but the times."""
    found = checkpoints.load_newest(run_dir / "checkpoints", print)
    assert found is not None
    clocks = {"seconds", "clips_per_second", "input_wait", "wait_seconds"}
    rows = [
        {key: value for key, value in row.items() if key not in clocks}
        for row in found.progress.rows
    ]
    return found.step, rows, found.arrays

"""Killed, stopped, left alone by another worker: real processes, real signals."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from wlasl_tfrecord import checkpoints
from wlasl_tfrecord.checkpoints import Checkpoint
from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.progress import Progress

CHECKOUT = Path(__file__).resolve().parents[1]

RECIPE = """
import keras

def build_model(clip, num_classes, *, weights="imagenet"):
    inputs = keras.Input(clip.shape[1:])
    x = keras.layers.Conv2D(4, 3, 2, name="conv")(inputs)
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


def checkpoint(step):
    return Checkpoint(step, Progress(epoch=step), {"a": np.arange(step)})


def test_the_last_two_checkpoints_are_kept(tmp_path):
    for step in (1, 2, 10):
        checkpoints.save_checkpoint(tmp_path, checkpoint(step))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["step-000000002.npz", "step-000000010.npz"]
    newest = checkpoints.load_newest(tmp_path, print)
    assert newest is not None
    assert newest.step == 10
    assert newest.progress == Progress(epoch=10)
    np.testing.assert_array_equal(newest.arrays["a"], np.arange(10))


def test_a_damaged_checkpoint_does_not_count_as_one_of_the_two(tmp_path):
    for step in (10, 20):
        path = checkpoints.save_checkpoint(tmp_path, checkpoint(step))
    path.write_bytes(b"")
    # The run goes on from step 10.
    for step in (12, 14):
        checkpoints.save_checkpoint(tmp_path, checkpoint(step))
        names = sorted(path.stem for path in tmp_path.iterdir())
        assert names[-1] == "step-000000020"
    assert names[:2] == ["step-000000012", "step-000000014"]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(damage, tmp_path):
    for step in (1000, 2000):
        path = checkpoints.save_checkpoint(tmp_path, checkpoint(step))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    damaged = {
        "cut": content[: len(content) // 2],
        "flip": content,
        "empty": b"",
        "text": b"not found",
    }
    path.write_bytes(damaged[damage])
    lines = []
    found = checkpoints.load_newest(tmp_path, lines.append)
    assert found is not None
    assert found.step == 1000
    assert "step-000002000.npz is damaged or of another release (" in lines[0]
    assert lines[0].endswith("trying the one before")


def test_nothing_but_damaged_checkpoints_is_an_error(tmp_path):
    checkpoints.save_checkpoint(tmp_path, checkpoint(1)).write_bytes(b"")
    with pytest.raises(
        TrainingError, match=r"every checkpoint in .* is damaged or .*; train"
    ):
        checkpoints.load_newest(tmp_path, print)


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoints.load_newest(tmp_path / "none", print) is None


@pytest.fixture(scope="module")
def place(write_folder, tmp_path_factory):
    """A folder with shards and a recipe."""
    folder = tmp_path_factory.mktemp("resume")
    sizes = {"num_frames": 3, "height": 12, "width": 12}
    write_folder(folder / "shards", {"train": 10, "val": 4}, **sizes)
    (folder / "tiny.py").write_text(RECIPE)
    return folder


def start(place, out, *more, **variables):
    """Starts bin/train in a process of its own, with environment variables."""
    command = [
        sys.executable, "-m", "wlasl_tfrecord.cli.train", "--data", "shards",
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


def free_ports(count):
    """Finds ports on loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_workers(place, *more, outs):
    """Starts two processes that share each batch; the first one is the chief."""
    workers = ",".join(f"127.0.0.1:{port}" for port in free_ports(2))
    options = ("--strategy", "multi_worker", "--workers", workers, "--worker-index")
    return [
        start(place, out, *more, *options, str(index)) for index, out in enumerate(outs)
    ]


def start_scheduled(place, out, *more):
    """Starts the same two, told of each other by TF_CONFIG as a scheduler would."""
    chief, worker = (f"127.0.0.1:{port}" for port in free_ports(2))
    cluster = {"chief": [chief], "worker": [worker]}
    configs = [
        json.dumps({"cluster": cluster, "task": {"type": job, "index": 0}})
        for job in cluster
    ]
    more = (*more, "--strategy", "multi_worker")
    return [start(place, out, *more, TF_CONFIG=config) for config in configs]


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


@pytest.mark.slow
def test_killed_three_times_it_ends_with_the_same_bits(place):
    undisturbed = start(place, "undisturbed")
    output = undisturbed.communicate(timeout=500)[0]
    assert undisturbed.returncode == 0, output
    # 30 steps of 5 an epoch in either phase; the kills fall into both.
    draw = random.Random(0)
    for low, high in ((3, 12), (14, 28), (34, 56)):
        process = start(place, "killed")
        wait_for_step(process, place / "killed", draw.randint(low, high))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if low == 3:
            # From here on, as if each checkpoint had been minutes before the kill: the
            # steps since then are done twice, the files about them written twice.
            old = sorted((place / "killed" / "checkpoints").iterdir())[-1]
            kept = old.read_bytes()
        elif low == 14:
            shutil.rmtree(place / "killed" / "checkpoints")
            old.parent.mkdir()
            old.write_bytes(kept)
    # That it was --deterministic is remembered.
    command = [sys.executable, "-m", "wlasl_tfrecord.cli.train", "--resume", "killed"]
    last = subprocess.Popen(
        command,
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "CUDA_VISIBLE_DEVICES": "-1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output = last.communicate(timeout=500)[0]
    assert last.returncode == 0, output
    assert "going on from step" in output
    step, rows, arrays = final_state(place / "undisturbed")
    other_step, other_rows, other_arrays = final_state(place / "killed")
    assert step == other_step == 60
    assert rows == other_rows
    assert [row["phase"] for row in rows] == ["head"] * 6 + ["fine-tune"] * 6
    assert arrays.keys() == other_arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, other_arrays[name], err_msg=name)


@pytest.mark.slow
def test_sigterm_saves_and_resume_goes_on(place):
    process = start(place, "stopped", "--checkpoint-minutes", "60")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("head 1/6"):
            process.send_signal(signal.SIGTERM)
    process.stdout.close()
    assert process.wait() == 1, "".join(lines)
    assert "stopping after this step; the same signal once more" in lines[-2]
    assert "stopped by SIGTERM; stopped/checkpoints/step-" in lines[-1]
    assert "go on with bin/train --resume stopped" in lines[-1]
    assert steps_done(place / "stopped") >= 5

    resumed = subprocess.run(
        [sys.executable, "-m", "wlasl_tfrecord.cli.train", "--resume", "stopped"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "going on from step" in resumed.stderr
    assert resumed.stdout.startswith("best of 12 epochs in ")


@pytest.mark.slow
def test_two_workers_give_the_weights_of_one(place):
    # Without dropout: its masks are drawn for each replica's own half of the batch.
    (place / "dry.py").write_text(RECIPE.replace("Dropout(0.3)", "Dropout(0.0)"))
    options = ("--model", "dry.py", "--epochs", "2", "--fine-tune-epochs", "1")
    workers = start_scheduled(place, "two", *options)
    outputs = [worker.communicate(timeout=400)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    assert "2 replica(s) of 1 clips" in outputs[0]
    assert "best of 3 epochs" in outputs[0]
    assert "best of" not in outputs[1]
    for output in outputs:
        assert output.startswith("waiting for 1 worker(s) at 127.0.0.1:")
    alone = start(place, "one", *options)
    output = alone.communicate(timeout=400)[0]
    assert alone.returncode == 0, output
    _, rows, arrays = final_state(place / "two")
    _, other_rows, other_arrays = final_state(place / "one")
    assert [row["val_top1"] for row in rows] == [row["val_top1"] for row in other_rows]
    for name, array in arrays.items():
        if name.startswith(("model/", "best/")) and array.dtype == np.float32:
            np.testing.assert_allclose(array, other_arrays[name], atol=2e-5)


# In one phase, so that the first step comes soon.
LONG = ("--epochs", "5000", "--weights", "none")


@pytest.mark.slow
def test_the_death_of_a_worker_ends_the_other_with_a_line(place):
    chief, other = start_workers(place, *LONG, outs=["bereft"] * 2)
    wait_for_step(chief, place / "bereft", 2)
    other.kill()
    other.communicate()
    output = chief.communicate(timeout=200)[0]
    assert chief.returncode == 1, output
    last = output.splitlines()[-1]
    assert last.startswith("wlasl-train: another worker is gone (")
    assert "bereft/checkpoints/step-" in last
    assert last.endswith("go on with bin/train --resume bereft")
    assert checkpoints.load_newest(place / "bereft" / "checkpoints", print) is not None


@pytest.mark.slow
def test_the_death_of_the_chief_ends_the_other_with_a_line(place):
    chief, other = start_workers(place, *LONG, outs=["headless"] * 2)
    wait_for_step(chief, place / "headless", 2)
    chief.kill()
    chief.communicate()
    output = other.communicate(timeout=200)[0]
    assert other.returncode == 1, output
    last = output.splitlines()[-1]
    assert last.startswith("wlasl-train: another worker is gone (")
    assert last.endswith("; the first worker has the checkpoint")

    # The other one cannot go on where it does not see the checkpoint.
    for worker in start_workers(place, *LONG, outs=["headless", "elsewhere"]):
        output = worker.communicate(timeout=200)[0]
        assert worker.returncode == 1, output
        last = output.splitlines()[-1]
        assert last.startswith("wlasl-train: the workers see different run folders: ")


@pytest.mark.slow
def test_the_death_of_a_worker_while_features_are_cached(place):
    views = ("--feature-views", "5000")
    chief, other = start_workers(place, *views, outs=["caching"] * 2)
    features = place / "caching" / "features"
    wait_until(chief, lambda: len(list(features.glob("train-*.npy"))) >= 3)
    other.kill()
    other.communicate()
    output = chief.communicate(timeout=200)[0]
    assert chief.returncode == 1, output
    last = output.splitlines()[-1]
    assert last.startswith("wlasl-train: another worker is gone (")
    assert last.endswith("; start all of them again")
    assert not list(features.glob(f".*.{chief.pid}.part"))

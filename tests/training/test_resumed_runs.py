"""Killed and stopped, a run goes on: real processes, real signals."""

import os
import random
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from training_processes import (
    CHECKOUT,
    final_state,
    start,
    steps_done,
    wait_for_step,
    write_place,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write_place(tmp_path_factory.mktemp("resume"))


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

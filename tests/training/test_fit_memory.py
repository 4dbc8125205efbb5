"""--accumulate found by trying, in a process that has too little memory."""

import json
import os
import subprocess
import sys

import pytest
from checkout import CHECKOUT
from large_network import RECIPE

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.training import fit_memory
from wlasl_tfrecord.training.config import TrainConfig
from wlasl_tfrecord.training.fit_memory import fit_accumulate

LIMITED = """
import re, resource, sys
from pathlib import Path
import tensorflow as tf
from wlasl_tfrecord.cli import train

tf.linalg.matmul(tf.ones([99, 99]), tf.ones([99, 99]))  # starts all threads
status = Path("/proc/self/status").read_text()
limit = int(re.search(r"VmData:\\s+(\\d+)", status)[1]) * 1024 + 700 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
shards, recipe, larger = sys.argv[1:]
options = ["--data", shards, "--weights", "none", "--epochs", "1", "--fit-memory",
           "--batch-size", "2", "--precision", "float32"]
print(train.main([*options, "--model", recipe, "--out", "run"]))
print(train.main([*options, "--model", larger, "--out", "larger", "--accumulate", "2"]))
"""


def test_nothing_of_the_current_folder_is_executed(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("open('was-run', 'w')")
    (tmp_path / "wlasl_tfrecord.py").write_text("open('was-run', 'w')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        TrainingError, match="--fit-memory could not try a step: cannot"
    ):
        fit_memory._try("nothing", TrainConfig(batch_size=1), "none", 1)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_smallest_number_that_fits_is_found_by_trying(shards, tmp_path):
    (tmp_path / "large.py").write_text(RECIPE)
    larger = RECIPE.replace("not training or x.shape[0] == 1", "tf.executing_eagerly()")
    larger = larger.replace("10**8", "2 * 10**9")
    (tmp_path / "larger.py").write_text(f"import tensorflow as tf\n{larger}")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(shards), "large.py", "larger.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    tries = [line for line in lines if line.startswith("--fit-memory: ")]
    assert tries == [
        f"--fit-memory: {clips} clip(s) of a device's 2 {fit} at once, with "
        f"--accumulate {accumulate}"
        for clips, fit, accumulate in (
            (2, "do not fit", 1),
            (1, "fit", 2),
            (1, "do not fit", 2),
        )
    ]
    assert [line for line in done.stdout.splitlines() if line in "01"] == ["0", "1"]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["training"]["accumulate"] == 2
    assert (tmp_path / "run" / "model.keras").is_file()
    assert lines[-1].startswith("wlasl-train: out of memory: 1 clip(s) of 3 frames of ")
    assert "the best first: --remat, " in lines[-1]
    assert not (tmp_path / "larger").exists()


@pytest.mark.slow
def test_a_try_that_fails_otherwise_ends_with_its_reason(shards, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("def build_model(clip, num_classes, *, weights):\n    return 1 / 0")
    config = TrainConfig(recipe=str(path), weights="none", batch_size=2)
    with pytest.raises(
        TrainingError,
        match=r"^--fit-memory could not try a step: .*broken.py: build_model failed",
    ):
        fit_accumulate(shards, config, say=print)

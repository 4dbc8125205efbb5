"""Out of memory: one line with options that fit, and a run that can be resumed."""

import os
import subprocess
import sys

import pytest
from checkout import CHECKOUT
from large_network import RECIPE
from small_training import config

from wlasl_tfrecord.shard_format.shard_folder import load_folder
from wlasl_tfrecord.training import checkpoints
from wlasl_tfrecord.training.memory import memory_advice


@pytest.mark.parametrize(
    ("changes", "num_replicas", "options"),
    [
        (
            {"batch_size": 16},
            1,
            "--accumulate 4, which gives the same weights; --remat,",
        ),
        ({"batch_size": 16}, 4, "--accumulate 4, which gives"),
        ({"batch_size": 12, "accumulate": 2}, 1, "--accumulate 12, which gives"),
        ({"batch_size": 2}, 1, "--accumulate 2, which gives"),
        ({"accumulate": 4, "remat": True}, 1, "the best first: a smaller network"),
        ({"accumulate": 4, "fine_tune_epochs": 1}, 1, "too; --fine-tune-blocks 2; a"),
    ],
)
def test_options_fit_the_run(shards, recipe, changes, num_replicas, options):
    line = memory_advice(load_folder(shards), config(recipe, **changes), num_replicas)
    assert options in line
    assert " of 3 frames of 16x16 do not fit on a device at once" in line


LIMITED = """
import re, resource, sys
from pathlib import Path
from wlasl_tfrecord.errors import OutOfMemoryError
from wlasl_tfrecord.training import trainer
from wlasl_tfrecord.training.config import TrainConfig

def say(line):
    if line.startswith("training "):
        status = Path("/proc/self/status").read_text()
        used = int(re.search(r"VmData:\\s+(\\d+)", status)[1]) * 1024
        limit = used + 1000 * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

data, out, recipe, accumulate = sys.argv[1:]
config = TrainConfig(recipe=recipe, weights="none", epochs=1, batch_size=4,
                     accumulate=int(accumulate), precision="float32")
try:
    trainer.train(data, out, config, say=say)
except OutOfMemoryError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_out_of_memory_says_so_in_one_line(shards, tmp_path):
    path = tmp_path / "large.py"
    path.write_text(RECIPE)

    def train(accumulate):
        command = [sys.executable, "-c", LIMITED, str(shards), str(tmp_path / "run")]
        return subprocess.run(
            [*command, str(path), accumulate],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
        )

    done = train("1")
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    assert line.startswith("out of memory: 4 clip(s) of 3 frames of 16x16 do not fit")
    assert "the best first: --accumulate 4, which gives the same weights" in line
    assert checkpoints.load_newest(tmp_path / "run" / "checkpoints", print) is None
    # What it proposes fits.
    done = train("4")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr

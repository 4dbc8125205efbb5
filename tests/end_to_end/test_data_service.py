"""bin/train is fed by bin/dataserver: a dispatcher and workers, as real processes."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from checkout import CHECKOUT
from training_processes import final_state, start, wait_for_step, write_place

pytestmark = pytest.mark.slow
# In one phase, which reads each clip in each epoch; without augmentation, because that
# is rounded in another way where TensorFlow's operations do it.
OPTIONS = ("--weights", "none", "--no-augment", "--epochs", "5")


def serve(*arguments):
    """Starts bin/dataserver; returns it and the address that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "wlasl_tfrecord.cli.dataserver", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    role, at, address, *_ = process.stdout.readline().split()
    assert (role, at) == (arguments[0], "at")
    return process, f"grpc://127.0.0.1:{address.rstrip(';').rpartition(':')[2]}"


@pytest.fixture
def service():
    """The processes of a dispatcher and two workers, and the address."""
    dispatcher, address = serve("dispatcher", "--port", "0")
    workers = [serve("worker", "--dispatcher", address)[0] for _ in range(2)]
    yield workers, address
    for process in (dispatcher, *workers):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode in (128 + signal.SIGTERM, -signal.SIGKILL)


def test_a_training_whose_data_worker_is_killed_ends_with_the_weights_of_one_without(
    tmp_path, service
):
    place = write_place(tmp_path)
    workers, address = service
    alone = start(place, "alone", *OPTIONS)
    served = start(place, "served", *OPTIONS, "--data-service", address)
    wait_for_step(served, place / "served", 6)
    workers[0].kill()
    for process in (served, alone):
        output = process.communicate(timeout=400)[0]
        assert process.returncode == 0, output
        assert "best of 5 epochs" in output
    (step, rows, arrays), expected = map(
        final_state, (place / "served", place / "alone")
    )
    assert (step, rows) == expected[:2]
    assert arrays.keys() == expected[2].keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[2][name], err_msg=name)

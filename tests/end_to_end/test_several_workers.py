"""Several workers: they give what one gives, and none waits for a dead one."""

import json
import os
import signal
import socket
import subprocess
import time

import numpy as np
import pytest
from training_processes import (
    RECIPE,
    final_state,
    start,
    steps_done,
    wait_for_step,
    wait_until,
    write_place,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write_place(tmp_path_factory.mktemp("workers"))


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


def last_line(worker):
    """Waits until a worker has failed, and gives the last line that is ours.

    Threads of TensorFlow may still log behind it.
    """
    output = worker.communicate(timeout=200)[0]
    assert worker.returncode == 1, output
    ours = [line for line in output.splitlines() if line.startswith("wlasl-train: ")]
    assert ours, output
    return ours[-1]


# In one phase, so that the first step comes soon.
LONG = ("--epochs", "5000", "--weights", "none")


@pytest.fixture
def machines():
    """Two network namespaces with a cable between them, as (command, address) each.

    Where the system makes none, both are this machine.
    """
    name = f"wlasl{os.getpid()}"
    ends = [f"{name}a", f"{name}b"]
    addresses = ["10.213.77.1", "10.213.77.2"]
    made = []
    try:
        for end in ends:
            run(f"ip netns add {end}")
            made.append(end)
        run(f"ip link add v{ends[0]} type veth peer name v{ends[1]}")
        for end, address in zip(ends, addresses):
            run(f"ip link set v{end} netns {end}")
            run(f"ip -n {end} addr add {address}/24 dev v{end}")
            run(f"ip -n {end} link set v{end} up")
            run(f"ip -n {end} link set lo up")
        yield [(("ip", "netns", "exec", e), a) for e, a in zip(ends, addresses)]
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no network namespaces here ({error}): both workers are on loopback")
        yield [((), "127.0.0.1")] * 2
    finally:
        for end in made:
            run(f"ip netns del {end}")


def run(command):
    subprocess.run(command.split(), check=True, capture_output=True)


def start_on_machines(place, machines, out, *more):
    """Starts a worker on each of two machines, as a scheduler does."""
    ports = free_ports(2)
    workers = ",".join(f"{one}:{port}" for (_, one), port in zip(machines, ports))
    options = ("--strategy", "multi_worker", "--workers", workers, "--worker-index")
    return [
        start(place, out, *more, *options, str(index), before=before)
        for index, (before, _) in enumerate(machines)
    ]


@pytest.mark.slow
def test_one_machine_dies_both_are_started_again_and_end_with_the_same_bits(
    place, machines
):
    options = ("--weights", "none", "--epochs", "4")
    undisturbed = start_on_machines(place, machines, "undisturbed", *options)
    for worker in undisturbed:
        output = worker.communicate(timeout=400)[0]
        assert worker.returncode == 0, output

    chief, other = start_on_machines(place, machines, "bereft", *options)
    wait_for_step(chief, place / "bereft", 4)
    other.kill()
    other.communicate()
    last = last_line(chief)
    assert last.startswith("wlasl-train: another worker is gone (")
    assert "bereft/checkpoints/step-" in last
    assert last.endswith("resume with bin/train --resume bereft")
    stopped_at = steps_done(place / "bereft")
    assert 4 <= stopped_at < 20

    again = start_on_machines(place, machines, "bereft", *options)
    outputs = [worker.communicate(timeout=400)[0] for worker in again]
    assert [worker.returncode for worker in again] == [0, 0], outputs
    assert f"resuming from step {stopped_at} in bereft" in outputs[0]
    (step, rows, arrays), expected = (
        final_state(place / name) for name in ("bereft", "undisturbed")
    )
    assert (step, rows) == expected[:2]
    assert arrays.keys() == expected[2].keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[2][name], err_msg=name)


@pytest.mark.slow
def test_the_death_of_the_chief_ends_the_other_with_a_line(place):
    chief, other = start_workers(place, *LONG, outs=["headless"] * 2)
    wait_for_step(chief, place / "headless", 2)
    chief.kill()
    chief.communicate()
    last = last_line(other)
    assert last.startswith("wlasl-train: another worker is gone (")
    assert last.endswith("; the first worker has the checkpoint")

    # The other one cannot go on where it does not see the checkpoint.
    for worker in start_workers(place, *LONG, outs=["headless", "elsewhere"]):
        last = last_line(worker)
        assert last.startswith("wlasl-train: the workers see different run folders: ")


@pytest.mark.slow
def test_the_death_of_a_worker_while_features_are_cached(place):
    views = ("--feature-views", "5000")
    chief, other = start_workers(place, *views, outs=["caching"] * 2)
    features = place / "caching" / "feature_cache"
    wait_until(chief, lambda: len(list(features.glob("train-*.npy"))) >= 3)
    other.kill()
    other.communicate()
    last = last_line(chief)
    assert last.startswith("wlasl-train: another worker is gone (")
    assert last.endswith("; start all of them again")
    # What the one that was killed had begun stays until the next run.
    assert not list(features.glob(f".*.{chief.pid}.part.*"))


def alone(place, out, index, *more):
    """Starts one of two workers."""
    workers = ",".join(f"127.0.0.1:{port}" for port in free_ports(2))
    options = ("--strategy", "multi_worker", "--workers", workers)
    return start(place, out, *options, "--worker-index", index, *more)


@pytest.mark.slow
def test_workers_that_differ_end_before_they_train(place):
    workers = ",".join(f"127.0.0.1:{port}" for port in free_ports(2))
    options = ("--strategy", "multi_worker", "--workers", workers, "--worker-index")
    differing = [
        start(place, "differing", *options, str(index), "--seed", str(index + 3))
        for index in range(2)
    ]
    for worker in differing:
        assert last_line(worker) == (
            "wlasl-train: the workers differ in --seed: 3 on the first one, 4 on "
            "worker 1; start all with the same"
        )
    assert not (place / "differing").exists()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)]
)
def test_a_worker_that_waits_is_ended_by_a_signal(place, number, code):
    with alone(place, "waiting", "1") as worker:
        assert worker.stdout is not None
        while not worker.stdout.readline().startswith("waiting for 1 worker(s) at "):
            assert worker.poll() is None
        worker.send_signal(number)
        # A blank line and "stopped", or the end of the stream.
        lines = [worker.stdout.readline() for _ in range(2)]
        assert lines == (["\n", "wlasl-train: stopped\n"] if code > 0 else ["", ""])
        assert worker.wait(timeout=60) == code


def test_a_wait_is_bounded(place):
    worker = alone(place, "waiting", "1", "--connect-timeout", "0.5")
    last = last_line(worker)
    assert "no sign of the first worker at 127.0.0.1:" in last
    assert "within --connect-timeout 0.5 seconds; start it" in last


@pytest.mark.slow
def test_a_worker_that_waits_for_a_suspended_one_is_ended_by_two_signals(place):
    chief, other = start_workers(place, *LONG, outs=["suspended"] * 2)
    wait_for_step(chief, place / "suspended", 2)
    other.send_signal(signal.SIGSTOP)
    time.sleep(1)  # until the chief has begun a step that cannot end
    chief.send_signal(signal.SIGTERM)
    time.sleep(2)
    assert chief.poll() is None
    chief.send_signal(signal.SIGTERM)
    output = chief.communicate(timeout=60)[0]
    assert chief.returncode in (128 + signal.SIGTERM, -signal.SIGTERM), output
    assert "stopping after this step; the same signal once more" in output
    other.kill()
    other.communicate()

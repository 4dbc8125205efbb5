"""The meeting of workers: all come and agree, or each ends with the same line."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from checkout import CHECKOUT

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.training import rendezvous
from wlasl_tfrecord.training.rendezvous import Worker, meet


@pytest.fixture
def addresses():
    """Three addresses on loopback that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    names = tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)
    for one in sockets:
        one.close()
    return names


def meet_all(workers, timeout_seconds=20.0):
    """Lets workers meet, each in a thread, and returns what each one gets."""

    def one(worker):
        try:
            meet(worker, timeout_seconds, lambda line: None)  # noqa: ARG005
        except TrainingError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(len(workers)) as pool:
        return list(pool.map(one, workers))


def test_workers_that_agree_continue(addresses):
    facts = {"--seed": "3", "the version of keras": "3.15"}
    workers = [Worker(addresses=addresses, index=i, facts=facts) for i in range(3)]
    assert meet_all(workers) == [None] * 3
    # The ports are free for TensorFlow, at once.
    assert meet_all(workers) == [None] * 3


def test_a_worker_alone_waits_for_nobody(addresses):
    meet(Worker(addresses=addresses[:1], index=0, facts={}), 0.1, pytest.fail)


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (
            {"--seed": "4"},
            "the workers differ in --seed: 3 on the first one, 4 on worker 2; start "
            "all with the same",
        ),
        ({}, "the workers differ in --seed: 3 on the first one, None on worker 2;"),
        (
            {"--seed": "3", "--new": "1"},
            "the workers differ in --new: None on the first one, 1 on worker 2;",
        ),
        ({"--seed": "3\x1b[2J"}, r"3 on the first one, 3\x1b[2J on worker 2;"),
    ],
)
def test_what_differs_is_told_to_all(addresses, facts, line):
    workers = [
        Worker(addresses=addresses, index=i, facts={"--seed": "3"}) for i in range(2)
    ]
    workers.append(Worker(addresses=addresses, index=2, facts=facts))
    told = meet_all(workers, 5.0)
    assert line in told[0]
    assert told == [told[0]] * 3


def test_workers_of_different_clusters_are_told_apart(addresses):
    first = Worker(addresses=addresses, index=0, facts={})
    second = Worker(addresses=addresses[:2], index=1, facts={})
    told = meet_all([first, second])
    assert told[0] == told[1]
    assert told[0].startswith(f"the workers are of different clusters: {addresses[0]}")
    assert told[0].endswith("give the same --workers, or TF_CONFIG, to all")


@pytest.mark.parametrize("index", [0, 1])
def test_a_wait_has_an_end(addresses, index):
    worker = Worker(addresses=addresses, index=index, facts={})
    missing = ", ".join(addresses[1:]) if index == 0 else addresses[0]
    start = time.monotonic()
    with pytest.raises(TrainingError, match=rf"no sign of the .*worker.* at {missing}"):
        meet(worker, 0.5, lambda line: None)  # noqa: ARG005
    assert time.monotonic() - start < 10


def test_a_name_without_an_address_is_told_in_words(addresses):
    # As a scheduler's name before its process has started.
    worker = Worker(addresses=("no.such.host:1", addresses[1]), index=1, facts={})
    with pytest.raises(TrainingError, match=r"at no\.such\.host:1 \(.*[Nn]ame"):
        meet(worker, 0.5, lambda line: None)  # noqa: ARG005


def test_a_port_in_use_is_named(addresses):
    host, port = addresses[1].split(":")
    with (
        socket.create_server((host, int(port))),
        pytest.raises(
            TrainingError,
            match=rf"cannot listen as {addresses[1]} \(Address already in use\); end",
        ),
    ):
        meet(Worker(addresses=addresses, index=1, facts={}), 5.0, print)


def test_another_program_at_the_address_is_no_worker(addresses):
    host, port = addresses[0].split(":")
    with (
        socket.create_server((host, int(port))) as server,
        ThreadPoolExecutor(1) as pool,
    ):

        def answer():
            with server.accept()[0] as connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\n")

        pool.submit(answer)
        with pytest.raises(
            TrainingError, match=rf"{addresses[0]} is no worker of this training"
        ):
            meet(Worker(addresses=addresses, index=1, facts={}), 5.0, print)


def test_somebody_who_scans_ports_disturbs_nobody(addresses, monkeypatch):
    monkeypatch.setattr(rendezvous, "_MESSAGE_SECONDS", 0.3)
    workers = [Worker(addresses=addresses[:2], index=i, facts={}) for i in range(2)]
    host, port = addresses[0].split(":")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(meet_all, workers[:1])
        for content in (b"", b"GET / HTTP/1.0\r\n\n", b"[1]\n", b"[" * 9999 + b"\n"):
            while True:
                try:
                    scan = socket.create_connection((host, int(port)))
                    break
                except ConnectionRefusedError:
                    time.sleep(0.01)
            scan.sendall(content)
            scan.close()
        # Somebody who says nothing, and stays.
        idle = socket.create_connection((host, int(port)))
        assert meet_all(workers[1:]) == [None]
        assert first.result() == [None]
        idle.close()


@pytest.fixture
def few_files():
    """Lets this process open a few files more than it has."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1 + max(open_files()) + 40, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def open_files():
    return [int(name) for name in os.listdir("/dev/fd")]


# Nothing, what is no message, and those of workers: one that is there, and none.
@pytest.mark.parametrize("index", [None, "", 1, 9])
def test_many_strangers_take_no_files(addresses, few_files, index):
    first = Worker(addresses=addresses, index=0, facts={})
    message = {"protocol": "wlasl_tfrecord 1", "index": index, "facts": {}}
    content = json.dumps(message | {"addresses": addresses}).encode() + b"\n"
    if isinstance(index, str | None):
        content = b"" if index is None else b"GET / HTTP/1.0\n"
    host, port = addresses[0].split(":")
    with ThreadPoolExecutor(1) as pool:
        met = pool.submit(meet_all, [first], 3.0)
        for _ in range(100):
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    stranger = socket.create_connection((host, int(port)), 5.0)
                    break
                time.sleep(0.01)
            with stranger:
                stranger.sendall(content)
                stranger.shutdown(socket.SHUT_WR)
                # Until it is closed at the other end, but for a worker that waits.
                if index != 1:
                    stranger.recv(1000)
        (line,) = met.result()
    assert line.startswith("no sign of the worker(s) at")


@pytest.mark.parametrize(
    "forged",
    [
        {"addresses": 7},
        {"addresses": [[[]]]},
        {"facts": 7},
        {"facts": {"--seed": ["x" * 9999]}},
        {"facts": {"x" * 9999: "\n"}},
        {"index": True},
    ],
)
def test_forged_facts_end_in_one_line(addresses, forged):
    first = Worker(addresses=addresses[:2], index=0, facts={"--seed": "3"})
    host, port = addresses[0].split(":")
    message = {"protocol": "wlasl_tfrecord 1", "index": 1, "facts": {}}
    message |= {"addresses": addresses[:2], **forged}
    with ThreadPoolExecutor(1) as pool:
        met = pool.submit(meet_all, [first])
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                forger = socket.create_connection((host, int(port)))
                break
            time.sleep(0.01)
        with forger:
            forger.sendall(json.dumps(message).encode() + b"\n")
            (line,) = met.result()
    assert "another worker; give" in line or "; start all with the same" in line
    assert len(line) < 500
    assert "\n" not in line


@pytest.mark.parametrize("failure", ["a\nb " + "x" * 99_999, ["a\nb " + "x" * 99_999]])
def test_a_forged_answer_is_one_line(addresses, failure):
    host, port = addresses[0].split(":")
    answer = {"protocol": "wlasl_tfrecord 1", "failure": failure}
    with (
        socket.create_server((host, int(port))) as server,
        ThreadPoolExecutor(1) as pool,
    ):

        def reply():
            with server.accept()[0] as connection:
                connection.recv(1000)
                connection.sendall(json.dumps(answer).encode() + b"\n")

        pool.submit(reply)
        with pytest.raises(TrainingError, match=r"^[^\n]{1,2000}$"):
            meet(Worker(addresses=addresses, index=1, facts={}), 5.0, print)


WAIT = """
import sys
from wlasl_tfrecord.training.rendezvous import Worker, meet
worker = Worker(addresses=tuple(sys.argv[2:]), index=int(sys.argv[1]), facts={})
meet(worker, 600.0, lambda line: print(line, flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("index", ["0", "1"])
def test_a_signal_ends_the_wait_at_once(addresses, index, number):
    command = [sys.executable, "-c", WAIT, index, *addresses]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("waiting for 2 worker(s) at 127.0.0.1:")
        process.send_signal(number)
        assert process.wait(timeout=10) != 0  # of ten minutes

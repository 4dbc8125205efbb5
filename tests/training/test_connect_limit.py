"""A worker that dies between the meeting and the connection: a line, in time."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from checkout import CHECKOUT

from wlasl_tfrecord.training.connect_limit import connect_limit
from wlasl_tfrecord.training.rendezvous import Worker, meet

# The first of two workers, as bin/train starts it.
FIRST = """
import sys
from wlasl_tfrecord.cli import ctrl_c, process
import signal
ctrl_c.set_handler(signal.default_int_handler)
from wlasl_tfrecord.training.connect_limit import sigterm_watched
with sigterm_watched():
    process.import_tensorflow()
from wlasl_tfrecord.training import cluster
timeout, *workers = sys.argv[1:]
say = lambda line: print(line, flush=True)
cluster.join_workers(workers, 0, say, facts={}, connect_timeout=float(timeout))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [(None, 1), (signal.SIGTERM, -signal.SIGKILL), (signal.SIGINT, -signal.SIGINT)],
)
def test_the_wait_for_a_dead_worker_ends(number, code):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    timeout = 4 if number is None else 400
    process = subprocess.Popen(
        [sys.executable, "-c", FIRST, str(timeout), *addresses],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("waiting for 1 worker(s) at ")
        # It meets the first one, and is gone before TensorFlow connects them.
        meet(Worker(addresses=tuple(addresses), index=1, facts={}), 60, print)
        started = time.monotonic()
        if number is not None:
            time.sleep(1)
            process.send_signal(number)
        # Long before the limit of the one that gets a signal.
        _, errors = process.communicate(timeout=60)
        seconds = time.monotonic() - started
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code, errors
    if number is None:
        assert errors.splitlines()[-1] == (
            f"{addresses[0]} met the other workers, and TensorFlow did not connect "
            "them within --connect-timeout 4 seconds: one of them has ended, or a "
            "firewall is between them; start all of them again"
        )
        assert seconds > 3
    if number is signal.SIGTERM:
        assert "stopped by SIGTERM while the workers were being conn" in errors


def test_a_connection_in_time_leaves_signals_as_they_were():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    received = []
    handler = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        with connect_limit(60, "late"):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
            # To this thread: of a process, any thread that does not block it takes it.
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            assert received == []
        assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGTERM} == set()

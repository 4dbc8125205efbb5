"""The meeting of all workers before TensorFlow connects them, in plain Python.

TensorFlow's own wait holds Python's interpreter lock and catches SIGTERM: neither
signals nor a time limit reach a process in it. So the workers meet here first. The
first one listens on its own address; the others tell it what they would train, and get
its answer when all are there: to continue, or what differs. TensorFlow then finds all
of them waiting on the same addresses, and connects within seconds.

A message is one line of JSON. The port is open to the network, as TensorFlow's will be.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.text import shown

__all__ = ["Worker", "meet"]

# Between two tries, and between two looks at signals that have come.
_RETRY_SECONDS = 0.2
# After a worker that differs has come, for the others to hear of it.
_LAST_SECONDS = 5.0
# A worker tells what it has as soon as it is connected; others wait for their turn.
_MESSAGE_SECONDS = 5.0
# All workers' facts are some kilobytes.
_MAX_MESSAGE_BYTES = 1 << 20
_PROTOCOL = "wlasl_tfrecord 1"


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One of the processes that train together.

    Attributes:
        addresses: host:port of all workers; the first one is the chief.
        index: Index of this process in `addresses`.
        facts: Everything that must be the same on all of them, as text.
    """

    addresses: tuple[str, ...]
    index: int
    facts: Mapping[str, str]

    @property
    def address(self) -> str:
        """The address of this process."""
        return self.addresses[self.index]


def meet(worker: Worker, timeout_seconds: float, say: Callable[[str], None]) -> None:
    """Waits until all workers are there, and compares what they would train.

    Args:
        worker: This process.
        timeout_seconds: Longest time to wait.
        say: Takes a line with the workers to wait for.

    Raises:
        TrainingError: If not all workers come in time, the port is in use, or a worker
            differs from the first one.
    """
    others = [one for one in worker.addresses if one != worker.address]
    if not others:
        return
    say(
        f"waiting for {len(others)} worker(s) at {', '.join(others)}; this one is "
        f"{worker.address}; Ctrl-C ends the wait, and --connect-timeout "
        f"{timeout_seconds:g} seconds"
    )
    deadline = time.monotonic() + timeout_seconds
    # Every worker's port must be free, though only the first one listens now.
    with _listening(worker) as server:
        if worker.index == 0:
            _gather(worker, server, deadline, timeout_seconds)
    if worker.index > 0:
        _report(worker, deadline, timeout_seconds)


@contextlib.contextmanager
def _listening(worker: Worker) -> Iterator[socket.socket]:
    """Listens on the port of this worker, on all addresses of the machine."""
    port = int(worker.address.rpartition(":")[2])
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    try:
        server = socket.create_server(
            ("", port), family=family, dualstack_ipv6=family == socket.AF_INET6
        )
    except OSError as error:
        raise TrainingError(
            f"cannot listen as {worker.address} ({_reason(error)}); end the "
            "program that has the port, or give this worker another one"
        ) from error
    with server:
        yield server


def _gather(
    worker: Worker, server: socket.socket, deadline: float, timeout_seconds: float
) -> None:
    """Collects what all other workers would train, and answers all of them."""
    met: dict[int, socket.socket] = {}
    failure = None
    try:
        while len(met) < len(worker.addresses) - 1:
            connection = _accept(server, deadline)
            if connection is None:
                failure = failure or _missing(worker, met, timeout_seconds)
                break
            # Strangers may come by the thousand: only workers stay connected.
            with contextlib.ExitStack() as closed:
                closed.enter_context(connection)
                told = _receive(
                    connection, min(deadline, time.monotonic() + _MESSAGE_SECONDS)
                )
                if told is None or told.get("protocol") != _PROTOCOL:
                    continue  # somebody else, who scans ports
                failure = failure or _difference(worker, told)
                if failure is not None:
                    # Those that are about to come are told, too; the others need not
                    # wait.
                    deadline = min(deadline, time.monotonic() + _LAST_SECONDS)
                index = told.get("index")
                if isinstance(index, int) and 0 < index < len(worker.addresses):
                    closed.pop_all()
                    if index in met:  # it was started again
                        met[index].close()
                    met[index] = connection
                else:
                    _send(connection, {"protocol": _PROTOCOL, "failure": failure})
        for connection in met.values():
            _send(connection, {"protocol": _PROTOCOL, "failure": failure})
    finally:
        for connection in met.values():
            connection.close()
    if failure is not None:
        raise TrainingError(failure)


def _missing(worker: Worker, met: Mapping[int, object], timeout_seconds: float) -> str:
    """Returns a line on the workers that have not come."""
    missing = [
        address
        for index, address in enumerate(worker.addresses)
        if index and index not in met
    ]
    return (
        f"no sign of the worker(s) at {', '.join(missing)} within --connect-timeout "
        f"{timeout_seconds:g} seconds; start them, and check their addresses and "
        "firewalls"
    )


def _report(worker: Worker, deadline: float, timeout_seconds: float) -> None:
    """Tells the first worker what this one would train, and waits for its answer."""
    chief = worker.addresses[0]
    message = {
        "protocol": _PROTOCOL,
        "index": worker.index,
        "addresses": list(worker.addresses),
        "facts": dict(worker.facts),
    }
    host, _, port = chief.rpartition(":")
    reason = "no answer"
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection(
                (host.strip("[]"), int(port)), timeout=min(left, 5.0)
            ) as connection:
                _send(connection, message)
                answer = _receive(connection, deadline)
        except OSError as error:
            reason = _reason(error)
            time.sleep(_RETRY_SECONDS)
            continue
        if answer is None:
            # The first worker ended; another one may be started in its place.
            reason = "it hung up"
            time.sleep(_RETRY_SECONDS)
            continue
        if answer.get("protocol") != _PROTOCOL:
            raise TrainingError(
                f"{chief} is no worker of this training: another program, or release, "
                "answers there; check the address"
            )
        if answer.get("failure"):
            # A line of ours, unless somebody else answers there.
            failure = answer["failure"]
            line = failure[:2000] if isinstance(failure, str) else shown(failure)
            raise TrainingError(" ".join(line.split()))
        return
    raise TrainingError(
        f"no sign of the first worker at {chief} ({reason}) within --connect-timeout "
        f"{timeout_seconds:g} seconds; start it, and check its address and firewall"
    )


def _difference(worker: Worker, told: Mapping[str, Any]) -> str | None:
    """Returns a line on what another worker does not have as the first one does."""
    addresses, index = told.get("addresses"), told.get("index")
    if addresses != list(worker.addresses):
        return (
            "the workers are of different clusters: "
            f"{', '.join(worker.addresses)} here, and "
            f"{shown(addresses)} on another worker; give the "
            "same --workers, or TF_CONFIG, to all"
        )
    facts = told.get("facts")
    facts = facts if isinstance(facts, dict) else {}
    for name in dict.fromkeys([*worker.facts, *facts]):
        here, there = worker.facts.get(name), facts.get(name)
        if here != there:
            return (
                f"the workers differ in {shown(name)[1:-1]}: {here} on the first one, "
                f"{shown(there)[1:-1] if isinstance(there, str) else shown(there)} on "
                f"worker {shown(index)}; start all with the same"
            )
    return None


def _accept(server: socket.socket, deadline: float) -> socket.socket | None:
    """Waits for the next connection; None when the time is over."""
    # A short time each, after which Python looks whether a signal has come.
    server.settimeout(_RETRY_SECONDS)
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            return server.accept()[0]
    return None


def _receive(connection: socket.socket, deadline: float) -> dict[str, Any] | None:
    """Reads a message; None if there is none, or none of ours."""
    connection.settimeout(_RETRY_SECONDS)
    content = b""
    while not content.endswith(b"\n") and len(content) < _MAX_MESSAGE_BYTES:
        if time.monotonic() >= deadline:
            return None
        try:
            more = connection.recv(1 << 16)
        except TimeoutError:
            continue
        except OSError:
            return None
        if not more:
            return None
        content += more
    try:
        message = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _send(connection: socket.socket, message: Mapping[str, Any]) -> None:
    """Sends a message; that the other one has gone shows elsewhere."""
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(message).encode() + b"\n")


def _reason(error: OSError) -> str:
    """Returns the words of the system, without those that Python adds."""
    if isinstance(error, socket.gaierror):  # its numbers are not the system's
        return error.strerror or str(error)
    return os.strerror(error.errno) if error.errno else str(error)

"""The processes of a tf.data service: its dispatcher and its workers."""

import socket
from typing import NamedTuple

import tensorflow as tf

from wlasl_tfrecord.errors import DataServiceError
from wlasl_tfrecord.input_pipeline.data_service import check_service, wait_for_service

__all__ = ["DataServer", "own_name", "start_dispatcher", "start_worker"]

# TensorFlow's defaults are 30 and 60 s: so long would a new worker get no work.
_HEARTBEAT_MS = 2_000
_WORKER_TIMEOUT_MS = 10_000


class DataServer(NamedTuple):
    """A process of a service that runs until it is removed.

    Attributes:
        server: What TensorFlow started; it stops when nothing refers to it any more.
        address: Where it is: grpc://host:port.
    """

    server: object
    address: str


def start_dispatcher(port: int, *, work_dir: str | None = None) -> DataServer:
    """Starts the dispatcher, which shares out batches and makes none.

    Args:
        port: Its port, on all addresses of this machine; 0 for any free one.
        work_dir: Folder for its journal. Started again with it, and on the same port, a
            dispatcher continues where it was killed.

    Raises:
        DataServiceError: If the port is taken, or the folder cannot be used.
    """
    port = _free_port(port)
    config = tf.data.experimental.service.DispatcherConfig(
        port=port,
        protocol="grpc",
        work_dir=work_dir,
        fault_tolerant_mode=work_dir is not None,
        worker_timeout_ms=_WORKER_TIMEOUT_MS,
    )
    try:
        server = tf.data.experimental.service.DispatchServer(config)
    except (tf.errors.OpError, RuntimeError) as error:
        raise _cannot_start("dispatcher", port, error) from error
    return DataServer(server, f"grpc://{socket.gethostname()}:{port}")


def start_worker(
    dispatcher: str, port: int, *, name: str | None = None, timeout_seconds: float
) -> DataServer:
    """Starts a worker, which makes batches for whoever trains.

    Args:
        dispatcher: grpc://host:port.
        port: Its port, on all addresses of this machine; 0 for any free one.
        name: The name or number of this machine by which the trainings reach it; by
            default the one that the dispatcher sees.
        timeout_seconds: Longest time to wait for the dispatcher.

    Raises:
        ValueError: If `dispatcher` is no address.
        DataServiceError: If there is no dispatcher, or the port is taken.
    """
    wait_for_service(dispatcher, timeout_seconds)
    name, port = name or own_name(dispatcher), _free_port(port)
    config = tf.data.experimental.service.WorkerConfig(
        dispatcher_address=dispatcher.partition("://")[2],
        worker_address=f"{name}:{port}",
        port=port,
        protocol="grpc",
        heartbeat_interval_ms=_HEARTBEAT_MS,
        dispatcher_timeout_ms=int(timeout_seconds * 1000),
    )
    try:
        server = tf.data.experimental.service.WorkerServer(config)
    except (tf.errors.OpError, RuntimeError) as error:
        raise _cannot_start("worker", port, error) from error
    return DataServer(server, f"grpc://{name}:{port}")


def own_name(dispatcher: str) -> str:
    """Returns the address of this machine on the way to a dispatcher.

    >>> own_name("grpc://127.0.0.1:5050")
    '127.0.0.1'
    """
    place = check_service(dispatcher)
    family, kind, *_, address = socket.getaddrinfo(*place, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as sock:
        # Sends nothing: the system only chooses the way.
        sock.connect(address)
        own = sock.getsockname()[0]
    return f"[{own}]" if ":" in own else own


def _free_port(port: int) -> int:
    """Returns the port, or a free one for 0.

    TensorFlow would share one that is in use (SO_REUSEPORT).
    """
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("", port))
        except OSError as error:
            raise _cannot_start("server", port, error) from error
        return sock.getsockname()[1]


def _cannot_start(what: str, port: int, error: Exception) -> DataServiceError:
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return DataServiceError(
        f"cannot start a {what} on port {port} ({reason}); choose another --port, or 0 "
        "for a free one"
    )

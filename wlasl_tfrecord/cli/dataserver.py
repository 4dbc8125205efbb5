"""Runs a process of a tf.data service: machines that make batches for others."""

import argparse
import signal
import sys
from collections.abc import Sequence

from wlasl_tfrecord.cli.command import make_parser, run
from wlasl_tfrecord.cli.process import import_tensorflow

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bin/dataserver`; see `--help`."""
    return run("dataserver", _parser(), _serve, argv)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "dataserver",
        "Runs one process of a tf.data service until it is stopped: the dispatcher, "
        "once, or a worker, on each machine that is to read shards and make batches "
        "for bin/train --data-service. Whoever reaches its port can have it run any "
        "graph: use it within a network that you trust.",
    )
    parser.add_argument(
        "role",
        choices=("dispatcher", "worker"),
        help="dispatcher: shares out the batches; worker: makes them",
    )
    parser.add_argument(
        "--port",
        type=int,
        help="port, on all addresses of this machine; 0 for any free one (default: "
        "5050 for the dispatcher, any for a worker)",
    )
    dispatcher = parser.add_argument_group("dispatcher")
    dispatcher.add_argument(
        "--work-dir",
        help="folder for its journal, with which it continues after it was killed",
    )
    worker = parser.add_argument_group("worker")
    worker.add_argument(
        "--dispatcher",
        metavar="grpc://HOST:PORT",
        help="the dispatcher's address",
    )
    worker.add_argument(
        "--host",
        help="name or number of this machine by which trainings reach it (default: "
        "the number that the dispatcher sees)",
    )
    worker.add_argument(
        "--connect-timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="longest wait for the dispatcher",
    )
    return parser


def _serve(arguments: argparse.Namespace) -> int:
    _refuse_what_does_not_fit(arguments)
    # Only now TensorFlow: a typing mistake answers at once.
    import_tensorflow()
    from wlasl_tfrecord.input_pipeline import data_server

    # An exception, so that the server is stopped in good order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if arguments.role == "dispatcher":
        port = 5050 if arguments.port is None else arguments.port
        server = data_server.start_dispatcher(port, work_dir=arguments.work_dir)
        tell = f"bin/dataserver worker --dispatcher {server.address}"
    else:
        server = data_server.start_worker(
            arguments.dispatcher,
            arguments.port or 0,
            name=arguments.host,
            timeout_seconds=arguments.connect_timeout,
        )
        tell = f"bin/train --data-service {arguments.dispatcher}"
    print(f"{arguments.role} at {server.address}; {tell}  (Ctrl-C stops it)")
    sys.stdout.flush()
    while True:
        signal.pause()


def _refuse_what_does_not_fit(arguments: argparse.Namespace) -> None:
    """Checks the options of the two roles.

    Raises:
        ValueError: If one is missing, or is the other role's.
    """
    is_worker = arguments.role == "worker"
    if is_worker and arguments.dispatcher is None:
        raise ValueError("a worker needs --dispatcher grpc://host:port")
    for name, value, needed in (
        ("--work-dir", arguments.work_dir, "dispatcher"),
        ("--dispatcher", arguments.dispatcher, "worker"),
        ("--host", arguments.host, "worker"),
    ):
        if value is not None and arguments.role != needed:
            raise ValueError(f"{name} is for a {needed}, not for a {arguments.role}")
    if arguments.port is not None and not 0 <= arguments.port < 2**16:
        raise ValueError(f"--port must be from 0 to 65535, got {arguments.port}")
    if not arguments.connect_timeout > 0:
        raise ValueError(
            f"--connect-timeout must be above 0, got {arguments.connect_timeout}"
        )


if __name__ == "__main__":
    sys.exit(main())

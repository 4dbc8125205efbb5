"""Serves a trained model as a page and an HTTP interface."""

import argparse
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from wlasl_tfrecord.cli import model_options
from wlasl_tfrecord.cli.command import make_parser, run
from wlasl_tfrecord.cli.process import import_tensorflow
from wlasl_tfrecord.serving.address import listen, url_of
from wlasl_tfrecord.serving.options import ServeOptions, is_loopback, new_token

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bin/serve`."""
    defaults = ServeOptions()
    parser = make_parser(
        "serve",
        "Serves the model of a run as a page, for a video or a webcam, and as an HTTP "
        "interface: POST /predict, GET /healthz, GET /model, GET /openapi.json. Only "
        "this machine reaches it, unless --host says otherwise.",
    )
    model_options.add_run(parser)
    model_options.add_model(parser)
    model_options.add_landmark_models(parser)
    parser.add_argument(
        "--host",
        default=defaults.host,
        help="address to listen on; 0.0.0.0 opens it to every machine that reaches "
        "this one, and needs --token",
    )
    parser.add_argument(
        "--port", type=int, default=defaults.port, help="port; 0 for any free one"
    )
    parser.add_argument(
        "--token",
        help="secret that requests must carry; `new` makes one and prints it",
    )
    model_options.add_top(parser, defaults.top)
    parser.add_argument(
        "--batch-size",
        type=int,
        default=defaults.batch_size,
        help="waiting clips that are computed at once",
    )
    parser.add_argument(
        "--workers", type=int, default=defaults.workers, help="decoder processes"
    )
    limits = parser.add_argument_group("limits of a video")
    limits.add_argument(
        "--max-mib", type=int, default=defaults.max_mib, help="its size in MiB"
    )
    limits.add_argument(
        "--max-frames", type=int, default=defaults.max_frames, help="its frames"
    )
    limits.add_argument(
        "--max-at-once",
        type=int,
        default=defaults.max_at_once,
        help="videos in the server at once; further ones are refused with status 429",
    )
    limits.add_argument(
        "--header-timeout",
        type=float,
        default=defaults.header_seconds,
        help="seconds for the head of its request",
    )
    limits.add_argument(
        "--upload-timeout",
        type=float,
        default=defaults.upload_seconds,
        help="seconds for its upload",
    )
    limits.add_argument(
        "--timeout",
        type=float,
        default=defaults.decode_seconds,
        help="seconds to decode it",
    )
    limits.add_argument(
        "--worker-mib",
        type=int,
        default=defaults.memory_mib,
        help="memory of a decoder process in MiB",
    )
    return run("serve", parser, _serve, argv)


def _serve(arguments: argparse.Namespace) -> int:
    from wlasl_tfrecord.network import model_info

    options = ServeOptions(
        host=arguments.host,
        port=arguments.port,
        token=new_token() if arguments.token == "new" else arguments.token,
        top=arguments.top,
        max_mib=arguments.max_mib,
        max_frames=arguments.max_frames,
        max_at_once=arguments.max_at_once,
        header_seconds=arguments.header_timeout,
        upload_seconds=arguments.upload_timeout,
        decode_seconds=arguments.timeout,
        memory_mib=arguments.worker_mib,
        workers=arguments.workers,
        batch_size=arguments.batch_size,
    )
    run_dir = arguments.run or model_info.find_run()
    info = model_info.read_model_info(run_dir)
    with listen(options.host, options.port) as sock:
        # Only now TensorFlow: a mistyped option or a taken port answers at once.
        import_tensorflow()
        from wlasl_tfrecord.inference.trained_model import load_model
        from wlasl_tfrecord.serving.server import serve

        model = load_model(
            run_dir, arguments.model, landmark_models=arguments.landmark_models
        )
        # Temporary files are removed after a `kill`, too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        serve(
            model,
            options,
            sock,
            on_ready=lambda: _announce(model.path, len(info.glosses), options, sock),
        )
    return 0


def _announce(
    model_path: Path, num_glosses: int, options: ServeOptions, sock: socket.socket
) -> None:
    """Prints where the page is, and who can open it."""
    url = url_of(sock)
    if not is_loopback(options.host):
        print(
            f"open to every machine that reaches {options.host}, port "
            f"{sock.getsockname()[1]}: who has the token can send videos and see the "
            "answers. The connection is not encrypted",
            file=sys.stderr,
        )
    if options.token is not None:
        # After the #, so that a browser sends it to no server and no log.
        url = f"{url}#token={options.token}"
    print(f"serving {model_path}, {num_glosses} glosses, at {url}  (Ctrl-C stops it)")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

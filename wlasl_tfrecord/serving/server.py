"""A server: a model, its limits and a socket, until somebody stops it."""

import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from wlasl_tfrecord.inference.trained_model import TrainedModel
from wlasl_tfrecord.serving.app import running_app
from wlasl_tfrecord.serving.options import ServeOptions
from wlasl_tfrecord.serving.protocol import protocol_class

__all__ = ["make_server", "serve"]

# How long requests may go on after Ctrl-C.
_SHUTDOWN_SECONDS = 3


def serve(
    model: TrainedModel,
    options: ServeOptions,
    sock: socket.socket,
    on_ready: Callable[[], object],
) -> None:
    """Serves a model until Ctrl-C or SIGTERM, whose handlers are called at the end.

    The name of a video and the address of a client are printed nowhere.

    Args:
        model: What `load_model` returned.
        options: Limits, and the token.
        sock: What `listen` returned.
        on_ready: Called when a request would be answered.

    Raises:
        WlaslError: If no decoder process can be started.
    """
    with running_app(model, options) as app:
        on_ready()
        make_server(app, options).run(sockets=[sock])


def make_server(app: ASGIApp, options: ServeOptions) -> uvicorn.Server:
    """Makes the program that answers on a socket with an application."""
    config = uvicorn.Config(
        app,
        # Pure Python, and the same on every machine.
        loop="asyncio",
        http=protocol_class(options.header_seconds),
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        # Who asks is what the connection says.
        proxy_headers=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    return uvicorn.Server(config)

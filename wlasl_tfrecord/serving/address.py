"""The address of a server: a socket that listens, and what a browser calls it."""

import socket

from wlasl_tfrecord.errors import WlaslError

__all__ = ["listen", "url_of"]

# How many connections may wait to be accepted.
_BACKLOG = 128


def listen(host: str, port: int) -> socket.socket:
    """Opens the socket of a server.

    Args:
        host: An address of this machine, or a name of one.
        port: The port; 0 for any free one.

    Raises:
        WlaslError: If there is no such address, or the port is taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
        try:
            # Otherwise the port stays taken for a minute after a server has ended.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            # From here on a client waits until it is answered.
            sock.listen(_BACKLOG)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        raise WlaslError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; choose "
            "another --port, or 0 for a free one"
        ) from error
    return sock


def url_of(sock: socket.socket) -> str:
    """Returns the address of a server's page, `http://127.0.0.1:8000/`."""
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # all of this machine's addresses
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

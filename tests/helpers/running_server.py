"""A server on a free port of 127.0.0.1, and requests to it, for tests."""

import http.client
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from wlasl_tfrecord.serving.address import listen
from wlasl_tfrecord.serving.options import ServeOptions
from wlasl_tfrecord.serving.server import make_server


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer: its status, its headers, and its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@contextmanager
def serving(app: ASGIApp, options: ServeOptions | None = None) -> Iterator[int]:
    """Serves an application in a thread, and yields its port."""
    with listen("127.0.0.1", 0) as sock:
        server = make_server(app, options or ServeOptions())
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def ask(
    port: int,
    path: str,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
) -> Answer:
    """Sends one request, GET without a body and POST with one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        method = method or ("GET" if body is None else "POST")
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(status=response.status, headers=found, body=response.read())
    finally:
        connection.close()


def form(
    content: bytes, name: str = "video", filename: str = "sign.mp4"
) -> tuple[bytes, dict[str, str]]:
    """Returns a form with a file in it, and the headers of its request."""
    head = (
        "--edge\r\nContent-Disposition: form-data; "
        f'name="{name}"; filename="{filename}"\r\n'
        "Content-Type: video/mp4\r\n\r\n"
    )
    body = head.encode() + content + b"\r\n--edge--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=edge"}

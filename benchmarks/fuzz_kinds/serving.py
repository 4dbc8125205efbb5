"""What is sent to `bin/serve`."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from benchmarks.fuzz_kinds.changes import changed_bytes
from benchmarks.fuzz_kinds.kind import Kind
from wlasl_tfrecord.errors import WlaslError

__all__ = ["KINDS"]


def upload_kind(directory: Path) -> Kind:
    """The body of a form that is sent to `bin/serve`."""
    from running_server import form
    from starlette.requests import Request

    from wlasl_tfrecord.serving.options import ServeOptions
    from wlasl_tfrecord.serving.upload import UploadError, received

    body, headers = form(b"a video" * 20)
    options = ServeOptions(max_mib=1)
    scope: Mapping[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "headers": [(b"content-type", headers["Content-Type"].encode())],
    }

    async def send(forged: bytes) -> None:
        async def receive() -> Mapping[str, Any]:
            return {"type": "http.request", "body": forged, "more_body": False}

        request = Request(dict(scope), receive)  # pyright: ignore[reportArgumentType]
        async with received(request, directory, options) as upload:
            assert upload.path.stat().st_size == upload.num_bytes

    def read(forged: bytes) -> None:
        try:
            asyncio.run(send(forged))
        except UploadError as error:
            raise WlaslError(error.reason) from error
        assert os.listdir(directory) == []

    return Kind(content=body, change=changed_bytes, read=read)


def request_kind(directory: Path) -> Kind:
    """A request as it comes over the wire: its head, and a video as its body."""
    import h11
    from running_server import form
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from wlasl_tfrecord.serving.app import _count, _flag, _http_error, _upload_error
    from wlasl_tfrecord.serving.guard import Guard
    from wlasl_tfrecord.serving.options import ServeOptions
    from wlasl_tfrecord.serving.upload import UploadError, received

    options = ServeOptions(max_mib=1, token="t" * 20)

    async def predict(request: Request) -> JSONResponse:
        _count(request, "top", 5)
        _flag(request, "frames")
        async with received(request, directory, options) as upload:
            return JSONResponse({"num_bytes": upload.num_bytes})

    app = Guard(
        Starlette(
            routes=[Route("/predict", predict, methods=["POST"])],
            exception_handlers={
                HTTPException: _http_error,
                UploadError: _upload_error,
            },
        ),
        options,
    )

    async def answer(scope: Mapping[str, Any], body: bytes) -> int:
        status: list[int] = []

        async def receive() -> Mapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])

        await app(dict(scope), receive, send)  # pyright: ignore
        return status[0]

    def read(forged: bytes) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            connection.receive_data(forged)
            request, body = connection.next_event(), b""
            if not isinstance(request, h11.Request):
                raise WlaslError("no request")
            while isinstance(event := connection.next_event(), h11.Data):
                body += bytes(event.data)
        except h11.RemoteProtocolError as error:
            raise WlaslError("refused") from error
        path, _, query = bytes(request.target).partition(b"?")
        scope = {
            "type": "http",
            "method": request.method.decode(),
            "path": unquote(path.decode("ascii")),
            "query_string": query,
            "headers": list(request.headers),
        }
        status = asyncio.run(answer(scope, body))
        assert os.listdir(directory) == []
        if status != 200:
            raise WlaslError(f"status {status}")

    body, headers = form(b"a video" * 20)
    lines = [
        "POST /predict?top=3&frames=true HTTP/1.1",
        "Host: 127.0.0.1:8000",
        "Origin: http://127.0.0.1:8000",
        f"Authorization: Bearer {options.token}",
        f"Content-Type: {headers['Content-Type']}",
        f"Content-Length: {len(body)}",
    ]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return Kind(content=head + body, change=changed_bytes, read=read)


KINDS = {"upload": upload_kind, "request": request_kind}

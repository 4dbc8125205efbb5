"""The page and the HTTP interface of a trained model."""

import asyncio
import base64
import contextlib
import dataclasses
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wlasl_tfrecord import __version__
from wlasl_tfrecord.inference.ranking import ranked_json, top_glosses
from wlasl_tfrecord.inference.trained_model import TrainedModel
from wlasl_tfrecord.inference.window_options import WindowOptions
from wlasl_tfrecord.serving import openapi
from wlasl_tfrecord.serving.guard import Guard
from wlasl_tfrecord.serving.options import ServeOptions
from wlasl_tfrecord.serving.recogniser import NoClipError, Recogniser, Recognition
from wlasl_tfrecord.serving.upload import UploadError, received

__all__ = ["running_app"]

_PAGES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/live.js": ("live.js", "text/javascript"),
}
# Good enough to see what a frame shows.
_JPEG_QUALITY = 85


@contextlib.contextmanager
def running_app(model: TrainedModel, options: ServeOptions) -> Iterator[Starlette]:
    """Starts the decoders and the network, and yields the ASGI application of a model.

    Processes, threads and temporary files end with the context.

    Args:
        model: What `load_model` returned.
        options: Limits, and the token.

    Raises:
        WlaslError: If no decoder process can be started.
    """
    recogniser = Recogniser(model, options)
    try:
        with tempfile.TemporaryDirectory(prefix="wlasl-serve-") as directory:
            service = _Service(model, options, recogniser, Path(directory))
            app = Starlette(
                routes=[
                    *(Route(path, _page(*page)) for path, page in _PAGES.items()),
                    Route("/healthz", service.healthz),
                    Route("/model", service.model),
                    Route("/openapi.json", service.openapi),
                    Route("/predict", service.predict, methods=["POST"]),
                ],
                middleware=[Middleware(Guard, options=options)],
                exception_handlers={
                    HTTPException: _http_error,
                    UploadError: _upload_error,
                    NoClipError: _video_error,
                    Exception: _server_error,
                },
            )
            # One address each; another one is no page of ours.
            app.router.redirect_slashes = False
            yield app
    finally:
        recogniser.close()


class _Service:
    """What answers the requests: a model, its recogniser, and how many are at work."""

    def __init__(
        self,
        model: TrainedModel,
        options: ServeOptions,
        recogniser: Recogniser,
        directory: Path,
    ) -> None:
        self._model = model
        self._options = options
        self._recogniser = recogniser
        self._directory = directory
        self._num_at_work = 0

    async def healthz(self, _: Request) -> Response:
        """Answers that the server is up."""
        return JSONResponse({"ok": True, "num_at_work": self._num_at_work})

    async def model(self, _: Request) -> Response:
        """Answers what the model takes and knows, and what the limits are."""
        info, options = self._model.info, self._options
        limits = ("max_mib", "max_frames", "max_at_once")
        seconds = ("upload_seconds", "decode_seconds")
        return JSONResponse(
            {
                "name": self._model.path.resolve().parent.name,
                "glosses": info.glosses,
                "clip": dataclasses.asdict(info.clip),
                "framing": info.framing,
                "windows": dataclasses.asdict(WindowOptions()),
                "limits": {name: getattr(options, name) for name in limits + seconds},
                "version": __version__,
            }
        )

    async def openapi(self, _: Request) -> Response:
        """Answers what may be asked."""
        return JSONResponse(openapi.description(self._model.info, self._options))

    async def predict(self, request: Request) -> Response:
        """Answers which sign a video shows."""
        started = time.perf_counter()
        if unknown := request.query_params.keys() - {"top", "frames"}:
            name = min(unknown)[:40]
            raise HTTPException(
                400, f"no parameter {name!r}; there are 'top' and 'frames'"
            )
        top = _count(request, "top", self._options.top)
        with_frames = _flag(request, "frames")
        if self._num_at_work >= self._options.max_at_once:
            raise HTTPException(
                429,
                f"{self._num_at_work} videos are being recognised already, which is "
                "the limit; send it again in a second",
                {"retry-after": "1"},
            )
        self._num_at_work += 1
        try:
            async with received(request, self._directory, self._options) as upload:
                uploaded = time.perf_counter()
                future = self._recogniser.recognise(upload.path, upload.sha256)
                result = await asyncio.wrap_future(future)
            answer = self._answer(result, top)
            if with_frames:
                answer["frames"] = await asyncio.to_thread(_jpegs, result)
            answer["seconds"] = {
                "upload": uploaded - started,
                "decode": result.decode_seconds,
                "network": result.network_seconds,
                "total": time.perf_counter() - started,
            }
            return JSONResponse(answer)
        finally:
            self._num_at_work -= 1

    def _answer(self, result: Recognition, top: int) -> dict[str, Any]:
        info, decoded = self._model.info, result.decoded
        glosses, shares = top_glosses(result.probabilities, info.glosses, top)
        return {
            "predictions": ranked_json(glosses, shares),
            "num_video_frames": decoded.num_video_frames,
            "num_distinct_frames": decoded.num_distinct_frames,
            "frame_indices": decoded.frame_indices,
            "batch_size": result.batch_size,
        }


def _page(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    """Makes the answer that is a file of the page."""
    static = resources.files("wlasl_tfrecord.serving") / "static"
    content = (static / name).read_bytes()

    async def page(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return page


def _count(request: Request, name: str, default: int) -> int:
    """Reads a parameter that is a number from 1.

    Raises:
        HTTPException: If it is none.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 7 and int(text)):
        raise HTTPException(
            400, f"{name} must be a number from 1 to 999999, got {text[:40]!r}"
        )
    return int(text)


def _flag(request: Request, name: str) -> bool:
    """Reads a parameter that is true or false, and false by default.

    Raises:
        HTTPException: If it is neither.
    """
    text = request.query_params.get(name, "false")
    if text not in ("true", "false"):
        raise HTTPException(400, f"{name} must be true or false, got {text[:40]!r}")
    return text == "true"


def _jpegs(result: Recognition) -> list[str]:
    """Encodes the frames that the model saw, as JPEG in base64."""
    return [_jpeg(frame) for frame in result.decoded.frames]


def _jpeg(frame: NDArray[np.uint8]) -> str:
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _, jpeg = cv2.imencode(".jpg", frame[..., ::-1], quality)
    return base64.b64encode(jpeg.tobytes()).decode()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason, path = error.detail, request.scope["path"][:80]
    if error.status_code == 404:
        reason = f"nothing is at {path!r}; GET /openapi.json names every address"
    elif error.status_code == 405:
        allowed = set((error.headers or {}).get("Allow", "").split(", ")) - {"HEAD"}
        reason = f"{path} takes {' or '.join(sorted(allowed))}, not {request.method}"
    return JSONResponse({"error": reason}, error.status_code, error.headers)


async def _upload_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, UploadError)
    # What is left of the body is not read, so the connection cannot be used again.
    return JSONResponse({"error": error.reason}, error.status, {"connection": "close"})


async def _video_error(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 422)


async def _server_error(_: Request, error: Exception) -> Response:
    logging.getLogger("wlasl_tfrecord").error("a request failed", exc_info=error)
    return JSONResponse({"error": "the server failed; its own output has more"}, 500)

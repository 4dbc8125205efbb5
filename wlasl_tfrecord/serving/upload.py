"""An upload: the body of a request on its way into a temporary file."""

import contextlib
import errno
import hashlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import anyio
from python_multipart import multipart
from python_multipart.exceptions import MultipartParseError
from starlette.requests import ClientDisconnect, Request

from wlasl_tfrecord.serving.options import ServeOptions

__all__ = ["FIELD", "Upload", "UploadError", "received"]

# The name of the part of a form that is the video.
FIELD = "video"

# What a form may hold besides the video: boundaries, headers, small fields.
_FORM_BYTES = 2**16


class UploadError(Exception):
    """A request whose body is not taken.

    Args:
        status: The HTTP status that says so.
        reason: Why, for the sender.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A video that was received whole.

    Attributes:
        path: The file that holds it.
        num_bytes: Its size.
        sha256: The digest of its content, in hex.
    """

    path: Path
    num_bytes: int
    sha256: str


@contextlib.asynccontextmanager
async def received(
    request: Request, directory: Path, options: ServeOptions
) -> AsyncIterator[Upload]:
    """Receives the video of a request into a file that is gone afterwards.

    The body is the video itself, or a form (`multipart/form-data`) with the video in
    its field `video`. What the sender calls it is not looked at.

    Args:
        request: The request; its body was not read yet.
        directory: Where the file is made, under a name of our own.
        options: The limits.

    Yields:
        The video.

    Raises:
        UploadError: If there is no video, it is larger or slower than the limits
            allow, the sender went away, or there is no room for it.
    """
    most = options.max_mib * 2**20
    _check_announced(request, most)
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        sink = _Sink(file=file, most=most)
        form = _form_parser(request, sink)
        try:
            with anyio.fail_after(options.upload_seconds):
                async for data in request.stream():
                    sink.count(data)
                    if form is None:
                        sink.write(data)
                    else:
                        _parse(form, data)
                        sink.check_form()
            file.flush()
        except TimeoutError as error:
            raise UploadError(
                408,
                f"the upload took longer than {options.upload_seconds:g} seconds",
            ) from error
        except ClientDisconnect as error:
            raise UploadError(400, "the upload was cut off") from error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            reason = f"the server has no room for this video: {error.strerror}"
            raise UploadError(507, reason) from error
        if form is not None and not sink.is_complete:
            raise UploadError(400, f"the form has no whole field {FIELD!r} with a file")
        if not sink.num_bytes:
            raise UploadError(400, "the video is empty: 0 bytes were sent")
        yield Upload(
            path=Path(file.name),
            num_bytes=sink.num_bytes,
            sha256=sink.digest.hexdigest(),
        )


@dataclass(kw_only=True)
class _Sink:
    """What of a body was received.

    Attributes:
        file: Where the video goes.
        most: The largest size of a video, in bytes.
        digest: The SHA-256 of what was written.
        num_received: Bytes of the body that were read.
        num_bytes: Bytes of the video that were written.
        header: The header of a form's part that is being read: its name and value.
        is_video: Whether that part is the video.
        is_complete: Whether the whole video was written.
    """

    file: IO[bytes]
    most: int
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    num_received: int = 0
    num_bytes: int = 0
    header: list[bytes] = field(default_factory=lambda: [b"", b""])
    is_video: bool = False
    is_complete: bool = False

    def count(self, data: bytes) -> None:
        """Counts a piece of the body.

        Raises:
            UploadError: If the body becomes too large, whatever it holds.
        """
        self.num_received += len(data)
        if self.num_received > self.most + _FORM_BYTES:
            raise _too_large(self.most)

    def check_form(self) -> None:
        """Checks how much a form holds besides the video.

        Headers and small parts without end would keep the server busy, or its memory.

        Raises:
            UploadError: If it is too much.
        """
        # A piece is parsed as a whole, and the last few bytes may be a boundary's.
        if self.num_received - self.num_bytes > 2 * _FORM_BYTES:
            raise UploadError(
                413, f"the form holds more than {FIELD!r} and a few small fields"
            )

    def write(self, data: bytes) -> None:
        """Writes a piece of the video.

        Raises:
            UploadError: If the video becomes too large.
        """
        self.num_bytes += len(data)
        if self.num_bytes > self.most:
            raise _too_large(self.most)
        self.digest.update(data)
        self.file.write(data)


def _check_announced(request: Request, most: int) -> None:
    """Refuses a body by the size that its header announces, before it is read."""
    announced = request.headers.get("content-length", "")
    # Whatever else a number may look like, the server has refused it already.
    if announced.isascii() and announced.isdigit() and int(announced) > most:
        is_form = _media_type(request)[0] == b"multipart/form-data"
        if not is_form or int(announced) > most + _FORM_BYTES:
            raise _too_large(most)


def _too_large(most: int) -> UploadError:
    return UploadError(413, f"the video is larger than {most // 2**20} MiB")


def _media_type(request: Request) -> tuple[bytes, dict[bytes, bytes]]:
    return multipart.parse_options_header(request.headers.get("content-type", ""))


def _form_parser(request: Request, sink: _Sink) -> multipart.MultipartParser | None:
    """Returns a parser that writes a form's video into a sink; None if it is no form.

    Raises:
        UploadError: If it is a form that no parser could read.
    """
    media_type, parameters = _media_type(request)
    if media_type == b"application/x-www-form-urlencoded":
        raise UploadError(
            415, f"send the video itself, or a multipart/form-data form with {FIELD!r}"
        )
    if media_type != b"multipart/form-data":
        return None
    boundary = parameters.get(b"boundary", b"")
    # The standard's limit, RFC 2046.
    if not 1 <= len(boundary) <= 70:
        raise UploadError(400, "the form names no boundary of 1 to 70 characters")

    def on_part_begin() -> None:
        sink.is_video = False
        sink.header = [b"", b""]

    def on_header(number: int, data: bytes, start: int, stop: int) -> None:
        sink.header[number] += data[start:stop]

    def on_header_end() -> None:
        name, value = sink.header
        sink.header = [b"", b""]
        if name.lower() == b"content-disposition":
            options = multipart.parse_options_header(value)[1]
            is_named = options.get(b"name") == FIELD.encode()
            # The first, if several have the name.
            sink.is_video = is_named and not sink.num_bytes

    def on_part_data(data: bytes, start: int, stop: int) -> None:
        if sink.is_video:
            sink.write(data[start:stop])

    def on_part_end() -> None:
        sink.is_complete |= sink.is_video

    return multipart.MultipartParser(
        boundary,
        {
            "on_part_begin": on_part_begin,
            "on_header_field": lambda *piece: on_header(0, *piece),
            "on_header_value": lambda *piece: on_header(1, *piece),
            "on_header_end": on_header_end,
            "on_part_data": on_part_data,
            "on_part_end": on_part_end,
        },
    )


def _parse(parser: multipart.MultipartParser, data: bytes) -> None:
    try:
        parser.write(data)
    except MultipartParseError as error:
        raise UploadError(400, f"the form cannot be read: {error}") from error

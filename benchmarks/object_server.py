"""An object store on this machine, as fast as loopback allows, to measure readers with.

    python benchmarks/object_server.py FOLDER [--port 8333] [--gbit 1]

It serves the files of a folder by HTTP, by ranges of bytes, and by as much of S3's
protocol as reading needs: objects of the bucket `bucket`, their ETags, and lists of
them. Bodies go by `sendfile`, so that little of a core is spent here. No password.
"""

import argparse
import os
import re
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

__all__ = ["ObjectServer"]

_BUCKET = "/bucket/"
_PIECE_BYTES = 2**18
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class ObjectServer(ThreadingHTTPServer):
    """Serves a folder until it is shut down."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, folder: Path, port: int = 0, gbit: float = 0.0) -> None:
        """Opens the port.

        Args:
            folder: What is served.
            port: Where, on 127.0.0.1; 0 for any that is free.
            gbit: Gbit/s that all bodies together may take; 0 for no limit.
        """
        super().__init__(("127.0.0.1", port), _Handler)
        self.folder = folder.resolve()
        self._bytes_per_second = gbit * 1e9 / 8
        self._lock = threading.Lock()
        self._free_at = 0.0

    def wait_to_send(self, num_bytes: int) -> None:
        """Waits until the bandwidth allows so many bytes more."""
        if not self._bytes_per_second:
            return
        with self._lock:
            start = max(time.monotonic(), self._free_at)
            self._free_at = until = start + num_bytes / self._bytes_per_second
        time.sleep(max(until - time.monotonic(), 0))


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ObjectServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Prints nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.rstrip("/") + "/" == _BUCKET and "list-type" in url.query:
            self._list(parse_qs(url.query).get("prefix", [""])[0])
            return
        name = unquote(url.path.removeprefix(_BUCKET).lstrip("/"))
        path = (self.server.folder / name).resolve()
        if not path.is_relative_to(self.server.folder) or not path.is_file():
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        with path.open("rb") as file:
            self._send(file)

    def _send(self, file) -> None:
        """Sends a file, or the range of it that was asked for."""
        facts = os.fstat(file.fileno())
        start, stop = 0, facts.st_size
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        if match:
            first, last = match.groups()
            if first:
                start = int(first)
                stop = min(int(last) + 1, stop) if last else stop
            else:
                start = max(stop - int(last), 0)
        if start >= facts.st_size and match:
            self._answer(416, b"")
            return
        self.send_response(206 if match else 200)
        self.send_header("Content-Length", str(stop - start))
        if match:
            range_ = f"bytes {start}-{stop - 1}/{facts.st_size}"
            self.send_header("Content-Range", range_)
        self.send_header("ETag", f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"')
        self.send_header("Last-Modified", formatdate(facts.st_mtime, usegmt=True))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.wfile.flush()
        while start < stop and self.command == "GET":
            num_bytes = min(stop - start, _PIECE_BYTES)
            self.server.wait_to_send(num_bytes)
            start += os.sendfile(
                self.connection.fileno(), file.fileno(), start, num_bytes
            )

    def _list(self, prefix: str) -> None:
        """Lists the files whose path begins with a prefix."""
        rows = []
        for path in sorted(self.server.folder.rglob("*")):
            key = path.relative_to(self.server.folder).as_posix()
            if path.is_file() and key.startswith(prefix):
                facts = path.stat()
                rows.append(
                    f"<Contents><Key>{escape(key)}</Key><Size>{facts.st_size}</Size>"
                    "<LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                    f"<ETag>&quot;{facts.st_mtime_ns:x}-{facts.st_size:x}&quot;</ETag>"
                    "</Contents>"
                )
        text = "".join(rows)
        self._answer(
            200,
            f"<ListBucketResult><IsTruncated>false</IsTruncated>{text}"
            "</ListBucketResult>".encode(),
        )

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8333)
    parser.add_argument("--gbit", type=float, default=0.0, help="0 for no limit")
    arguments = parser.parse_args()
    with ObjectServer(arguments.folder, arguments.port, arguments.gbit) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

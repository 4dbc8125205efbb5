"""A real S3 server on 127.0.0.1, and a proxy before it that injects faults."""

import contextlib
import http.client
import logging
import time
import urllib.request
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

import pytest

# `bin/test` installs both; an environment of one's own may lack them.
pytest.importorskip("obstore")

BUCKET = "bucket"
_HOP = {"connection", "transfer-encoding", "content-length", "server", "date"}


class Store:
    """Moto's S3 server behind the proxy.

    Attributes:
        url: The endpoint that a client is told.
        requests: (method, path) of every request that came, without queries.
    """

    def __init__(self):
        moto = pytest.importorskip("moto.server")
        # It logs every request.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._moto.start()
        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._proxy.daemon_threads = True
        # A client that has waited for too long is gone.
        self._proxy.handle_error = lambda *_: None
        self._proxy.store = self
        Thread(target=self._proxy.serve_forever, args=(0.01,), daemon=True).start()
        self.upstream = self._moto.get_host_and_port()
        self.url = f"http://127.0.0.1:{self._proxy.server_address[1]}"
        self.requests, self._faults, self._lock = [], [], Lock()
        request = urllib.request.Request(f"{self.url}/{BUCKET}", method="PUT")
        urllib.request.urlopen(request).close()

    def stop(self):
        self._proxy.shutdown()
        self._proxy.server_close()
        self._moto.stop()

    def fail(self, kind, path="", times=1, method="GET"):
        """Lets the next requests for paths that contain `path` fail.

        Args:
            kind: "cut": half of the body, then the connection ends. "short": a whole
                answer with half of the bytes. "refuse": no answer. "lost": none to
                what was done. "slow": the first byte comes after 5 s. "etag": another
                ETag. An int: that status.
            path: Part of their path.
            times: How many of them.
            method: GET, PUT …
        """
        with self._lock:
            self._faults += [(kind, path, method)] * times

    def take_fault(self, method, path):
        with self._lock:
            self.requests.append((method, path.partition("?")[0]))
            for fault in self._faults:
                if fault[1] in path and fault[2] == method:
                    self._faults.remove(fault)
                    return fault[0]
        return None

    def count(self, part="", method="GET"):
        """Counts the requests for paths that contain `part`."""
        return sum(m == method and part in path for m, path in self.requests)

    def reset(self):
        with self._lock:
            self.requests, self._faults = [], []

    def put(self, key, content):
        """Stores an object without a request."""
        self._backend().put_object(BUCKET, key, content)

    def make_older(self, key, seconds):
        """Has an object be written earlier than it was."""
        found = self._backend().get_object(BUCKET, key)
        found.last_modified -= timedelta(seconds=seconds)

    def _backend(self):
        from moto.s3.models import s3_backends

        (account,) = s3_backends
        return s3_backends[account]["aws"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _forward(self):
        store = self.server.store
        fault = store.take_fault(self.command, self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault == "refuse":
            self.close_connection = True
            return
        if fault == "slow":
            time.sleep(5)
        if isinstance(fault, int):
            self._answer(fault, {}, b"<Error><Code>Injected</Code></Error>")
            return
        upstream = http.client.HTTPConnection(*store.upstream)
        with contextlib.closing(upstream):
            upstream.request(self.command, self.path, content, dict(self.headers))
            answer = upstream.getresponse()
            body = answer.read()
            headers = {
                name: value
                for name, value in answer.getheaders()
                if name.lower() not in _HOP
            }
        if fault == "lost":
            self.close_connection = True
            return
        if fault == "etag":
            headers["ETag"] = '"another"'
        length = int(answer.headers.get("Content-Length", len(body)))
        if fault == "short":
            body = body[: len(body) // 2]
            length = len(body)
        if fault == "cut":
            body = body[: len(body) // 2]
            self.close_connection = True
        self._answer(answer.status, headers, body, length)

    def _answer(self, status, headers, body, length=None):
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            length = len(body) if length is None else length
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward  # noqa: N815


@contextlib.contextmanager
def running_store():
    """Yields a store, and sets the environment so that S3's clients use it."""
    store = Store()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in credentials(store).items():
                patch.setenv(name, value)
            yield store
    finally:
        store.stop()


def credentials(store):
    """Returns the variables by which a client finds a store."""
    return {
        "AWS_ENDPOINT_URL": store.url,
        "AWS_ACCESS_KEY_ID": "AKIAtestkey",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t-of-the-test",
        "AWS_REGION": "us-east-1",
        # boto3 looks for files, which are the user's own.
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }


def upload_folder(folder, url):
    """Puts the files of a local folder, and of those in it, at s3://bucket/…."""
    import obstore
    from obstore.store import S3Store

    prefix = url.removeprefix(f"s3://{BUCKET}/")
    store = S3Store(BUCKET, prefix=prefix, client_options={"allow_http": True})
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = str(path.relative_to(folder))
            obstore.put(store, name, path.read_bytes())

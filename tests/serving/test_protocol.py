"""Connections to a real server, by senders that take their time."""

import contextlib
import socket
import threading
import time

import pytest
from running_server import serving
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from wlasl_tfrecord.serving.options import ServeOptions

SECONDS = 0.6
HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
TOO_LONG = b"HTTP/1.1 408 Request Timeout\r\n"


async def hello(_):
    return PlainTextResponse("hello")


@pytest.fixture(scope="module")
def port():
    app = Starlette(routes=[Route("/", hello)])
    with serving(app, ServeOptions(header_seconds=SECONDS)) as port:
        yield port


@contextlib.contextmanager
def connected(port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        yield client


def read_all(client):
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(2**16):
            pieces.append(piece)
    return b"".join(pieces)


def drip(client, content):
    """Sends a byte every 50 ms, until the other side closes."""

    def send():
        with contextlib.suppress(OSError):
            for byte in content:
                client.sendall(bytes([byte]))
                time.sleep(0.05)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_who_sends_the_head_byte_by_byte_is_sent_away(port):
    started = time.monotonic()
    with connected(port) as client:
        thread = drip(client, HEAD + b"X: " + b"x" * 600)
        answer = read_all(client)
        seconds = time.monotonic() - started
        thread.join()
    assert answer.startswith(TOO_LONG)
    assert b'{"error":"the head of the request took too long"}' in answer
    assert SECONDS * 0.9 < seconds < 20  # of more than 30 that it would send for


def test_who_sends_nothing_is_sent_away(port):
    with connected(port) as client:
        assert read_all(client).startswith(TOO_LONG)


def test_a_second_request_may_not_take_longer_than_the_first(port):
    with connected(port) as client:
        client.sendall(HEAD + b"\r\n")
        assert client.recv(2**16).startswith(b"HTTP/1.1 200 OK")
        # An idle connection is another matter, which Uvicorn decides.
        time.sleep(SECONDS * 1.3)
        client.sendall(HEAD)
        answer = read_all(client)
    assert b"hello" in answer or answer.startswith(TOO_LONG)
    assert answer.rpartition(b"HTTP/1.1 ")[2].startswith(b"408")


def test_a_head_in_time_is_answered(port):
    with connected(port) as client:
        client.sendall(HEAD)
        time.sleep(SECONDS / 3)
        client.sendall(b"Connection: close\r\n\r\n")
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"hello")

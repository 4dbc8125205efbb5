"""What a server takes as a video, and what it costs if it is none."""

import contextlib
import socket
import threading
import time

import pytest
from limits import largest_file
from running_server import ask, form, serving
from served_model import OPTIONS

from wlasl_tfrecord.serving.app import running_app


def test_two_gigabytes_are_refused_when_they_are_announced(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Length: 2147483648\r\n\r\n"
        )
        # Nothing of the body was sent.
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"the video is larger than 1 MiB" in answer


def read_all(client):
    pieces = []
    while piece := client.recv(2**16):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("kind", ["plain", "form"])
def test_a_size_that_nobody_announced_is_limited_as_well(port, kind):
    content = b"\x00" * (2**20 + 2**17)
    body, headers = form(content) if kind == "form" else (content, {})

    def pieces():
        for start in range(0, len(body), 2**14):
            yield body[start : start + 2**14]

    try:
        answer = ask(port, "/predict", pieces(), headers, method="POST")
    except (BrokenPipeError, ConnectionResetError):
        # It answered and closed before all was sent.
        return
    assert answer.status == 413


def test_a_form_may_not_hide_more_than_a_video_in_other_fields(port, video):
    more, headers = form(b"\x00" * (2**20 + 2**17), name="other")
    body, _ = form(video)
    try:
        answer = ask(port, "/predict", more[: -len(b"--edge--\r\n")] + body, headers)
    except (BrokenPipeError, ConnectionResetError):
        return
    assert answer.status == 413


def many_parts():
    part = b'--edge\r\nContent-Disposition: form-data; name="x"\r\n\r\n\r\n'
    return part * 4000


def long_header():
    return b"--edge\r\nX-Long: " + b"x" * 300_000 + b"\r\n\r\n"


@pytest.mark.parametrize("other", [many_parts, long_header])
def test_a_form_may_not_hold_much_besides_the_video(port, video, other):
    body, headers = form(video)
    try:
        answer = ask(port, "/predict", other() + body, headers)
    except (BrokenPipeError, ConnectionResetError):
        return
    assert answer.status in (400, 413)
    assert answer.json["error"].startswith(
        ("the form holds more than 'video'", "the form cannot be read")
    )


@pytest.mark.parametrize(
    ("body", "content_type", "status", "error"),
    [
        (b"", "video/mp4", 400, "the video is empty: 0 bytes were sent"),
        (form(b"")[0], form(b"")[1]["Content-Type"], 400, "the video is empty"),
        (
            form(b"x", name="file")[0],
            "multipart/form-data; boundary=edge",
            400,
            "the form has no whole field 'video' with a file",
        ),
        (
            form(b"x" * 99)[0][:-20],
            "multipart/form-data; boundary=edge",
            400,
            "the form has no whole field 'video' with a file",
        ),
        (b"no form", "multipart/form-data; boundary=edge", 400, "the form cannot be"),
        (b"x", "multipart/form-data", 400, "the form names no boundary of 1 to 70"),
        (
            b"video=x",
            "application/x-www-form-urlencoded",
            415,
            "send the video itself, or a multipart/form-data form with 'video'",
        ),
    ],
)
def test_a_body_without_a_video_is_refused(port, body, content_type, status, error):
    answer = ask(port, "/predict", body, {"Content-Type": content_type})
    assert answer.status == status
    assert answer.json["error"].startswith(error)


@pytest.mark.parametrize(
    "name", ["../../../../tmp/evil.mp4", "/etc/passwd", "a\\..\\b", "x" * 3000, "\0"]
)
def test_the_name_of_a_video_never_reaches_the_file_system(port, video, name, capfd):
    body, headers = form(video, filename=name)
    answer = ask(port, "/predict", body, headers)
    assert answer.status == 200
    assert capfd.readouterr().err == ""


def test_a_slow_sender_is_sent_away(port, video):
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n\r\n"
        )
        stop = threading.Event()

        def drip():
            with contextlib.suppress(OSError):
                while not stop.wait(0.1):
                    client.sendall(b"\x00")

        thread = threading.Thread(target=drip)
        thread.start()
        answer = client.recv(2**16)
        stop.set()
        thread.join()
        answer += client.recv(2**16)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the upload took longer than 2 seconds" in answer
    assert time.monotonic() - started > 1.5


def test_a_sender_that_goes_away_costs_nothing(port, video):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n\r\n"
        )
        client.sendall(video[:1000])
    deadline = time.monotonic() + 10
    while ask(port, "/healthz").json["num_at_work"]:
        assert time.monotonic() < deadline
    assert ask(port, "/predict", video).status == 200


def test_a_full_disk_is_told(model, video):
    big = video + b"\x00" * 100_000
    with running_app(model, OPTIONS) as app, serving(app) as port:
        with largest_file(4096):
            answer = ask(port, "/predict", big)
        assert answer.status == 507
        assert answer.json["error"].startswith("the server has no room for this video")

import contextlib
import datetime
import os
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from checkout import CHECKOUT
from object_stores import BUCKET

from benchmarks.object_server import ObjectServer
from wlasl_tfrecord.errors import StoreError
from wlasl_tfrecord.storage import object_store, store_client
from wlasl_tfrecord.storage.contents import file_sizes, read_bytes
from wlasl_tfrecord.storage.object_store import ObjectChanged, ObjectStore
from wlasl_tfrecord.storage.passwords import password_headers

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def store(server, monkeypatch):
    """A store that tries again soon."""
    millisecond = datetime.timedelta(milliseconds=1)
    monkeypatch.setitem(object_store._BACKOFF, "init_backoff", millisecond)
    monkeypatch.setitem(object_store._BACKOFF, "max_backoff", 10 * millisecond)
    store = ObjectStore(f"s3://{BUCKET}/folder")
    store.write("key", CONTENT)
    server.reset()
    return store


def test_ranges_are_read_by_one_request_each(server, store):
    for start, stop in ((0, None), (10, 20), (5, None), (9_000, 99_000)):
        found = store.read("key", start, stop)
        assert bytes(found.data) == CONTENT[start:stop]
        assert (found.num_bytes, found.e_tag) == (len(CONTENT), found.e_tag)
    assert server.requests == [("GET", f"/{BUCKET}/folder/key")] * 4


@pytest.mark.parametrize("fault", ["cut", "short", "refuse", 500, 503, 429])
def test_what_fails_on_the_way_is_asked_for_again(server, store, fault):
    server.fail(fault, "/key", times=2)
    assert bytes(store.read("key", 10, 9_000).data) == CONTENT[10:9_000]
    assert server.count("/key") == 3


def test_a_slow_answer_is_asked_for_again(server, store, monkeypatch):
    second = datetime.timedelta(seconds=1)
    monkeypatch.setitem(store_client._CLIENT, "read_timeout", second)
    store = ObjectStore(f"s3://{BUCKET}/folder")
    server.fail("slow", "/key")
    assert bytes(store.read("key", 10, 9_000).data) == CONTENT[10:9_000]
    assert server.count("/key") >= 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("short", "4 answers were too short: 4495"), (500, "500 Internal Server Error")],
)
def test_tries_have_an_end(server, store, fault, reason):
    server.fail(fault, "/key", times=20)
    with pytest.raises(OSError, match=reason) as caught:
        store.read("key", 10, 9_000)
    assert caught.value.filename == f"s3://{BUCKET}/folder/key"
    assert server.count("/key") in (4, 5)


def test_another_content_is_an_error_by_name(server, store):
    e_tag = store.read("key").e_tag
    # A server that does not know `If-Match` says it only in the answer.
    server.fail("etag", "/key")
    with pytest.raises(ObjectChanged, match=r"was replaced after.*/folder/key"):
        store.read("key", 0, 9, e_tag=e_tag)
    store.write("key", CONTENT[::-1])
    with pytest.raises(ObjectChanged, match=r"was replaced after.*/folder/key"):
        store.read("key", 0, 9, e_tag=e_tag)


def test_a_missing_object_and_a_refusal_are_told_apart(server, store):
    with pytest.raises(FileNotFoundError, match=r"folder/none"):
        store.read("none")
    server.fail(403, "/key")
    with pytest.raises(PermissionError, match=r"403 Forbidden: Injected"):
        store.read("key")


def test_more_than_a_thousand_objects_are_listed(server):
    # S3 lists a thousand with one answer.
    for number in range(1_003):
        server.put(f"many/{number:04}", bytes(number % 7))
    server.put("many/below/0", b"of another folder")
    sizes = file_sizes(f"s3://{BUCKET}/many")
    assert sizes == {f"{number:04}": number % 7 for number in range(1_003)}
    assert file_sizes(f"s3://{BUCKET}/none") == {}


def test_a_large_object_is_written_whole_or_not_at_all(
    server, store, tmp_path, monkeypatch
):
    monkeypatch.setattr(object_store, "_PART_BYTES", 5 * 2**20)
    path = tmp_path / "large"
    path.write_bytes(CONTENT * 600)  # two parts
    server.fail(403, "partNumber=2", method="PUT")
    with pytest.raises(PermissionError, match=r"folder/large"):
        store.write("large", path)
    assert "large" not in store.sizes()
    # The parts that were written cost money until they are deleted.
    assert server.count("/large", "DELETE")
    store.write("large", path)
    assert store.sizes()["large"] == path.stat().st_size
    store.delete(["large"])
    assert "large" not in store.sizes()


def test_files_are_read_by_plain_http(tmp_path):
    (tmp_path / "key").write_bytes(CONTENT)
    with ObjectServer(tmp_path) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert read_bytes(f"{url}/key") == CONTENT
        assert read_bytes(f"{url}/key", 3, 4) == CONTENT[3:7]
        assert file_sizes(url) is None
        with pytest.raises(FileNotFoundError, match="none"):
            read_bytes(f"{url}/none")
        server.shutdown()


def test_a_password_comes_from_netrc_and_goes_to_its_host_alone(tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text(
        "machine my.host login me password hidden\ndefault login all password hidden\n"
    )
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    headers = password_headers("my.host")
    assert headers == {"Authorization": "Basic bWU6aGlkZGVu"}
    assert password_headers("other.host") == {}


def test_a_server_that_redirects_to_another_host_gets_no_password_there(
    tmp_path, monkeypatch
):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hidden\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = []

    class Redirecting(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers["Host"].partition(":")[0])
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{port}/a")
            self.end_headers()

        def do_HEAD(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        port = server.server_address[1]
        with pytest.raises(PermissionError, match="redirects to another host") as error:
            read_bytes(f"http://127.0.0.1:{port}/key")
        server.shutdown()
    assert set(asked) == {"127.0.0.1"}
    assert "hidden" not in str(error.value)


def test_a_list_without_an_end_is_refused(server, store, monkeypatch):
    for number in range(3):
        server.put(f"folder/{number}", b"")
    monkeypatch.setattr(object_store, "_MOST_OBJECTS", 2)
    with pytest.raises(OSError, match="there are more than 2 objects"):
        store.walk()


def test_keys_come_from_a_profile(server, tmp_path, monkeypatch):
    (tmp_path / "credentials").write_text(
        "[work]\naws_access_key_id = AKIAprofile\naws_secret_access_key = hidden\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_PROFILE", "work")
    provider = store_client._aws_profile()["credential_provider"]
    assert provider()["access_key_id"] == "AKIAprofile"
    monkeypatch.setenv("AWS_PROFILE", "none")
    with pytest.raises(StoreError, match=r"cannot take credentials.*none.*check the"):
        ObjectStore(f"s3://{BUCKET}/folder")


def test_a_server_in_place_of_googles_is_asked_without_a_password(monkeypatch):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, "Authorization" in self.headers))
            self.send_response(200)
            self.send_header("ETag", '"1"')
            self.send_header("Last-Modified", "Sun, 29 Nov 2026 11:00:00 GMT")
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        address = f"127.0.0.1:{server.server_address[1]}"
        for host in (address, f"http://{address}"):
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)
            found = ObjectStore("gs://bucket/folder").read("key")
            assert bytes(found.data) == CONTENT
        server.shutdown()
    assert asked == [("/bucket/folder%2Fkey", False)] * 2


def test_nothing_that_is_secret_is_in_an_error(server, store):
    server.fail(403, "/key")
    with pytest.raises(PermissionError) as caught:
        store.read("key")
    shown = f"{caught.value} {caught.value!r} {store!r}"
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in shown
    assert os.environ["AWS_ACCESS_KEY_ID"] not in shown


def test_a_store_that_is_not_there_is_one_line_soon(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    started = time.monotonic()
    with pytest.raises(OSError, match="error sending request") as caught:
        ObjectStore("s3://bucket/folder").read("key")
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 60


def test_without_obstore_one_line_names_the_extra():
    code = (
        "import sys; sys.modules['obstore'] = None\n"
        "from wlasl_tfrecord.storage.object_store import open_store\n"
        "open_store('s3://bucket/folder')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert (
        "StoreError: s3://bucket/folder is read by the package obstore" in done.stderr
    )
    assert "pip install 'wlasl-tfrecord[remote]'" in done.stderr


def test_a_server_that_sends_more_than_it_says_fills_no_memory():
    head = (
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-11/1000\r\n"
        b"Content-Length: 100000000000\r\nETag: x\r\n"
        b"Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n"
    )

    def answer(listener):
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(2**16)
            connection.sendall(head)
            # Until the other end has had enough.
            while True:
                connection.sendall(bytes(2**20))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=answer, args=[listener], daemon=True)
        thread.start()
        store = ObjectStore(f"http://127.0.0.1:{listener.getsockname()[1]}/folder")
        with pytest.raises(OSError, match="the server sends more than it says"):
            store.read("key", 0, 12)
        thread.join(60)
        assert not thread.is_alive()

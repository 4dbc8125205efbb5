"""A real headless Chromium, driven over the WebDriver protocol, for tests."""

import base64
import functools
import http.client
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.inference.trained_model import TrainedModel
from wlasl_tfrecord.serving.web_export import export_web

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or CHROMEDRIVER is None,
    reason="no chromium and chromedriver (Debian: apt install chromium-driver)",
)

_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--disable-dev-shm-usage"),
    # A camera that plays a film, and a person who allows it.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
# The name of an element in WebDriver's JSON.
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

TAB, ENTER, SPACE = "\ue004", "\ue007", " "


class Browser:
    """One window of Chromium."""

    def __init__(self, port: int, arguments: Sequence[str]) -> None:
        self._port = port
        self._session = ""
        options = {"binary": CHROMIUM, "args": [*_FLAGS, *arguments]}
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        body = {"capabilities": {"alwaysMatch": wanted}}
        self._session = f"/session/{self._ask('POST', '/session', body)['sessionId']}"

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, self._session + path, text)
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and {"error", "message"} <= value.keys():
            raise RuntimeError(f"{value['error']}: {value['message']}")
        return value

    def close(self) -> None:
        """Closes the window."""
        self._ask("DELETE", "")

    def open(self, url: str) -> None:
        """Loads a page."""
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """Runs a function's body in the page, and returns what it returns."""
        return self._ask(
            "POST", "/execute/sync", {"script": script, "args": list(arguments)}
        )

    def find(self, selector: str) -> str:
        """Returns the element that a CSS selector names."""
        found = {"using": "css selector", "value": selector}
        return self._ask("POST", "/element", found)[_ELEMENT]

    def text(self, selector: str) -> str:
        """Returns the text of an element as it is shown."""
        return self._ask("GET", f"/element/{self.find(selector)}/text")

    def click(self, selector: str) -> None:
        """Clicks an element."""
        self._ask("POST", f"/element/{self.find(selector)}/click", {})

    def choose(self, selector: str, path: Path) -> None:
        """Chooses a file in a field."""
        element = self.find(selector)
        self._ask("POST", f"/element/{element}/value", {"text": str(path)})

    def role_and_label(self, selector: str) -> tuple[str, str]:
        """Returns what a screen reader is told of an element."""
        element = f"/element/{self.find(selector)}"
        role = self._ask("GET", f"{element}/computedrole")
        return role, self._ask("GET", f"{element}/computedlabel")

    def press(self, key: str) -> None:
        """Presses a key."""
        strokes = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        keyboard = {"type": "key", "id": "keyboard", "actions": strokes}
        self._ask("POST", "/actions", {"actions": [keyboard]})

    def focused(self) -> str:
        """Returns the id of the element that has the focus."""
        return self.run("return document.activeElement.id")

    def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Gives the page another size, in pixels."""
        parameters = {
            "width": width,
            "height": height,
            "deviceScaleFactor": 1,
            "mobile": mobile,
        }
        self.devtools("Emulation.setDeviceMetricsOverride", parameters)

    def devtools(self, command: str, parameters: object) -> Any:
        """Runs a command of Chromium's own protocol."""
        body = {"cmd": command, "params": parameters}
        return self._ask("POST", "/goog/cdp/execute", body)

    def screenshot(self) -> bytes:
        """Returns a picture of the window, as PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def console(self) -> list[str]:
        """Returns what the page and the browser complained of since the last call."""
        entries = self._ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries]

    def wait_for(self, script: str, seconds: float = 60) -> Any:
        """Waits until an expression is true in the page, and returns it."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(f"return {script}")):
            status = self.run("return document.getElementById('status').textContent")
            assert time.monotonic() < deadline, f"{script}; the page says {status!r}"
        return value


@contextmanager
def chromium(folder: Path, *arguments: str) -> Iterator[Browser]:
    """Starts Chromium with an empty profile in a folder, and ends it."""
    assert CHROMEDRIVER is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = folder / "chromedriver.log"
    command = [CHROMEDRIVER, f"--port={port}", f"--log-path={log}"]
    driver = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for_driver(port)
        profile = f"--user-data-dir={folder / 'profile'}"
        browser = Browser(port, [profile, *arguments])
        try:
            yield browser
        finally:
            browser.close()
    finally:
        driver.terminate()
        driver.wait()


def _wait_for_driver(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, "chromedriver does not start"
        time.sleep(0.05)


def web_folder(model: TrainedModel, out: Path) -> Path:
    """Exports the page without a server; skips where LiteRT.js cannot be had.

    It comes from npm, or from the folder that WLASL_LITERT_DIR names.
    """
    try:
        return export_web(model, out, litert=os.environ.get("WLASL_LITERT_DIR")).path
    except OutputError as error:
        pytest.skip(str(error))


@contextmanager
def static_files(folder: Path) -> Iterator[int]:
    """Serves a folder on a free port of 127.0.0.1, and yields the port."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def write_camera_film(path: Path, video: Path, size: tuple[int, int]) -> Path:
    """Writes a video as the YUV4MPEG2 film that Chromium's camera plays in a loop."""
    width, height = size
    capture = cv2.VideoCapture(str(video))
    rate = round(capture.get(cv2.CAP_PROP_FPS))
    with path.open("wb") as film:
        film.write(f"YUV4MPEG2 W{width} H{height} F{rate}:1 Ip A1:1 C420\n".encode())
        while (shown := capture.read())[0]:
            frame = cv2.resize(shown[1], size)
            film.write(b"FRAME\n")
            film.write(cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes())
    return path

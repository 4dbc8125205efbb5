"""The folder of static files in a real browser, where the model runs without a server.

It loads LiteRT.js from npm, or from the folder that WLASL_LITERT_DIR names.
"""

import functools
import http.server
import json
import os
import threading

import cv2
import numpy as np
import pytest
from browser import chromium, needs_chromium, write_camera_film
from encoded_videos import encode_video

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.inference import trained_model
from wlasl_tfrecord.serving.web_export import export_web
from wlasl_tfrecord.synthetic.video import write_video
from wlasl_tfrecord.synthetic.videos import SyntheticConfig, plan_videos
from wlasl_tfrecord.video.decode import decode_clip

pytestmark = [pytest.mark.slow, needs_chromium]

DONE = "!document.getElementById('result').hidden"
BAD = "document.getElementById('status').classList.contains('bad')"


@pytest.fixture(scope="module")
def model(trained_run):
    return trained_model.load_model(trained_run)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    out = tmp_path_factory.mktemp("export")
    try:
        return export_web(model, out, litert=os.environ.get("WLASL_LITERT_DIR")).path
    except OutputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def port(folder):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *arguments):  # noqa: A002
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Drawn signers, in codecs that a browser plays."""
    config = SyntheticConfig(train_signers=1, val_signers=1, test_signers=1, repeats=1)
    folder = tmp_path_factory.mktemp("signers")
    encoded = []
    for planned, name in zip(plan_videos(config), ("libx264.mp4", "libvpx.webm")):
        capture = cv2.VideoCapture(str(write_video(folder, planned)))
        frames = []
        while (shown := capture.read())[0]:
            frames.append(np.ascontiguousarray(shown[1][..., ::-1]))
        path = folder / name
        encode_video(path, frames, codec=path.stem)
        encoded.append(path)
    return encoded


@pytest.fixture(scope="module")
def browser(tmp_path_factory, videos):
    profile = tmp_path_factory.mktemp("chromium")
    film = write_camera_film(profile / "film.y4m", videos[0], (320, 240))
    with chromium(profile, f"--use-file-for-fake-video-capture={film}") as browser:
        yield browser


@pytest.fixture
def page(browser, port):
    browser.open(f"http://127.0.0.1:{port}/")
    browser.wait_for("document.getElementById('limits').textContent")
    yield browser
    # No error, and nothing that the security policy stopped.
    assert [line for line in browser.console() if "SEVERE" in line] == []


def computed(page, clip):
    """The probabilities that the page computes for a clip, uint8 [T, H, W, 3]."""
    return page.run(
        "return window.probabilities(Uint8Array.from(arguments[0]))"
        ".then((shares) => Array.from(shares))",
        clip.ravel().tolist(),
    )


def test_the_browser_computes_what_python_does(page, model, videos):
    for video in videos:
        clip = decode_clip(video, clip=model.info.clip, framing="center")[0]
        expected = trained_model.probabilities(model, clip[None])[0]
        np.testing.assert_allclose(computed(page, clip), expected, atol=1e-3)


@pytest.mark.parametrize("number", [0, 1])
def test_a_chosen_video_is_recognised(page, videos, number):
    page.choose("#file", videos[number])
    page.wait_for(DONE)
    assert page.run("return document.querySelectorAll('#glosses li').length") == 5
    assert "upload" not in page.text("#times")
    assert "Nothing leaves this device" in page.text("#model")


def test_the_frames_are_those_that_the_library_takes(page, model, videos):
    clip = decode_clip(videos[0], clip=model.info.clip, framing="center")[0]
    page.choose("#file", videos[0])
    page.wait_for(DONE)
    shown = page.run(
        """
        return Promise.all([...document.querySelectorAll('#frames img')].map(
          async (image) => {
            await image.decode();
            const canvas = document.createElement('canvas');
            [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
            const context = canvas.getContext('2d');
            context.drawImage(image, 0, 0);
            return Array.from(
              context.getImageData(0, 0, canvas.width, canvas.height).data);
          }));
        """
    )
    frames = np.array(shown, np.float64).reshape(-1, 32, 32, 4)[..., :3]
    assert len(frames) == 4
    differences = np.abs(frames[:, None] - clip[None].astype(float)).mean((2, 3, 4))
    # Each is closest to its own; the picture is a JPEG of 32 pixels, which costs most.
    assert differences.argmin(1).tolist() == [0, 1, 2, 3]
    assert differences.diagonal().max() < 6


def test_a_sign_before_the_camera_is_recognised(page):
    page.click("#camera")
    page.wait_for("document.getElementById('preview').videoWidth === 320")
    page.run("document.getElementById('length').value = '2'")
    page.click("#record")
    page.wait_for(DONE)
    assert page.run("return document.querySelectorAll('#glosses li').length") == 5
    assert int(page.text("summary").split("of ")[-1].split()[0]) > 4
    page.click("#camera")


def test_what_is_no_video_is_named(page, tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    page.choose("#file", text)
    page.wait_for(BAD)
    assert "not a video that this browser plays" in page.text("#status")


def test_the_page_loads_nothing_from_another_host(page, port):
    names = page.run(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert names
    own = (f"http://127.0.0.1:{port}/", "blob:", "data:")
    assert [name for name in names if not name.startswith(own)] == []


def test_the_folder_names_no_file_of_this_machine(folder):
    description = json.loads((folder / "model.json").read_text())
    assert sorted(description) == ["clip", "framing", "glosses", "name"]

"""The page in a real browser, whose camera plays a film of a drawn signer."""

import base64
import dataclasses
import json
import re

import cv2
import numpy as np
import pytest
from browser import ENTER, TAB, chromium, needs_chromium, write_camera_film
from running_server import ask, serving

from wlasl_tfrecord.inference import trained_model
from wlasl_tfrecord.serving.app import running_app
from wlasl_tfrecord.serving.options import ServeOptions
from wlasl_tfrecord.synthetic.video import write_video
from wlasl_tfrecord.synthetic.videos import SyntheticConfig, plan_videos

pytestmark = [pytest.mark.slow, needs_chromium]

TOKEN = "correct-horse-battery"
DONE = "!document.getElementById('result').hidden"
ROWS = "document.querySelectorAll('#glosses li').length"
FRAMES = "document.querySelectorAll('#frames img').length"


@pytest.fixture(scope="module")
def model(tmp_path_factory, write_run):
    return trained_model.load_model(write_run(tmp_path_factory.mktemp("runs") / "one"))


@pytest.fixture(scope="module")
def port(model):
    options = ServeOptions(max_mib=2)
    with running_app(model, options) as app, serving(app) as port:
        yield port


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A drawn signer."""
    config = SyntheticConfig(train_signers=1, val_signers=1, test_signers=1, repeats=1)
    folder = tmp_path_factory.mktemp("signer")
    return write_video(folder, plan_videos(config)[0])


@pytest.fixture(scope="module")
def browser(tmp_path_factory, video):
    folder = tmp_path_factory.mktemp("chromium")
    film = write_camera_film(folder / "film.y4m", video, (320, 240))
    with chromium(folder, f"--use-file-for-fake-video-capture={film}") as browser:
        yield browser


@pytest.fixture
def page(browser, port):
    browser.open(f"http://127.0.0.1:{port}/")
    browser.wait_for("document.getElementById('limits').textContent")
    browser.console()
    yield browser
    # No error, no warning, nothing that the security policy stopped.
    assert browser.console() == []


def test_a_chosen_video_is_recognised(page, port, video):
    page.choose("#file", video)
    page.wait_for(DONE)
    expected = ask(port, "/predict", video.read_bytes()).json
    first = expected["predictions"][0]
    shown = page.text("#glosses li:first-child")
    assert shown.split()[0] == first["gloss"]
    assert f"{100 * first['probability']:.1f} %" in shown
    assert page.run(f"return {ROWS}") == 5
    assert page.run(f"return {FRAMES}") == 4
    assert page.wait_for("document.querySelector('#frames img').naturalWidth") == 32
    assert "in all: upload" in page.text("#times")
    assert f"of {expected['num_video_frames']} in the video" in page.text("summary")
    assert first["gloss"] in page.text("#status")


def test_a_dropped_video_is_recognised(page, video):
    # A page's script cannot drop a file of the disk; it can drop one that it made.
    script = """
        const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], "sign.mp4", { type: "video/mp4" }));
        const event = { bubbles: true, cancelable: true, dataTransfer: transfer };
        document.body.dispatchEvent(new DragEvent("drop", event));
    """
    page.run(script, base64.b64encode(video.read_bytes()).decode())
    page.wait_for(DONE)
    assert page.run(f"return {ROWS}") == 5


def test_a_sign_before_the_camera_is_recorded_and_recognised(page):
    page.click("#camera")
    page.wait_for("!document.getElementById('record').hidden")
    # The film is playing.
    page.wait_for("document.getElementById('preview').videoWidth === 320")
    page.run("document.getElementById('length').value = '2'")
    page.click("#record")
    page.wait_for("document.getElementById('stage').classList.contains('recording')")
    page.wait_for(DONE)
    assert page.run(f"return {ROWS}") == 5
    assert page.run(f"return {FRAMES}") == 4
    # Two seconds of a film of a signer, whatever this machine's speed.
    assert int(page.text("summary").split("of ")[-1].split()[0]) > 4
    page.click("#camera")
    assert page.run("return document.getElementById('stage').hidden")


def test_signs_are_named_live_until_somebody_stops_it(page):
    page.click("#camera")
    page.wait_for("!document.getElementById('live').hidden")
    page.wait_for("document.getElementById('preview').videoWidth === 320")
    # So that whatever the model says counts.
    page.run("Object.assign(model.windows, {threshold: 0, min_motion: 0.01})")
    page.run("model.windows.window_seconds = 0.5")
    page.click("#live")
    assert page.role_and_label("#live") == ("button", "Stop naming signs")
    page.wait_for("document.querySelectorAll('#signs li').length > 0")
    page.wait_for("document.getElementById('live-note').textContent")
    assert re.fullmatch(r"Now: (\w+), \d+\.\d %", page.text("#now"))
    note = page.text("#live-note")
    assert re.fullmatch(r"The answer to the last 0\.5 s came after \d\.\d\d s\.", note)
    assert page.role_and_label("#signs") == ("log", "Signs, the newest first")
    page.click("#live")
    page.run("return new Promise((done) => setTimeout(done, 300))")
    stopped = page.text("#live-note")
    page.run("return new Promise((done) => setTimeout(done, 700))")
    assert page.text("#live-note") == stopped
    page.click("#camera")


def test_the_frames_of_a_live_window_arrive_as_they_were(page):
    shades = [10, 80, 150, 220]
    jpegs = [
        cv2.imencode(".jpg", np.full((240, 322, 3), shade, np.uint8))[1].tobytes()
        for shade in shades
    ]
    script = """
        const jpegs = arguments[0].map(
            (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
        return fetch("predict?frames=true",
                     {method: "POST", body: aviOf(jpegs, 322, 240, 8)})
            .then((response) => response.json());
    """
    encoded = [base64.b64encode(jpeg).decode() for jpeg in jpegs]
    answer = page.run(script, encoded)
    assert answer["num_video_frames"] == 4
    for shade, frame in zip(shades, answer["frames"]):
        image = cv2.imdecode(np.frombuffer(base64.b64decode(frame), np.uint8), 1)
        assert image is not None
        assert abs(int(np.median(image)) - shade) <= 2


def test_of_live_windows_neighbours_are_one_sign_and_rivals_the_better_one(page):
    found = page.run("""
        const find = newFinder({threshold: 0.5, min_motion: 1}, 1);
        const windows = [["a", 0.6, 2, 0.0], ["a", 0.8, 2, 0.2], ["b", 0.9, 2, 0.4],
                         ["c", 0.9, 0, 0.6], ["c", 0.4, 2, 0.8], ["d", 0.7, 2, 3.0],
                         ["d", 0.6, 2, 3.4], ["e", 0.1, 2, 9.0]];
        return windows.map((one) => find(...one)).filter((sign) => sign)
            .map((sign) => [sign.gloss, sign.probability, sign.best]);
    """)
    assert found == [["b", 0.9, 0.4], ["d", 0.7, 3.0]]


def test_what_is_no_video_is_named_on_the_page(page, tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    page.run("document.getElementById('file').focus()")
    page.choose("#file", text)
    page.wait_for("document.getElementById('status').classList.contains('bad')")
    # By keyboard one goes on where one was, and not at the top of the page.
    page.wait_for("document.activeElement.id === 'file'")
    assert "No result: unreadable: not a video" in page.text("#status")
    # The browser itself reports the status 422.
    assert all("422" in line for line in page.console())


def test_a_video_that_is_too_large_is_not_even_sent(page, tmp_path):
    large = tmp_path / "large.mp4"
    large.write_bytes(b"\x00" * (2 * 2**20 + 1))
    page.choose("#file", large)
    page.wait_for("document.getElementById('status').classList.contains('bad')")
    assert page.text("#status") == "This video is larger than 2 MiB."


def test_the_browser_would_stop_what_is_not_the_pages_own(page):
    page.run(
        "const image = document.createElement('img');"
        "image.src = 'http://other.example/x.png'; document.body.append(image);"
        "try { document.body.innerHTML = '<b>text</b>'; } catch { }"
    )
    stopped = "\n".join(page.console())
    assert "http://other.example/x.png" in stopped
    assert "TrustedHTML" in stopped


def test_the_page_works_by_keyboard_alone(page):
    reached = []
    for _ in range(4):
        page.press(TAB)
        reached.append(page.focused())
    assert reached[:2] == ["file", "camera"]
    page.run("document.getElementById('camera').focus()")
    page.press(ENTER)
    page.wait_for("document.activeElement.id === 'record'")
    page.run("document.getElementById('length').value = '2'")
    page.press(ENTER)
    page.wait_for(DONE)
    # A screen reader starts to read at the result.
    assert page.focused() == "result-title"
    page.click("#camera")


def test_a_screen_reader_is_told_what_things_are(page, video):
    assert page.role_and_label("#file")[1] == "Choose a video or drop one here"
    assert page.role_and_label("#camera") == ("button", "Start the camera")
    assert page.role_and_label("#status")[0] == "status"
    assert page.role_and_label("main")[0] == "main"
    page.choose("#file", video)
    page.wait_for(DONE)
    assert page.role_and_label("#result") == ("region", "Result")
    assert page.role_and_label("#glosses")[0] == "list"
    assert page.role_and_label("#frames img") == ("image", "Frame 1 of the video")
    # Every field and picture has a name.
    unnamed = page.run(
        "return [...document.querySelectorAll('img')].filter((i) => !i.alt).length"
    )
    assert unnamed == 0
    assert page.run("return document.documentElement.lang") == "en"


def test_what_a_screen_reader_finds_has_a_name_and_results_are_told(page, video):
    page.choose("#file", video)
    page.wait_for(DONE)
    page.run("document.getElementById('live-result').hidden = false")
    tree = page.devtools("Accessibility.getFullAXTree", {})["nodes"]
    nodes = []
    for node in tree:
        if not node["ignored"]:
            values = {one["name"]: one["value"] for one in node.get("properties", ())}
            facts = {name: value.get("value") for name, value in values.items()}
            name = node.get("name", {}).get("value", "")
            nodes.append((node["role"]["value"], name, facts))
    unnamed = [
        (role, facts)
        for role, name, facts in nodes
        if not name and (facts.get("focusable") or role in ("image", "Video"))
    ]
    assert unnamed == []
    told = {role: facts.get("live") for role, _, facts in nodes if facts.get("live")}
    assert told == {"status": "polite", "log": "polite"}
    headings = [facts["level"] for role, _, facts in nodes if role == "heading"]
    assert headings[0] == 1
    assert set(headings[1:]) == {2}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_its_background(page, scheme):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.devtools("Emulation.setEmulatedMedia", {"features": [feature]})
    colours = json.loads(
        page.run(
            """
            const style = getComputedStyle(document.documentElement);
            const names = ["paper", "card", "ink", "faint", "accent", "bad", "bar",
                           "on-accent"];
            return JSON.stringify(Object.fromEntries(
                names.map((n) => [n, style.getPropertyValue("--" + n).trim()])));
            """
        )
    )
    page.devtools("Emulation.setEmulatedMedia", {"features": []})
    pairs = [("ink", "paper"), ("ink", "card"), ("faint", "paper"), ("faint", "card")]
    pairs += [("accent", "card"), ("bad", "paper"), ("ink", "bar")]
    pairs += [("on-accent", "accent")]
    for text, background in pairs:
        # WCAG 2.2, level AA.
        assert contrast(colours[text], colours[background]) >= 4.5, (text, background)


def luminance(colour):
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values
    ]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(one, other):
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("width", [320, 360, 768])
def test_nothing_is_wider_than_a_phone(page, video, width):
    page.resize(width, 740, mobile=True)
    try:
        page.choose("#file", video)
        page.wait_for(DONE)
        assert page.run("return document.documentElement.scrollWidth") <= width
        heights = page.run(
            "return [...document.querySelectorAll('button, select, .drop')]"
            ".filter((e) => e.offsetParent).map((e) => e.offsetHeight)"
        )
        # Wide enough for a finger.
        assert min(heights) >= 44
    finally:
        page.devtools("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture(scope="module")
def secret_port(model):
    options = dataclasses.replace(ServeOptions(), token=TOKEN)
    with running_app(model, options) as app, serving(app) as port:
        yield port


def test_the_page_takes_the_token_from_its_address(browser, secret_port, video):
    browser.open(f"http://127.0.0.1:{secret_port}/#token={TOKEN}")
    browser.wait_for("document.getElementById('limits').textContent")
    # It does not stay where somebody could read it over a shoulder.
    assert browser.run("return location.href").endswith(f":{secret_port}/")
    browser.choose("#file", video)
    browser.wait_for(DONE)


def test_the_page_asks_for_a_token_that_it_lacks(browser, secret_port):
    browser.open(f"http://127.0.0.1:{secret_port}/")
    browser.run("sessionStorage.clear()")
    browser.open(f"http://127.0.0.1:{secret_port}/?again")
    browser.wait_for("!document.getElementById('token-form').hidden")
    assert browser.focused() == "token"
    for typed in ("not-the-token-at-all", TOKEN):
        browser.run(
            "document.getElementById('token').value = arguments[0];"
            "document.getElementById('token-form').requestSubmit()",
            typed,
        )
        if typed != TOKEN:
            browser.wait_for("document.getElementById('status').textContent")
            assert "not the token" in browser.text("#status")
    browser.wait_for("document.getElementById('token-form').hidden")
    assert browser.run("return !document.getElementById('inputs').hidden")

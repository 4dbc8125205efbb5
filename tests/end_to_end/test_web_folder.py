"""The folder of static files in a real browser, where the model runs by itself."""

import base64
import dataclasses
import json
import struct
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from browser import (
    chromium,
    needs_chromium,
    static_files,
    web_folder,
    write_camera_film,
)
from encoded_videos import draw_corners, encode_video

from wlasl_tfrecord.inference import trained_model
from wlasl_tfrecord.inference.prediction import Prediction, predict_videos
from wlasl_tfrecord.shard_format.clips import ClipSpec
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
    return web_folder(model, tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def port(folder):
    with static_files(folder) as port:
        yield port


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


def test_the_page_says_that_nothing_leaves_the_device(page, videos):
    page.choose("#file", videos[0])
    page.wait_for(DONE)
    assert "upload" not in page.text("#times")
    assert "Nothing leaves this device" in page.text("#model")


def test_the_glosses_and_probabilities_of_predict_are_shown(page, model, videos):
    # WebM here; tests/end_to_end/test_agreement.py has MP4.
    [expected] = predict_videos(model, [videos[1]])
    assert isinstance(expected, Prediction)
    page.choose("#file", videos[1])
    page.wait_for(DONE)
    shown = [
        page.text(f"#glosses li:nth-child({place}) .{part}")
        for part in ("gloss", "share")
        for place in range(1, 6)
    ]
    assert tuple(shown[:5]) == expected.glosses
    assert [float(text.split()[0]) for text in shown[5:]] == pytest.approx(
        [100 * share for share in expected.probabilities], abs=0.1
    )


# Name, size, options of `encode_video`.
_BT709 = {"colorspace": 1, "color_range": 1, "color_primaries": 1, "color_trc": 1}
_FULL = {**_BT709, "color_range": 2}
# Frames that are shown before a key frame and stored after it, which Chromium does not
# find by seeking.
_OPEN_GOP = "keyint=4:min-keyint=4:scenecut=0:open-gop=1:bframes=3:b-adapt=0"
_TIMES_MS = [0, 40, 80, 300, 340, 600, 640, 660, 680, 700, 1000, 1040]
KINDS = [
    ("plain.mp4", (160, 120), {}),
    # Browsers take the colours of a high picture for BT.709 if it names none.
    ("high-unnamed.mp4", (960, 720), {}),
    ("high-bt709.mp4", (960, 720), {"colours": _BT709}),
    ("open-gop.mp4", (160, 120), {"options": {"x264-params": _OPEN_GOP}}),
    # As encoders that round the width leave them; that is no other shape.
    ("nearly-square.mp4", (160, 120), {"pixel_aspect": Fraction(161, 160)}),
    ("low-bt709.mp4", (160, 120), {"colours": _BT709}),
    ("full-range.mp4", (160, 120), {"colours": _FULL}),
    ("vp8.webm", (160, 120), {"codec": "libvpx"}),
    ("high-vp8.webm", (960, 720), {"codec": "libvpx"}),
    ("vp9.webm", (160, 120), {"codec": "libvpx-vp9"}),
    ("thirty-a-second.webm", (160, 120), {"codec": "libvpx", "fps": 30}),
    ("varying.mp4", (160, 120), {"times_ms": _TIMES_MS}),
    ("varying.webm", (160, 120), {"codec": "libvpx", "times_ms": _TIMES_MS}),
    # As phones record: the picture lies on its side, and a matrix turns it.
    ("turned-right.mp4", (160, 120), {"matrix": (0, 1, -1, 0)}),
    ("turned-left.mp4", (160, 120), {"matrix": (0, -1, 1, 0)}),
    ("upside-down.mp4", (160, 120), {"matrix": (-1, 0, 0, -1)}),
    ("mirrored.mp4", (160, 120), {"matrix": (-1, 0, 0, 1)}),
]


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """Videos of every kind that browsers play, twelve frames each."""
    folder = tmp_path_factory.mktemp("kinds")
    paths = {}
    for name, (width, height), options in KINDS:
        frames = [draw_corners(n, height, width, step=15) for n in range(12)]
        paths[name] = encode_video(folder / name, frames, **options)
    return paths


@pytest.mark.parametrize(
    ("name", "framing"),
    [
        *((name, "center") for name, *_ in KINDS),
        *(
            (name, framing)
            for name in ("plain.mp4", "turned-left.mp4")
            for framing in ("pad", "squash")
        ),
    ],
)
def test_the_pages_frames_are_those_of_the_library(page, kinds, name, framing):
    clip = ClipSpec(num_frames=5, height=56, width=48)
    expected, source = decode_clip(kinds[name], clip=clip, framing=framing)
    found = page.run(
        """
        const [text, clip, framing] = arguments;
        const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        return import("./frames.js")
          .then((module) => module.clipOf(new Blob([bytes]), clip, framing))
          .then((clip) => ({...clip, frames: Array.from(clip.frames)}));
        """,
        base64.b64encode(kinds[name].read_bytes()).decode(),
        dataclasses.asdict(clip),
        framing,
    )
    assert found["numVideoFrames"] == source.num_video_frames
    assert found["indices"] == list(source.frame_indices)
    frames = np.array(found["frames"], np.uint8).reshape(clip.shape)
    # To the bit: some levels more or less would change the order of the glosses.
    np.testing.assert_array_equal(frames, expected)


def test_damaged_tables_leave_the_video_to_the_player(page, kinds):
    content = kinds["plain.mp4"].read_bytes()
    tables = [name for name in (b"stts", b"hdlr", b"mdhd") if name in content]
    assert len(tables) == 3
    for name in tables:
        damaged = content.replace(name, b"xxxx")
        assert facts_of(page, damaged) == {"times": None, "matrix": None}, name


def box(name, *content):
    joined = b"".join(content)
    return struct.pack(">I", len(joined) + 8) + name + joined


NOTHING = {"times": None, "matrix": None}
# Of Matroska: what the file is, a track of pictures by VP8, and a frame of it.
_START = b"\x1a\x45\xdf\xa3\x80"
_TRACK = b"\xae\x8d\xd7\x81\x01\x83\x81\x01\x86\x85V_VP8"
_FRAME = b"\xa3\x85\x81\x00\x00\x80\x10"


# Both as many as there may be alone: together they take a browser fifteen seconds.
@pytest.mark.parametrize(("edits", "frames"), [(100_000, 100), (1000, 3_000_000)])
def test_more_edits_than_a_browser_goes_through_are_none(page, edits, frames):
    empty = struct.pack(">Iii", 1, 2**30, 1)
    listed = struct.pack(">IIIii", 0, edits, 1, 0, 1) + empty * (edits - 1)
    forged = movie(frames, box(b"edts", box(b"elst", listed)))
    assert facts_of(page, forged) == NOTHING


def movie(num_frames, *edits):
    clock = struct.pack(">IIIII", 0, 0, 0, 1000, 1)
    tables = box(b"stts", struct.pack(">IIII", 0, 1, num_frames, 1))
    media = (
        box(b"mdhd", clock),
        box(b"hdlr", bytes(8), b"vide"),
        box(b"minf", box(b"stbl", tables, box(b"stsd", bytes(8)))),
    )
    track = box(b"trak", *edits, box(b"mdia", *media))
    return box(b"moov", box(b"mvhd", clock), track)


@pytest.mark.parametrize(
    ("start", "part", "most", "end"),
    [
        # Parts of a few bytes, for each of which the page takes a hundred.
        (b"\x00\x0d\x00\x00moov", box(b"free"), 100_000, movie(2)[8:]),
        (_START + _TRACK, b"\xae\x80", 100_000, b""),
        (_START + _TRACK, _FRAME, 1_000_000, b""),
        # Nothing, in elements of two bytes, and in boxes that are read one by one.
        (_START + _TRACK + _FRAME, b"\xec\x80", 5_000_000, b""),
        (box(b"ftyp"), box(b"free"), 1000, movie(2)),
        # One number of many bytes: the scale of all times.
        (_START + _TRACK + _FRAME + b"\x2a\xd7\xb1\x40\x41", b"\x00", 64, b""),
    ],
)
def test_more_parts_than_a_page_has_memory_for_are_none(page, start, part, most, end):
    assert facts_of(page, start, part, most + 1, end) == NOTHING


def facts_of(page, start, part=b"", num_parts=0, end=b""):
    """Tells what the page knows of a file: a start, a part so many times, an end."""
    return page.run(
        """
        const [start, part, end] = [...arguments].slice(1).map((text) =>
          Uint8Array.from(atob(text), (c) => c.charCodeAt(0)),
        );
        const parts = new Uint8Array(part.length * arguments[0]);
        for (let at = 0; at < parts.length; at += part.length) parts.set(part, at);
        return import("./video_file.js")
          .then((module) => module.factsOf(new Blob([start, parts, end])));
        """,
        num_parts,
        *(base64.b64encode(one).decode() for one in (start, part, end)),
    )


@pytest.mark.parametrize(
    ("last_ms", "end"),
    [
        # No element: what the player shows is counted, a frame for each 4 ms of weeks.
        (2_000_000_000, b"\x00"),
        # Another scale of times, which the player does not read: hours are 0.4 s.
        (10_000_000, b"\x2a\xd7\xb1\x81\x28"),
    ],
)
def test_times_that_are_not_so_end_in_an_error(page, tmp_path, last_ms, end):
    frames = [draw_corners(number) for number in range(3)]
    times_ms = [0, 4 if last_ms > 10_000_000 else 40, last_ms]
    path = tmp_path / "forged.webm"
    encode_video(path, frames, codec="libvpx", times_ms=times_ms)
    path.write_bytes(path.read_bytes() + end)
    page.choose("#file", path)
    page.wait_for(BAD)
    assert "does not find every frame" in page.text("#status")


@pytest.mark.parametrize(
    "sizes",
    [
        [(8192, 4112)],
        # Not so large at the start, where the player tells its size.
        [(160, 120), (8192, 4112)],
    ],
)
def test_frames_that_take_gigabytes_are_refused(page, tmp_path, sizes):
    path = tmp_path / "large.webm"
    with av.open(str(path), "w") as container:
        width, height = sizes[0]
        stream = container.add_stream("libvpx", rate=25, width=width, height=height)
        for number, packet in enumerate(map(vp8_packet, sizes)):
            packet.stream, packet.is_keyframe = stream, True
            packet.pts = packet.dts = number
            packet.time_base = Fraction(1, 25)
            container.mux(packet)
    page.choose("#file", path)
    page.wait_for(BAD)
    assert "its frames are larger than 33,554,432 pixels" in page.text("#status")


def vp8_packet(size):
    """Encodes a grey frame."""
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    encoder.options = {"deadline": "realtime", "lag-in-frames": "0"}
    grey = np.full((size[1] * 3 // 2, size[0]), 128, np.uint8)
    frame = av.VideoFrame.from_ndarray(grey, format="yuv420p")
    [packet] = [*encoder.encode(frame), *encoder.encode()]
    return av.Packet(bytes(packet))


def test_a_sign_before_the_camera_is_recognised(page):
    page.click("#camera")
    page.wait_for("document.getElementById('preview').videoWidth === 320")
    page.run("document.getElementById('length').value = '2'")
    page.click("#record")
    page.wait_for(DONE)
    assert page.run("return document.querySelectorAll('#glosses li').length") == 5
    assert int(page.text("summary").split("of ")[-1].split()[0]) > 4
    page.click("#camera")


@pytest.mark.parametrize("is_video", [False, True])
def test_what_is_no_video_is_named(page, kinds, tmp_path, is_video):
    path = tmp_path / "notes.mp4"
    # One whose tables have no frames, which a player opens all the same.
    tables = kinds["plain.mp4"].read_bytes().replace(b"stsz", b"free")
    path.write_bytes(tables if is_video else b"no video")
    page.choose("#file", path)
    page.wait_for(BAD)
    assert "not a video that this browser plays" in page.text("#status")


def test_a_video_of_which_a_browser_plays_the_sound_alone_is_named(page, tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25, width=160, height=120)
        sound = container.add_stream("aac", rate=8000, layout="mono")
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(draw_corners(number), format="rgb24")
            container.mux(video.encode(frame))
        silence = np.zeros((1, 4000), np.float32)
        tone = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        tone.sample_rate = 8000
        for stream, last in ((sound, tone), (video, None), (sound, None)):
            container.mux(stream.encode(last))
    page.choose("#file", path)
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

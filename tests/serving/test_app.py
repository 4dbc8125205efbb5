"""A real server with a real model, asked over HTTP as programs do."""

import base64
import dataclasses
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import jsonschema
import numpy as np
import openapi_spec_validator
import pytest
from encoded_videos import draw_corners, encode_video
from running_server import ask, form, serving
from served_model import CLIP, GLOSSES, OPTIONS, our_folders

from wlasl_tfrecord.inference import prediction
from wlasl_tfrecord.serving.app import running_app
from wlasl_tfrecord.video.decode import decode_clip


def test_an_answer_is_what_predict_says_of_the_same_video(port, model, file, video):
    answer = ask(port, "/predict?top=3", video)
    assert answer.status == 200
    [expected] = prediction.predict_videos(model, [file], top=3)
    assert isinstance(expected, prediction.Prediction)
    found = answer.json["predictions"]
    assert tuple(p["gloss"] for p in found) == expected.glosses
    assert [p["probability"] for p in found] == pytest.approx(
        expected.probabilities, abs=1e-5
    )
    assert answer.json["num_distinct_frames"] == 4
    assert answer.json["num_video_frames"] == 20
    assert answer.json["frame_indices"] == [0, 6, 13, 19]
    assert "frames" not in answer.json
    seconds = answer.json["seconds"]
    assert 0 < seconds["network"] < seconds["total"]
    assert 0 < seconds["decode"] < seconds["total"]


def test_a_form_is_answered_as_the_video_itself(port, video):
    plain = ask(port, "/predict", video, {"Content-Type": "video/mp4"})
    body, headers = form(video)
    sent = ask(port, "/predict", body, headers)
    assert sent.status == 200
    assert sent.json["predictions"] == plain.json["predictions"]
    assert len(sent.json["predictions"]) == 5


def test_the_frames_are_those_that_the_model_saw(port, video, frame_number):
    answer = ask(port, "/predict?frames=true", video)
    jpegs = [base64.b64decode(text) for text in answer.json["frames"]]
    images = [np.array(cv2.imdecode(np.frombuffer(j, np.uint8), 1)) for j in jpegs]
    images = [image[..., ::-1] for image in images]
    assert [image.shape for image in images] == [(32, 32, 3)] * 4
    # Red above and blue below, so the channels are right.
    assert images[0][2, 16, 0] > 150 > 100 > images[0][2, 16, 2]
    enlarged = [cv2.resize(image, (128, 128)) for image in images]
    assert [frame_number(image) for image in enlarged] == [0, 6, 13, 19]


def test_frames_of_a_varying_rate_are_numbered_as_they_were_chosen(port, tmp_path):
    # Two frames in the first half second, ten in the second.
    times_ms = [0, 250, *range(500, 1000, 50)]
    frames = [draw_corners(n, 120, 160) for n in range(12)]
    path = encode_video(tmp_path / "varying.mp4", frames, times_ms=times_ms)
    _, source = decode_clip(path, clip=CLIP, framing="center")
    answer = ask(port, "/predict", path.read_bytes()).json
    assert tuple(answer["frame_indices"]) == source.frame_indices != (0, 4, 7, 11)


def test_the_model_and_its_limits_are_told(port):
    answer = ask(port, "/model").json
    assert tuple(answer["glosses"]) == GLOSSES
    assert answer["clip"] == {"num_frames": 4, "height": 32, "width": 32}
    assert (answer["name"], answer["framing"]) == ("one", "center")
    assert answer["limits"] == {
        "max_mib": 1,
        "max_frames": 200,
        "max_at_once": 4,
        "upload_seconds": 2,
        "decode_seconds": 20,
    }


def test_it_tells_that_it_is_up(port):
    answer = ask(port, "/healthz")
    assert (answer.status, answer.json) == (200, {"ok": True, "num_at_work": 0})


@pytest.fixture(scope="module")
def described(port):
    document = ask(port, "/openapi.json").json
    openapi_spec_validator.validate(document)
    return document


def responses_of(described, path, method):
    return described["paths"][path][method]["responses"]


def schema_of(described, response):
    """The schema of a response's JSON, which may have nothing else."""
    reference = response["content"]["application/json"]["schema"]["$ref"]
    schemas = described["components"]["schemas"]
    return {**schemas[reference.rpartition("/")[2]], "additionalProperties": False}


@pytest.mark.parametrize(
    ("path", "method", "content", "status"),
    [
        ("/predict?frames=true", "post", None, 200),
        ("/predict", "post", b"", 400),
        ("/predict", "post", b"no video", 422),
        ("/model", "get", None, 200),
        ("/healthz", "get", None, 200),
    ],
)
def test_every_answer_is_as_the_description_says(
    port, described, video, path, method, content, status
):
    body = (video if content is None else content) if method == "post" else None
    answer = ask(port, path, body, method=method.upper())
    assert answer.status == status
    response = responses_of(described, path.partition("?")[0], method)[str(status)]
    jsonschema.validate(answer.json, schema_of(described, response))


def test_every_example_in_the_description_is_as_it_says(described):
    assert set(described["paths"]) == {"/predict", "/model", "/healthz"}
    for methods in described["paths"].values():
        for method in methods.values():
            for status, response in method["responses"].items():
                example = response["content"]["application/json"].get("example")
                if example is not None:
                    jsonschema.validate(example, schema_of(described, response))
                # All but the model, which is long, have one.
                assert example or (method["operationId"], status) == ("model", "200")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"<html>404</html>", "unreadable: not a video"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "unreadable: not a video"),
        (b"ffconcat version 1.0\nfile 0\n", "unreadable: not a video"),
        (b"\x00\x00\x00\x18ftypisom" + b"\xff" * 5000, "unreadable: not a video"),
    ],
)
def test_what_is_no_video_is_refused_with_the_reason(port, content, error):
    answer = ask(port, "/predict", content)
    assert answer.status == 422
    assert answer.json["error"].startswith(error)


def test_a_file_that_is_cut_off_is_refused(port, video):
    answer = ask(port, "/predict", video[: len(video) // 2])
    assert (answer.status, list(answer.json)) == (422, ["error"])


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/predict?top=0", "top must be a number from 1 to 999999, got '0'"),
        ("/predict?top=x", "top must be a number from 1 to 999999, got 'x'"),
        ("/predict?top=-3", "top must be a number from 1 to 999999, got '-3'"),
        ("/predict?frames=yes", "frames must be true or false, got 'yes'"),
        ("/predict?topp=3", "no parameter 'topp'; there are 'top' and 'frames'"),
    ],
)
def test_a_wrong_parameter_is_named(port, video, path, error):
    answer = ask(port, path, video)
    assert (answer.status, answer.json) == (400, {"error": error})


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/predict", 405, "/predict takes POST, not GET"),
        ("POST", "/model", 405, "/model takes GET, not POST"),
        ("GET", "/etc/passwd", 404, "nothing is at '/etc/passwd'"),
        ("GET", "/../page.js", 404, "nothing is at '/../page.js'"),
        ("POST", "/predict/", 404, "nothing is at '/predict/'"),
    ],
)
def test_other_addresses_are_answered_as_json(port, method, path, status, error):
    answer = ask(port, path, method=method)
    assert (answer.status, list(answer.json)) == (status, ["error"])
    assert answer.json["error"].partition(";")[0] == error


def test_waiting_videos_go_through_the_network_together(model, video):
    options = dataclasses.replace(
        OPTIONS, max_at_once=32, batch_size=4, upload_seconds=60
    )
    with (
        running_app(model, options) as app,
        serving(app) as port,
        ThreadPoolExecutor(24) as pool,
    ):
        answers = list(pool.map(lambda _: ask(port, "/predict", video), range(24)))
    sizes = [answer.json["batch_size"] for answer in answers]
    assert max(sizes) > 1
    assert max(sizes) <= 4
    first = [p["probability"] for p in answers[0].json["predictions"]]
    for answer in answers:
        shares = [p["probability"] for p in answer.json["predictions"]]
        assert shares == pytest.approx(first, abs=1e-5)


def test_of_fifty_at_once_some_are_recognised_and_the_others_told_to_wait(model, video):
    options = dataclasses.replace(OPTIONS, upload_seconds=60)
    barrier = threading.Barrier(50)

    def send(_):
        barrier.wait()
        return ask(port, "/predict", video)

    with (
        running_app(model, options) as app,
        serving(app) as port,
        ThreadPoolExecutor(50) as pool,
    ):
        answers = list(pool.map(send, range(50)))
        assert ask(port, "/predict", video).status == 200
    statuses = [answer.status for answer in answers]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 4
    for answer in answers:
        if answer.status == 429:
            assert answer.headers["retry-after"] == "1"
            assert "which is the limit" in answer.json["error"]


def announced(video, hours):
    """A video whose header announces a duration of hours, in all its tables."""
    changed = bytearray(video)
    for box in (b"mvhd", b"mdhd"):
        at = video.index(box) + 4
        scale = struct.unpack(">I", video[at + 12 : at + 16])[0]
        changed[at + 16 : at + 20] = struct.pack(">I", hours * 3600 * scale)
    at = video.index(b"stts") + 12
    changed[at : at + 4] = struct.pack(">I", hours * 3600 * 25)
    return bytes(changed)


def test_ten_hours_that_are_only_announced_cost_no_more_than_the_frames(port, video):
    started = time.monotonic()
    answer = ask(port, "/predict", announced(video, 10))
    assert time.monotonic() - started < 15
    assert answer.status in (200, 422)
    if answer.status == 200:
        assert answer.json["num_video_frames"] == 20


def test_a_video_of_more_frames_than_the_limit_is_refused(
    port, numbered_video, tmp_path
):
    long = numbered_video(tmp_path / "long.mp4", num_frames=201, height=32, width=32)
    answer = ask(port, "/predict", long.read_bytes())
    assert answer.status == 422
    assert answer.json["error"] == (
        "too long: it has 201 frames, the limit is 200; cut it to the sign"
    )


def test_a_failure_of_the_server_is_no_failure_of_the_video(
    model, video, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with running_app(model, OPTIONS) as app, serving(app) as port:
        # As when somebody clears /tmp.
        for folder in our_folders(tmp_path):
            folder.rmdir()
        answer = ask(port, "/predict", video)
        assert answer.status == 500
        assert answer.json == {"error": "the server failed; its own output has more"}
        assert "a request failed" in caplog.text
        assert "FileNotFoundError" in caplog.text
        assert ask(port, "/healthz").json == {"ok": True, "num_at_work": 0}

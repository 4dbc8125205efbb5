import csv
import io
import json

import cv2
import numpy as np
import pytest

from wlasl_tfrecord.inference import sign_files
from wlasl_tfrecord.inference.signs import Sign
from wlasl_tfrecord.inference.timeline import Timeline
from wlasl_tfrecord.inference.window_options import WindowOptions


def sign(start, stop, *glosses):
    shares = tuple(0.75 / (n + 1) for n in range(len(glosses)))
    return Sign(
        start_seconds=start,
        stop_seconds=stop,
        glosses=glosses,
        probabilities=shares,
        num_windows=3,
        last_seconds=stop,
    )


SIGNS = (sign(1.25, 2.5, "book", "go"), sign(3725.5, 3727.0, "a <b> & c\n\n-->d", "=1"))


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    timeline = Timeline(options=WindowOptions(), stop_seconds=4.0)
    folder = tmp_path_factory.mktemp("signs")
    return sign_files.write_sign_files(folder, "film", SIGNS, timeline, 3)


def test_a_video_has_four_files_of_its_name(paths):
    assert [path.name for path in paths] == [
        "film.csv", "film.jsonl", "film.vtt", "film.png",
    ]  # fmt: skip


def test_the_table_has_a_row_a_sign_and_no_formula(paths):
    first, second = csv.DictReader(io.StringIO(paths[0].read_text()))
    assert (first["start"], first["stop"]) == ("1.250", "2.500")
    assert (first["gloss_1"], first["prob_1"]) == ("book", "0.750000")
    assert (first["gloss_3"], first["prob_3"]) == ("", "")
    assert first["num_windows"] == "3"
    assert second["gloss_2"] == "'=1"


def test_each_line_of_json_is_a_sign(paths):
    first, second = map(json.loads, paths[1].read_text().splitlines())
    assert first == {
        "start": 1.25,
        "stop": 2.5,
        "predictions": [
            {"gloss": "book", "probability": 0.75},
            {"gloss": "go", "probability": 0.375},
        ],
        "num_windows": 3,
    }
    assert second["predictions"][0]["gloss"] == "a <b> & c\n\n-->d"


def test_the_subtitles_are_webvtt_whatever_a_gloss_holds(paths):
    assert paths[2].read_text() == (
        "WEBVTT\n\n"
        "00:00:01.250 --> 00:00:02.500\nbook (75%)\n\n"
        "01:02:05.500 --> 01:02:07.000\na &lt;b&gt; &amp; c --&gt;d (75%)\n"
    )


def test_the_picture_can_be_read(paths):
    image = cv2.imdecode(np.frombuffer(paths[3].read_bytes(), np.uint8), 1)
    assert image is not None
    assert image.shape[1] == 1200


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00:00.000"), (59.9996, "00:01:00.000"), (36000.0, "10:00:00.000")],
)
def test_times_are_rounded_to_milliseconds(seconds, text):
    assert sign_files.clock_text(seconds) == text

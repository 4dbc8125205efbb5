"""The files of an evaluation."""

import csv
import io
import json

import cv2
import numpy as np
import pytest
from drawn_reports import report_of
from drawn_shards import write_folder

from wlasl_tfrecord.errors import OutputError, RecordError
from wlasl_tfrecord.evaluation.confused_frames import confused_frames_png
from wlasl_tfrecord.evaluation.report_files import predictions_csv, write_report
from wlasl_tfrecord.shard_format.shard_folder import load_folder

TRUTH = [0, 1, 2, 0, 1, 2, 0]
GLOSSES = ("=cmd()", "-drink", "computer")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "shards"
    return write_folder(directory, {"train": 3, "val": 7}, glosses=GLOSSES)


def test_every_clip_is_a_line_and_no_cell_a_formula(shards):
    report = report_of(shards, [1, *TRUTH[1:]])
    rows = list(csv.DictReader(io.StringIO(predictions_csv(report).decode())))
    assert [row["video_id"] for row in rows] == list(report.video_ids)
    first = rows[0]
    assert (first["signed"], first["gloss_1"]) == ("'=cmd()", "'-drink")
    assert (first["signer_id"], first["rank"]) == ("0", "2")
    shares = [float(first[f"prob_{k}"]) for k in (1, 2, 3)]
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert shares[0] == pytest.approx(np.exp(2) / (np.exp(2) + 2), abs=1e-5)


def test_all_files_are_written_and_the_picture_of_an_earlier_one_goes(shards, tmp_path):
    folder = load_folder(shards)
    wrong = report_of(shards, [1, *TRUTH[1:]])
    paths = write_report(wrong, folder, tmp_path / "out", {"run": "runs/first"})
    assert [path.name for path in paths] == [
        "evaluation.json",
        "predictions.csv",
        "confusion.png",
        "confused.png",
    ]
    for path in paths[2:]:
        assert cv2.imread(str(path)) is not None
    values = json.loads(paths[0].read_text())
    assert values["run"] == "runs/first"
    assert values["per_clip"]["top1"] == pytest.approx(6 / 7)
    assert values["per_clip_interval"]["top1"][0] < 6 / 7
    assert len(values["clips"]) == 7
    paths = write_report(report_of(shards, TRUTH), folder, tmp_path / "out")
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == sorted(path.name for path in paths)
    assert "confused.png" not in left
    paths[-1].with_name("confused.png").mkdir()
    with pytest.raises(OutputError, match=r"png \(Is a directory\); remove"):
        write_report(report_of(shards, TRUTH), folder, tmp_path / "out")


def test_the_picture_shows_the_mistaken_clip_and_one_of_the_other_gloss(shards):
    folder = load_folder(shards)
    report = report_of(shards, [1, *TRUTH[1:]])
    png = confused_frames_png(folder, report)
    assert png is not None
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[0] == 2 * 122
    # The drawn clips are flat and their blue is 5 times their number: 0, then 1.
    strip = image[:, 300:]
    assert 0 <= int(np.median(strip[10:100, ..., 0])) <= 60


@pytest.mark.parametrize(("width", "height"), [(100_000, 1), (1, 5000)])
def test_frames_of_any_shape_make_a_picture_of_a_usual_size(tmp_path, width, height):
    splits = {"train": 3, "val": 7}
    write_folder(tmp_path / "s", splits, width=width, height=height, num_frames=2)
    png = confused_frames_png(
        load_folder(tmp_path / "s"), report_of(tmp_path / "s", [1, *TRUTH[1:]])
    )
    image = cv2.imdecode(np.frombuffer(png or b"", np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[1] <= 240 + 8 * 448


def test_nothing_confused_is_no_picture(shards):
    assert confused_frames_png(load_folder(shards), report_of(shards, TRUTH)) is None


def test_a_gloss_that_is_never_recognised_is_shown_from_train(shards):
    from wlasl_tfrecord.evaluation import confused_frames

    report = report_of(shards, [1 if label != 1 else 0 for label in TRUTH])
    found = confused_frames._example(load_folder(shards), report, 1)
    assert found == ("train", 1, "train00001")


def test_a_damaged_record_is_named(shards, tmp_path):
    for file in shards.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = next(tmp_path.glob("wlasl-val.tfrecord-00000*"))
    content = bytearray(path.read_bytes())
    content[40] ^= 255
    path.write_bytes(content)
    report = report_of(shards, [1, *TRUTH[1:]])
    with pytest.raises(RecordError, match="of val00000 is damaged; bin/inspect"):
        confused_frames_png(load_folder(tmp_path), report)


def test_a_place_that_cannot_be_written_is_one_line(shards, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*; free some space"):
        write_report(report_of(shards, TRUTH), load_folder(shards), tmp_path / "file")

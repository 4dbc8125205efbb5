"""Every way to use a model gives the same five glosses for the same videos."""

import csv
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import sharding
from drawn_runs import write_run
from drawn_videos import write_numbered_video
from running_server import ask, serving

from wlasl_tfrecord.evaluation.evaluation import evaluate
from wlasl_tfrecord.inference.export import export_model, load_exported
from wlasl_tfrecord.inference.prediction import (
    Prediction,
    predict_videos,
    top_glosses,
)
from wlasl_tfrecord.inference.trained_model import load_model
from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
from wlasl_tfrecord.serving.app import running_app
from wlasl_tfrecord.serving.options import ServeOptions

GLOSSES = ("before", "book", "chair", "computer", "drink", "go")
FORMATS = ("keras", "h5", "saved_model", "tflite", "onnx")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("agreement") / "run"
    return load_model(write_run(run_dir, glosses=GLOSSES))


@pytest.fixture(scope="module")
def runners(model, tmp_path_factory):
    out = tmp_path_factory.mktemp("exports")
    return {
        name: load_exported(export_model(model, out / name, name).path)
        for name in FORMATS
    }


def answers_of_every_way(model, runners, src, out):
    """Five glosses and their probabilities, by way and by video.

    Args:
        src: Class folders with a split val.
        out: A folder to shard into.
    """
    size = ("--num-frames", "4", "--size", "32", "--codec", "raw")
    assert sharding.shard_here(src, out, *size) == 0
    paths = {path.stem: path for path in src.rglob("val/*/*.mp4")}
    reader = ShardReader(out, "val")
    names = [Path(video_id).stem for video_id in reader.records.video_ids]
    clips = reader.read_batch(range(len(reader)))
    glosses = model.info.glosses

    ways = {
        name: {key: top_glosses(row, glosses, 5) for key, row in zip(names, run(clips))}
        for name, run in runners.items()
    }
    report = evaluate(out, model.path, "val")
    ways["evaluate"] = {
        Path(video_id).stem: top_glosses(row, glosses, 5)
        for video_id, row in zip(report.video_ids, report.probabilities)
    }
    ways["predict"] = {
        found.path.stem: (found.glosses, found.probabilities)
        for found in predict_videos(model, list(paths.values()))
        if isinstance(found, Prediction)
    }
    ways["web API"] = {}
    with running_app(model, ServeOptions()) as app, serving(app) as port:
        for name, path in paths.items():
            ranked = ask(port, "/predict", path.read_bytes()).json["predictions"]
            ways["web API"][name] = (
                tuple(one["gloss"] for one in ranked),
                tuple(one["probability"] for one in ranked),
            )
    return ways


def assert_agreement(ways):
    expected = ways["predict"]
    assert len(ways) == 8
    # A model that says the same of every video would agree with anything.
    assert len({glosses for glosses, _ in expected.values()}) > 1
    for way, found in ways.items():
        assert found.keys() == expected.keys(), way
        for name, (glosses, shares) in found.items():
            assert glosses == expected[name][0], (way, name)
            np.testing.assert_allclose(shares, expected[name][1], atol=1e-3)


def test_every_way_agrees_on_drawn_videos(model, runners, tmp_path):
    src = tmp_path / "src"
    for number, gloss in enumerate(GLOSSES):
        for split in ("train", "val"):
            write_numbered_video(
                src / split / gloss / f"{split}{number}.mp4",
                num_frames=8 + number,
                first_number=340 * number,
            )
    assert_agreement(answers_of_every_way(model, runners, src, tmp_path / "shards"))


@pytest.mark.slow
def test_every_way_agrees_on_real_videos(model, runners, tmp_path, wlasl_data):
    folder = wlasl_data / "wlasl100-mini"
    with (folder / "truth.csv").open() as file:
        ids = [row["video_id"] for row in csv.DictReader(file)]
    src = tmp_path / "src"
    # Any gloss will do: nobody has trained this model.
    for gloss, split, name in zip(
        itertools.cycle(GLOSSES), itertools.cycle(("val", "val", "train")), ids[:24]
    ):
        place = src / split / gloss / f"{name}.mp4"
        place.parent.mkdir(parents=True, exist_ok=True)
        # A copy: a link out of the folder is not followed.
        shutil.copyfile(folder / "videos" / f"{name}.mp4", place)
    for gloss in GLOSSES:
        (src / "train" / gloss).mkdir(parents=True, exist_ok=True)
    assert_agreement(answers_of_every_way(model, runners, src, tmp_path / "shards"))

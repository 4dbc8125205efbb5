"""Every way to use a model gives the same five glosses for the same videos.

8-bit exports are other models: docs/using-a-model.md tells how far they are away.
"""

import base64
import csv
import functools
import itertools
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import sharding
from browser import chromium, needs_chromium, static_files, web_folder
from drawn_runs import write_run
from drawn_videos import draw_numbered_frame
from encoded_videos import encode_video
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


@dataclass(frozen=True, kw_only=True)
class Source:
    """Videos of the split val, and the shards of them.

    Attributes:
        shards: The shard folder.
        paths: The videos by name.
        expected: What `bin/predict` names in each: five glosses, and how probable.
    """

    shards: Path
    paths: dict[str, Path]
    expected: dict[str, tuple[tuple[str, ...], tuple[float, ...]]]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("agreement") / "run"
    return load_model(write_run(run_dir, glosses=GLOSSES))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """Where an export of a format is; each is written once."""

    @functools.cache
    def path_of(export_format):
        out = tmp_path_factory.mktemp(export_format)
        if export_format == "web":
            return web_folder(model, out)
        return export_model(model, out, export_format).path

    return path_of


def source_of(model, src, shards):
    size = ("--num-frames", "4", "--size", "32", "--codec", "raw")
    assert sharding.shard_here(src, shards, *size) == 0
    paths = {path.stem: path for path in src.rglob("val/*/*.mp4")}
    expected = {
        found.path.stem: (found.glosses, found.probabilities)
        for found in predict_videos(model, list(paths.values()))
        if isinstance(found, Prediction)
    }
    assert expected.keys() == paths.keys()
    # A model that says the same of every video would agree with anything.
    assert len({glosses for glosses, _ in expected.values()}) > 1
    return Source(shards=shards, paths=paths, expected=expected)


@pytest.fixture(scope="module")
def drawn(model, tmp_path_factory):
    """Videos of numbered frames, in a codec that browsers play."""
    folder = tmp_path_factory.mktemp("drawn")
    for number, gloss in enumerate(GLOSSES):
        for split in ("train", "val"):
            numbers = range(340 * number, 341 * number + 8)
            encode_video(
                folder / "src" / split / gloss / f"{split}{number}.mp4",
                [draw_numbered_frame(n, 120, 160) for n in numbers],
            )
    return source_of(model, folder / "src", folder / "shards")


@pytest.fixture(scope="module")
def real(model, tmp_path_factory, wlasl_data):
    """Clips of WLASL100."""
    folder = wlasl_data / "wlasl100-mini"
    with (folder / "truth.csv").open() as file:
        ids = [row["video_id"] for row in csv.DictReader(file)]
    out = tmp_path_factory.mktemp("real")
    for gloss in GLOSSES:
        (out / "src" / "train" / gloss).mkdir(parents=True)
    # Any gloss will do: nobody has trained this model.
    for gloss, split, name in zip(
        itertools.cycle(GLOSSES), itertools.cycle(("val", "val", "train")), ids[:24]
    ):
        place = out / "src" / split / gloss / f"{name}.mp4"
        place.parent.mkdir(parents=True, exist_ok=True)
        # A copy: a link out of the folder is not followed.
        shutil.copyfile(folder / "videos" / f"{name}.mp4", place)
    return source_of(model, out / "src", out / "shards")


def by_name(source_ids, rows):
    """The five glosses of rows of probabilities, by the names of their videos."""
    names = [Path(video_id).stem for video_id in source_ids]
    return {name: top_glosses(row, GLOSSES, 5) for name, row in zip(names, rows)}


def by_evaluate(source, model, exported):
    report = evaluate(source.shards, model.path, "val")
    return by_name(report.video_ids, report.probabilities)


def by_export(export_format):
    def answers(source, model, exported):
        run = load_exported(exported(export_format))
        reader = ShardReader(source.shards, "val")
        clips = reader.read_batch(range(len(reader)))
        return by_name(reader.records.video_ids, run(clips))

    return answers


def by_web_api(source, model, exported):
    with running_app(model, ServeOptions()) as app, serving(app) as port:
        return {
            name: ranked(ask(port, "/predict", path.read_bytes()).json)
            for name, path in source.paths.items()
        }


def by_browser(source, model, exported):
    script = """
        const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
        return window.askLocally("predict", {body: new Blob([bytes])})
            .then((answer) => answer.json());
    """
    folder = exported("web")
    with static_files(folder) as port, chromium(folder.parent) as page:
        page.open(f"http://127.0.0.1:{port}/")
        page.wait_for("document.getElementById('limits').textContent")
        return {
            name: ranked(page.run(script, base64.b64encode(path.read_bytes()).decode()))
            for name, path in source.paths.items()
        }


def ranked(answer):
    predictions = answer["predictions"]
    return (
        tuple(one["gloss"] for one in predictions),
        tuple(one["probability"] for one in predictions),
    )


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(by_evaluate, id="evaluate"),
        *(
            pytest.param(by_export(name), id=name)
            for name in ("keras", "h5", "saved_model", "tflite", "onnx")
        ),
        pytest.param(by_web_api, id="web API"),
        pytest.param(
            by_browser, id="browser", marks=[pytest.mark.slow, needs_chromium]
        ),
    ],
)
@pytest.mark.parametrize(
    "source", ["drawn", pytest.param("real", marks=pytest.mark.slow)]
)
def test_every_way_gives_the_five_glosses_of_predict(
    request, model, exported, source, answers
):
    source = request.getfixturevalue(source)
    found = answers(source, model, exported)
    assert found.keys() == source.expected.keys()
    for name, (glosses, shares) in found.items():
        assert glosses == source.expected[name][0], name
        np.testing.assert_allclose(shares, source.expected[name][1], atol=1e-3)

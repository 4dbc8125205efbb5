"""A backbone that learns to find hands."""

import contextlib
import io
import re
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_training import run

from wlasl_tfrecord.cli import pretrain
from wlasl_tfrecord.errors import (
    OutputError,
    RecipeError,
    RecordError,
    ShardFolderError,
    TrainingError,
)
from wlasl_tfrecord.evaluation.evaluation import evaluate
from wlasl_tfrecord.inference import export, trained_model
from wlasl_tfrecord.network.pose_finder import found_landmarks
from wlasl_tfrecord.network.pretrained_finder import load_finder
from wlasl_tfrecord.network.recipes import load_recipe
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.landmarks import MIRROR_ORDER, NUM_LANDMARKS
from wlasl_tfrecord.shard_format.shard_folder import load_folder
from wlasl_tfrecord.training.config import TrainConfig
from wlasl_tfrecord.training.pose_frames import change_frames
from wlasl_tfrecord.training.pose_training import _score, _Unfinished, train_finder

SIDE = 64


def dots(places):
    """Draws a soft dot of its own frame at each place: [N, S, S, 3]."""
    x, y = np.meshgrid(*[np.arange(SIDE) + 0.5] * 2)
    away = [(x - px * SIDE) ** 2 + (y - py * SIDE) ** 2 for px, py in places]
    return 255 * np.exp(-np.stack(away) / 18)[..., None].repeat(3, -1)


def centre(frame):
    """Finds the dot: the mean place of what is brighter than the rest."""
    weights = np.clip(frame.mean(-1) - np.median(frame) - 40, 0, None)
    x, y = np.meshgrid(*[(np.arange(SIDE) + 0.5) / SIDE] * 2)
    return [(weights * x).sum() / weights.sum(), (weights * y).sum() / weights.sum()]


def test_points_move_as_their_pixels_do():
    places = np.random.default_rng(0).uniform(0.35, 0.65, (24, 2)).astype(np.float32)
    landmarks = np.zeros((24, NUM_LANDMARKS, 3), np.float32)
    landmarks[:, 30] = np.concatenate([places, np.ones((24, 1))], axis=1)
    frames = tf.constant(dots(places), tf.float32)
    seed = tf.constant([3, 4], tf.int64)
    moved, found = (one.numpy() for one in change_frames(frames, landmarks, seed))
    mirrored = found[:, 30, 2] == 0
    assert 6 < mirrored.sum() < 18
    point = np.where(mirrored, np.flatnonzero(np.array(MIRROR_ORDER) == 30)[0], 30)
    for frame, points, where, before in zip(moved, found, point, places):
        assert points[where, 2] == 1
        np.testing.assert_allclose(centre(frame), points[where, :2], atol=0.01)
        assert np.abs(points[where, :2] - before).max() > 0.001
    again, _ = change_frames(frames, landmarks, seed)
    np.testing.assert_array_equal(moved, again)


@pytest.fixture(scope="module")
def data(write_folder, tmp_path_factory):
    return write_folder(
        tmp_path_factory.mktemp("shards") / "shards",
        {"train": 4, "val": 3},
        num_frames=4,
        height=40,
        width=48,
        landmarks=True,
    )


@pytest.fixture(scope="module")
def finder(data, tmp_path_factory):
    """A finder that has learned for a moment: its file, and what the command says."""
    path = tmp_path_factory.mktemp("finder") / "pose.weights.h5"
    options = ["--data", str(data), "--out", str(path), "--weights", "none"]
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert pretrain.main([*options, "--frame-size", "32", "--steps", "4"]) == 0
    return path, shown.getvalue()


@pytest.mark.slow
def test_a_finder_that_was_stopped_goes_on_bit_by_bit(
    finder, data, tmp_path, monkeypatch
):
    step, traced = keras.Model.train_step, []
    monkeypatch.setattr(
        keras.Model, "train_step", lambda *words: traced.append(1) or step(*words)
    )
    options = {"weights": "none", "frame_size": 32, "num_steps": 4}
    path, lines, stopped = tmp_path / "pose.weights.h5", [], []

    def stop(done, num_steps, loss):
        assert num_steps == 4
        assert loss > 0
        if done == 2:
            stopped.append(signal.SIGTERM)

    with pytest.raises(
        TrainingError, match="SIGTERM at step 2; the same command goes on from there"
    ):
        train_finder(data, path, **options, stopped=stopped, on_step=stop)
    assert not path.exists()
    assert len(traced) == 1  # that takes longer than the steps of a short training
    load_recipe("mobilenetv2_pose_lstm").pretrain(
        load_folder(data), path, **options, say=lines.append
    )
    first, last, report = lines
    assert first == "finding hands: resuming from step 2"
    assert re.fullmatch(r"finding hands: step 4/4 \| loss \d+\.\d{3}", last)
    assert report in finder[1]
    assert list(tmp_path.iterdir()) == [path]
    again, before = (
        load_finder(one, alpha=0.35, frame_size=32).get_weights()
        for one in (path, finder[0])
    )
    for one, other in zip(again, before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_checkpoints_of_others_are_not_gone_on_from(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd")
    unfinished = _Unfinished(tmp_path / "pose.weights.h5", model, ("facts",))
    unfinished.save(4)
    assert unfinished.restore(5, print) == 4
    # There would be no last step.
    with pytest.raises(TrainingError, match="of another training; remove it"):
        unfinished.restore(4, print)

    # Through a link, what is older would be removed there.
    (directory,) = tmp_path.iterdir()
    others = directory.rename(tmp_path / "others")
    directory.symlink_to(others)
    for step in (5, 6):
        with pytest.raises(OutputError, match="a link"):
            unfinished.save(step)
    with pytest.raises(OutputError, match="is a link, and may lead to somebody else's"):
        unfinished.restore(9, print)
    assert [path.name for path in others.iterdir()] == ["step-000000004.npz"]


def test_clips_to_judge_by_may_be_damaged_or_missing(write_folder, tmp_path):
    finder = load_finder("none", alpha=0.35, frame_size=32)
    sizes = {"num_frames": 2, "height": 32, "width": 32, "landmarks": True}
    data = write_folder(tmp_path / "some", {"train": 2, "val": 2}, **sizes)
    path = min(data.glob("*val.tfrecord*"))
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"damaged")
    folder = load_folder(data)
    with pytest.raises(RecordError, match="record 0 at byte 0, video_id"):
        _score(finder, folder, 2, 32, 0)
    assert _score(finder, folder, 2, 32, 1).split == "val"
    none = load_folder(write_folder(tmp_path / "none", {"train": 2, "val": 0}, **sizes))
    assert _score(finder, none, 2, 32, 0).split == "train"


def test_a_finder_is_written_and_judged_by_val(finder, data):
    path, shown = finder
    assert [p.name for p in path.parent.iterdir()] == ["pose.weights.h5"]
    finder_of_frames = load_finder(path, alpha=0.35, frame_size=64)
    assert finder_of_frames.count_params() > 400_000
    *lines, last = shown.splitlines()
    for line, group in zip(lines, ("left hand", "right hand", "pose"), strict=True):
        found = re.fullmatch(
            rf"val: {group}: points are off by (\d+\.\d)% of the frame \(median\); "
            r"seen or not: right in (\d+\.\d)% of the frames",
            line,
        )
        assert found is not None
        assert 0 < float(found[1]) < 70
    assert last == (
        f"{path}: bin/train --data {data} --model mobilenetv2_pose_lstm "
        f"--weights {path}"
    )


@pytest.mark.slow
def test_a_network_of_frames_is_trained_on_what_was_found(finder, data, tmp_path):
    configuration = TrainConfig(
        recipe="mobilenetv2_pose_lstm",
        weights=str(finder[0]),
        epochs=2,
        batch_size=2,
        feature_views=2,
        weight_average=0.5,
        recipe_options={
            "frame_size": 32, "width": 8, "num_blocks": 1, "lstm_units": 4,
        },
    )  # fmt: skip
    _, lines = run(data, tmp_path / "run", configuration)
    assert any(line.startswith("head 2/2 | loss ") for line in lines)
    model = trained_model.load_model(tmp_path / "run")
    assert model.info.inputs == ("frames",)
    assert len(evaluate(data, tmp_path / "run", split="val").scores.labels) == 3
    for export_format in ("tflite", "saved_model"):
        report = export.export_model(model, tmp_path / export_format, export_format)
        assert report.max_difference is not None
        assert report.max_difference < 1e-3


def test_a_group_that_is_not_seen_has_no_points():
    places = np.full((1, NUM_LANDMARKS, 2), 0.25, np.float32)
    found = np.array(found_landmarks(places, np.array([[2.0, -2.0, 3.0]])))
    np.testing.assert_array_equal(found[0, :21], [[0.25, 0.25, 1]] * 21)
    np.testing.assert_array_equal(found[0, 21:42], [[0, 0, 0]] * 21)
    np.testing.assert_array_equal(found[0, 42:], [[0.25, 0.25, 1]] * 25)


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        ("imagenet", {}, "needs a backbone that finds hands; make one with bin/pretr"),
        (
            "no.weights.h5",
            {},
            r"no weights file no\.weights\.h5; bin/pretrain makes on",
        ),
        ("none", {"frame_size": 100}, "frame_size must be a multiple of 32, got 100"),
        ("finder", {"alpha": 0.5}, "does not fit a pose finder with alpha 0.5"),
    ],
)
def test_what_is_no_finder_is_named(finder, weights, options, message):
    if weights == "finder":
        weights = str(finder[0])
    with pytest.raises(RecipeError, match=message):
        load_recipe("mobilenetv2_pose_lstm").build_model(
            ClipSpec(num_frames=2, height=64, width=64), 2, weights=weights, **options
        )


def test_what_cannot_teach_a_finder_is_refused(shards, data, tmp_path):
    with pytest.raises(ShardFolderError, match="no landmarks; run bin/shard --landm"):
        train_finder(shards, tmp_path / "a.weights.h5", weights="none")
    with pytest.raises(
        ValueError, match=r"--out must end with \.weights\.h5, got a\.h5"
    ):
        train_finder(data, "a.h5", weights="none")
    with pytest.raises(ValueError, match="--steps must be at least 1, got 0"):
        train_finder(data, tmp_path / "a.weights.h5", num_steps=0)
    with pytest.raises(ValueError, match=r"--seed must be in .* 1\), got -1"):
        train_finder(data, tmp_path / "a.weights.h5", seed=-1)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.weights.h5").mkdir()
    # Now, not when all is learned.
    with pytest.raises(OutputError, match="is a folder; remove it, or choose another"):
        train_finder(data, tmp_path / "a.weights.h5", weights="none")

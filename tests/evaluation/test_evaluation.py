"""Evaluation: every clip once, ranks that no constant model can win, clear refusals."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest
from drawn_shards import write_folder
from known_models import CLIP, GLOSSES, constant, right, write_run, write_shards

from wlasl_tfrecord.errors import ShardFolderError, TrainingError
from wlasl_tfrecord.network import model_info
from wlasl_tfrecord.shard_format.clips import ClipSpec


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("data") / "shards")


def test_a_model_that_knows_is_right_every_time(shards, tmp_path):
    from wlasl_tfrecord.evaluation import evaluation

    report = evaluation.evaluate(shards, write_run(tmp_path, right), batch_size=4)
    assert len(report.scores.labels) == 11
    assert report.top(1) == 1
    assert report.mean_gloss_top(1) == 1
    assert report.confused() == []
    assert report.video_ids == tuple(f"val{number:05d}" for number in range(11))
    assert report.confusion.sum() == 11


@pytest.mark.parametrize("batch_size", [1, 4, 11, 16])
def test_a_model_that_knows_nothing_is_right_only_for_the_first_gloss(
    shards, tmp_path, batch_size
):
    from wlasl_tfrecord.evaluation import evaluation

    run = write_run(tmp_path, constant)
    report = evaluation.evaluate(shards, run, batch_size=batch_size)
    assert report.top(1) == pytest.approx(4 / 11)  # 0, 3, 6 and 9
    assert report.gloss_top(1) == {"book": 1.0, "drink": 0.0, "computer": 0.0}
    assert report.mean_gloss_top(1) == pytest.approx(1 / 3)
    assert report.top(5) == 1
    assert report.scores.loss == pytest.approx(np.log(3), rel=1e-5)
    assert report.confused(1) == [("drink", "book", 4)]


def test_a_model_that_gives_nan_is_never_right(shards, tmp_path):
    from wlasl_tfrecord.evaluation import evaluation

    run = write_run(tmp_path, lambda numbers: constant(numbers) / 0.0)
    report = evaluation.evaluate(shards, run)
    assert report.top(1) == 0
    json.dumps(report.to_json(), allow_nan=False)


def test_a_model_for_other_clips_is_refused(shards, tmp_path):
    from wlasl_tfrecord.evaluation import evaluation

    run = write_run(tmp_path, right)
    info = model_info.ModelInfo(glosses=("a", "b"), clip=CLIP, framing="center")
    model_info.write_model_info(run, info)
    with pytest.raises(TrainingError, match=r"the glosses of .*: 2 of them and 3 of"):
        evaluation.evaluate(shards, run)
    glosses = ("book", "computer", "drink")
    model_info.write_model_info(run, dataclasses.replace(info, glosses=glosses))
    labels = "label 1 is 'computer' and label 1 is 'drink'; shard again"
    with pytest.raises(TrainingError, match=f"the glosses of .* differ: {labels}"):
        evaluation.evaluate(shards, run)
    model_info.write_model_info(run, dataclasses.replace(info, framing="pad"))
    with pytest.raises(
        TrainingError, match=r"the framing of .*: pad and center; shard"
    ):
        evaluation.evaluate(shards, run)
    longer = dataclasses.replace(CLIP, num_frames=CLIP.num_frames + 1)
    model_info.write_model_info(run, dataclasses.replace(info, clip=longer))
    size = f"frames of {CLIP.height}x{CLIP.width}"
    frames = f"{CLIP.num_frames + 1} {size} and {CLIP.num_frames} {size};"
    with pytest.raises(TrainingError, match=f"the clip of .* differ: {frames}"):
        evaluation.evaluate(shards, run)


def test_what_is_missing_is_named(shards, tmp_path):
    from wlasl_tfrecord.evaluation import evaluation

    with pytest.raises(
        TrainingError, match=r"it has no model.json; run bin/train first"
    ):
        evaluation.evaluate(shards, tmp_path)
    with pytest.raises(ValueError, match="--batch-size must be at least 1, got 0"):
        evaluation.evaluate(shards, tmp_path, batch_size=0)
    run = write_run(tmp_path / "run", right)
    with pytest.raises(ShardFolderError, match="no 'test' shards in"):
        evaluation.evaluate(shards, run, split="test")
    content = (run / "model.keras").read_bytes()
    flipped = content[:300] + bytes([content[300] ^ 255]) + content[301:]
    for damaged in (b"not a model", content[: len(content) // 2], flipped):
        (run / "model.keras").write_bytes(damaged)
        with pytest.raises(
            TrainingError, match=r"cannot load .*model.keras .*train again"
        ):
            evaluation.evaluate(shards, run)


def test_a_model_of_another_shape_is_one_line(shards, tmp_path):
    import keras

    from wlasl_tfrecord.evaluation import evaluation

    run = write_run(tmp_path, right)
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(
        run / "model.keras"
    )
    with pytest.raises(
        TrainingError, match=r"model\.keras maps \(None, 3\) to \(None, 2\), its mod"
    ):
        evaluation.evaluate(shards, run)


def test_a_model_that_cannot_be_computed_is_one_line(shards, tmp_path):
    import keras

    from wlasl_tfrecord.evaluation import evaluation
    from wlasl_tfrecord.inference import trained_model

    run = write_run(tmp_path, right)
    frames = keras.Input(CLIP.shape, dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(0.125)(frames))
    x = keras.layers.Dense(len(GLOSSES), activation="softmax")(x)
    keras.Model(frames, x).save(run / "model.keras")
    change_members(run / "model.keras", b'"scale": 0.125', b'"scale": "x"')
    for compute in (
        lambda: evaluation.evaluate(shards, run),
        lambda: trained_model.load_model(run).warm_up(),
    ):
        with pytest.raises(TrainingError, match=r"model\.keras cannot be computed \("):
            compute()


def test_a_model_that_cannot_be_built_again_is_one_line(shards, tmp_path):
    import keras

    from wlasl_tfrecord.inference import trained_model

    run = write_run(tmp_path, right)
    frames = keras.Input(CLIP.shape, dtype="uint8")
    # It computes in integers alone, and what is loaded is built again in float32.
    x = keras.layers.Hashing(9)(keras.ops.cast(frames, "int32"))
    x = keras.layers.Flatten()(keras.ops.cast(x, "float32"))
    x = keras.layers.Dense(len(GLOSSES), activation="softmax")(x)
    keras.Model(frames, x).save(run / "model.keras")
    with pytest.raises(TrainingError, match=r"model\.keras cannot be computed \("):
        trained_model.load_model(run)


def change_members(path, found, replacement):
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content.replace(found, replacement))


def test_a_model_of_a_newer_keras_says_what_it_wants(shards, tmp_path):
    import keras

    from wlasl_tfrecord.evaluation import evaluation

    run = write_run(tmp_path, right)
    with zipfile.ZipFile(run / "model.keras", "w") as file:
        file.writestr("metadata.json", json.dumps({"keras_version": "99.0.1"}))
        file.writestr("config.json", "{}")
        file.writestr("model.weights.h5", b"")
    with pytest.raises(
        TrainingError,
        match=r"cannot load .*model.keras .*Keras 99.0.1 saved it and this is "
        rf"{keras.__version__}; update Keras",
    ):
        evaluation.evaluate(shards, run)


@pytest.mark.parametrize("strategy", ["none", "mirrored"])
def test_views_are_crops_and_the_same_for_every_strategy(tmp_path, strategy):
    import keras

    from wlasl_tfrecord.evaluation import evaluation
    from wlasl_tfrecord.training.strategies import make_strategy

    clip = ClipSpec(num_frames=4, height=32, width=32)
    write_folder(tmp_path / "shards", {"val": 6}, num_frames=4, height=32, width=32)
    frames = keras.Input(clip.shape, dtype="uint8")
    x = keras.ops.cast(frames, "float32") / 255
    x = keras.layers.Dense(3, use_bias=False)(keras.layers.Flatten()(x))
    model = keras.Model(frames, keras.layers.Softmax()(x))
    # Random weights for every pixel, so that a crop is another clip.
    weights = np.random.default_rng(3).normal(0, 0.05, (clip.num_bytes, 3))
    model.set_weights([weights.astype(np.float32)])
    run = tmp_path / "run"
    run.mkdir()
    model.save(run / "model.keras")
    info = model_info.ModelInfo(glosses=GLOSSES, clip=clip, framing="center")
    model_info.write_model_info(run, info)

    def probabilities(name, num_views):
        report = evaluation.evaluate(
            tmp_path / "shards",
            run,
            batch_size=4,
            strategy=make_strategy(name),
            num_views=num_views,
        )
        assert report.num_views == num_views
        return report.probabilities

    one, two = probabilities(strategy, 1), probabilities(strategy, 2)
    assert np.abs(one - two).max() > 1e-3
    # Always the same views.
    assert probabilities("none", 2) == pytest.approx(two, abs=1e-5)


def test_fewer_than_one_view_is_refused(shards, tmp_path):
    from wlasl_tfrecord.evaluation import evaluation

    with pytest.raises(ValueError, match="num_views must be at least 1, got 0"):
        evaluation.evaluate(shards, tmp_path, num_views=0)

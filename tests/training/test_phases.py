"""What a phase trains on: clips cropped once, damaged records by name."""

import numpy as np
import pytest
from small_training import RECIPE, config, run

from wlasl_tfrecord.errors import RecordError, TrainingError


@pytest.mark.parametrize("feature_cache", [True, False])
def test_a_damaged_record_is_named(write_folder, recipe, tmp_path, feature_cache):
    sizes = {"num_frames": 3, "height": 16, "width": 16}
    damaged = write_folder(tmp_path / "shards", {"train": 4, "val": 3}, **sizes)
    path = damaged / "wlasl-train.tfrecord-00000-of-00002"
    content = bytearray(path.read_bytes())
    content[200] ^= 255
    path.write_bytes(content)
    options = {"batch_size": 2, "feature_cache": feature_cache}
    with pytest.raises(
        RecordError, match=r"-train.tfrecord-00000-of-00002: record 0 .*video_id train"
    ):
        run(damaged, tmp_path / "run", config(recipe, **options))


@pytest.mark.parametrize("damage", ["in the middle", "at the end", "cut off"])
@pytest.mark.parametrize("feature_cache", [True, False])
def test_damaged_records_are_passed_over_as_far_as_allowed(
    write_folder, recipe, tmp_path, feature_cache, damage
):
    from wlasl_tfrecord.evaluation import evaluation

    sizes = {"num_frames": 3, "height": 16, "width": 16}
    damaged = write_folder(tmp_path / "shards", {"train": 4, "val": 3}, **sizes)
    for split in ("train", "val"):
        path = damaged / f"wlasl-{split}.tfrecord-00000-of-00002"
        content = bytearray(path.read_bytes())
        content[200 if damage == "in the middle" else -1] ^= 255
        path.write_bytes(content[:-100] if damage == "cut off" else content)
    options = {"batch_size": 2, "feature_cache": feature_cache, "max_bad_records": 1}
    report, _ = run(damaged, tmp_path / "run", config(recipe, **options))
    assert report.num_epochs == 3
    assert np.isfinite(report.best["loss"])
    # Two of the three validation clips are left, so halves are all there is.
    assert report.best["val_top1"] in (0, 0.5, 1)
    scores = evaluation.evaluate(damaged, tmp_path / "run", max_bad_records=1).scores
    assert len(scores.labels) == 2
    assert scores.top(1) == report.best["val_top1"]


@pytest.mark.parametrize(
    ("crop", "gpus", "on_device"),
    [
        ("auto", [], False),
        ("auto", ["GPU:0"], True),
        ("input", ["GPU:0"], False),
        ("device", [], True),
    ],
)
def test_clips_are_cropped_once(
    shards, recipe, tmp_path, monkeypatch, crop, gpus, on_device
):
    from wlasl_tfrecord.input_pipeline import augment, dataset
    from wlasl_tfrecord.training import augmentation, phases

    calls = []

    def listen(module, name):
        function = getattr(module, name)

        def call(*arguments, **options):
            calls.append((name, options.get("augment")))
            return function(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    listen(augment, "crop_clips")
    listen(dataset, "input_fn")
    # Only the choice is asked for its GPUs; the training itself has none.
    choose = phases.make_augmentation

    def chosen(configuration, clip, inputs):
        with monkeypatch.context() as patch:
            devices = augmentation.tf.config
            patch.setattr(devices, "list_logical_devices", lambda _: gpus)
            return choose(configuration, clip, inputs)

    monkeypatch.setattr(phases, "make_augmentation", chosen)
    run(shards, tmp_path, config(recipe, crop=crop, epochs=1))
    assert any(name == "crop_clips" for name, _ in calls) == on_device
    crops = {one.min_scale for name, one in calls if name == "input_fn" and one}
    assert crops == ({1.0} if on_device else {0.8})


SPOILING = (
    RECIPE
    + """
def augment_features(features, seeds):
    return features * float("nan")
"""
)


@pytest.mark.parametrize("feature_cache", [True, False])
def test_a_recipe_changes_its_features_while_the_head_is_trained(
    shards, tmp_path, feature_cache
):
    path = tmp_path / "spoiling.py"
    path.write_text(SPOILING)
    chosen = {"epochs": 1, "feature_cache": feature_cache}
    report, _ = run(shards, tmp_path / "a", config(str(path), augment=False, **chosen))
    assert np.isfinite(report.best["loss"])
    with pytest.raises(TrainingError, match="loss is not a number"):
        run(shards, tmp_path / "b", config(str(path), **chosen))

"""Cached features: the same training, and files that are whole or made again."""

import shutil
import signal

import numpy as np
import pytest
from small_training import config, final_weights, run

from wlasl_tfrecord.errors import TrainingError


def test_without_augmentation_the_cache_changes_nothing(shards, recipe, tmp_path):
    plain = config(recipe, augment=False, epochs=4)
    cached, _ = run(shards, tmp_path / "cached", plain)
    uncached, _ = run(
        shards,
        tmp_path / "not",
        config(recipe, augment=False, epochs=4, feature_cache=False),
    )
    assert not (tmp_path / "not" / "features").exists()
    for key in ("loss", "val_loss", "top1", "val_top1"):
        assert cached.best[key] == pytest.approx(uncached.best[key], rel=1e-5)
    both = zip(final_weights(tmp_path / "cached"), final_weights(tmp_path / "not"))
    for one, other in both:
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_first_views_are_the_first_epochs_of_an_augmented_training(
    shards, recipe, tmp_path
):
    cached, _ = run(shards, tmp_path / "cached", config(recipe, feature_views=3))
    uncached, _ = run(shards, tmp_path / "not", config(recipe, feature_cache=False))
    assert cached.best["loss"] == pytest.approx(uncached.best["loss"], rel=1e-4)
    still, _ = run(shards, tmp_path / "still", config(recipe, augment=False))
    assert cached.best["loss"] != pytest.approx(still.best["loss"], rel=1e-4)


def test_damaged_features_are_computed_again_and_leftovers_go(shards, recipe, tmp_path):
    from wlasl_tfrecord import feature_files

    run(shards, tmp_path, config(recipe, epochs=1))
    first, second = sorted((tmp_path / "features").glob("train-*.npy"))
    whole = first.read_bytes()
    first.write_bytes(whole[:300])
    before = second.stat().st_mtime_ns
    shutil.rmtree(tmp_path / "checkpoints")
    leftover = tmp_path / "features" / ".train-0-0.npy.host.1.part"
    leftover.write_bytes(b"half")
    _, lines = run(shards, tmp_path, config(recipe, epochs=1))
    assert [line for line in lines if line.startswith("features ")] == [
        "features train-0: 14 clips"
    ]
    assert first.read_bytes() == whole
    assert feature_files.is_whole(first)
    assert second.stat().st_mtime_ns == before
    assert not leftover.exists()


def test_a_signal_while_features_are_cached_stops(shards, recipe, tmp_path, capfd):
    from wlasl_tfrecord import training

    def say(line):
        if line.startswith("features train-1"):
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(
        TrainingError, match=r"stopped by SIGTERM; go on with bin/train --resume .*run$"
    ):
        training.train(
            shards, tmp_path / "run", config(recipe, feature_views=9), say=say
        )
    assert signal.getsignal(signal.SIGTERM) is before
    assert "stopping after this step; the same signal once" in capfd.readouterr().err
    names = sorted(path.name for path in (tmp_path / "run" / "features").iterdir())
    assert [name[:8] for name in names] == ["train-0-"]

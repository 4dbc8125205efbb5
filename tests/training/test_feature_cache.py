"""Cached features: the same training, and files that are whole or made again."""

import signal

import numpy as np
import pytest
from small_training import config, final_weights, run

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.training import history


def losses(run_dir):
    return [row["loss"] for row in history.read_history(run_dir)]


@pytest.fixture(scope="module")
def still(shards, recipe, tmp_path_factory):
    """A training without augmentation: its report and its folder."""
    folder = tmp_path_factory.mktemp("still")
    return run(shards, folder, config(recipe, augment=False))[0], folder


def test_without_augmentation_the_cache_changes_nothing(
    still, shards, recipe, tmp_path
):
    cached, folder = still
    assert (folder / "feature_cache").exists()
    plain = config(recipe, augment=False, feature_cache=False)
    uncached, _ = run(shards, tmp_path, plain)
    assert not (tmp_path / "feature_cache").exists()
    for key in ("loss", "val_loss", "top1", "val_top1"):
        assert cached.best[key] == pytest.approx(uncached.best[key], rel=1e-5)
    for one, other in zip(final_weights(folder), final_weights(tmp_path), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_first_views_are_the_first_epochs_of_an_augmented_training(
    still, shards, recipe, tmp_path
):
    run(shards, tmp_path / "cached", config(recipe, feature_views=3))
    run(shards, tmp_path / "not", config(recipe, feature_cache=False))
    # In every epoch, not in the best one alone, which may be the first.
    found = losses(tmp_path / "cached")
    assert len(found) == 3
    assert found == pytest.approx(losses(tmp_path / "not"), rel=1e-4)
    for one, other in zip(found, losses(still[1]), strict=True):
        assert one != pytest.approx(other, rel=1e-4)


def test_a_signal_while_features_are_cached_stops(shards, recipe, tmp_path, capfd):
    from wlasl_tfrecord.training import trainer

    def say(line):
        if line.startswith("feature cache train-1"):
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(
        TrainingError,
        match=r"stopped by SIGTERM; resume with bin/train --resume .*run$",
    ):
        trainer.train(
            shards, tmp_path / "run", config(recipe, feature_views=9), say=say
        )
    assert signal.getsignal(signal.SIGTERM) is before
    assert "stopping after this step; the same signal once" in capfd.readouterr().err
    names = sorted(path.name for path in (tmp_path / "run" / "feature_cache").iterdir())
    assert [name[:8] for name in names] == ["train-0-"]

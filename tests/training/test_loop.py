"""The loop of a phase: the best weights are kept, callbacks called, NaN refused."""

import os
import signal

import numpy as np
import pytest
from small_training import RECIPE, config, final_weights, run

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.training import checkpoints, history, loop


def test_a_plateau_halves_the_rate_and_a_long_one_ends_the_phase(
    shards, recipe, tmp_path
):
    options = {"schedule": "plateau", "plateau_patience": 1, "patience": 3}
    slow = config(recipe, learning_rate=1e-12, epochs=9, **options)
    report, lines = run(shards, tmp_path, slow)
    rates = [row["learning_rate"] for row in history.read_history(tmp_path)]
    # So slow that nothing changes: each epoch but the first is a plateau.
    assert [rate * 1e12 for rate in rates] == pytest.approx([1, 1, 0.5, 0.25])
    assert report.num_epochs == 4
    assert lines[-1] == "no better validation for 3 epochs: phase ended early"


def test_a_phase_ends_with_the_weights_of_its_best_epoch(shards, recipe, tmp_path):
    # With such a rate an epoch is soon worse than the one before, and ends the phase.
    wild = config(recipe, learning_rate=1.0, patience=1, epochs=30)
    report, _ = run(shards, tmp_path, wild)
    assert report.best["epoch"] == report.num_epochs - 1 < 29
    newest = checkpoints.load_newest(tmp_path / "checkpoints", print)
    assert newest is not None
    left = [a for name, a in newest.arrays.items() if name.startswith("model/")]
    for best in final_weights(tmp_path):
        assert any(np.array_equal(best, one) for one in left)


def test_callbacks_of_keras_are_told_and_may_stop(shards, recipe, tmp_path):
    import keras

    told = []

    class Listener(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002
            told.append(batch)

        def on_epoch_end(self, epoch, logs=None):
            told.append((epoch, sorted(logs or ())[:2]))
            self.model.stop_training = True

    options = config(recipe, fine_tune_epochs=2)
    report, _ = run(shards, tmp_path, options, callbacks=[Listener()])
    assert told == [0, 1, 2, (0, ["clips_per_second", "input_wait"])]
    assert report.num_epochs == 1


def test_a_loss_that_is_no_number_names_the_clips(shards, recipe, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text(
        RECIPE.replace(
            "x = keras.layers.Dropout(dropout)(x)", "x = keras.ops.log(x - 9.0)"
        )
    )
    with pytest.raises(
        TrainingError,
        match=r"the loss is not a number at step 1 of .* of the clips train000.*"
        r"train again with a lower --learning-rate and another --out; "
        r".*step-000000000\.npz is the last good checkpoint$",
    ):
        run(shards, tmp_path / "run", config(str(broken)))


def test_a_signal_ends_a_validation_which_is_done_again_when_resumed(
    shards, recipe, tmp_path, monkeypatch
):
    options = config(recipe, epochs=2, weight_average=0.5)
    run(shards, tmp_path / "undisturbed", options)
    make_scorer, batches = loop.make_scorer, []

    def make_signalled(strategy, model, on_batch):
        def on_each():
            batches.append(None)
            if len(batches) == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            on_batch()

        return make_scorer(strategy, model, on_each)

    monkeypatch.setattr(loop, "make_scorer", make_signalled)
    with pytest.raises(TrainingError, match=r"stopped by SIGTERM; .*step-000000003\."):
        run(shards, tmp_path / "stopped", options)
    assert len(batches) == 1
    assert not (tmp_path / "stopped" / "history.csv").exists()
    report, _ = run(shards, tmp_path / "stopped", options)
    assert report.num_epochs == 2
    folders = [tmp_path / "undisturbed", tmp_path / "stopped"]
    before, after = (
        [row["val_loss"] for row in history.read_history(folder)] for folder in folders
    )
    assert before == after
    for one, other in zip(*map(final_weights, folders), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_of_another_network_is_refused_by_name(shards, recipe, tmp_path):
    from wlasl_tfrecord.training.checkpoints import Checkpoint, save_checkpoint

    short = config(recipe, epochs=1)
    run(shards, tmp_path / "run", short)
    folder = tmp_path / "run" / "checkpoints"
    newest = checkpoints.load_newest(folder, print)
    assert newest is not None
    newest.progress.phase_over = False  # as if it were stopped before the end
    kernel = newest.arrays["model/conv0/kernel"]
    changes = {
        "it has no model/conv0/kernel": {"model/conv0/kernel": None},
        r"model/conv0/kernel has shape \(3, 3, 3, 5\), not \(3, 3, 3, 4\)": {
            "model/conv0/kernel": np.zeros((3, 3, 3, 5), kernel.dtype)
        },
        "the network has no model/conv2/kernel": {"model/conv2/kernel": kernel},
        "it has no optimizer/logits/bias/velocity": {
            "optimizer/logits/bias/velocity": None
        },
    }
    for message, change in changes.items():
        arrays = {k: v for k, v in {**newest.arrays, **change}.items() if v is not None}
        save_checkpoint(folder, Checkpoint(newest.step, newest.progress, arrays))
        with pytest.raises(
            TrainingError, match=rf"does not fit the network \({message}\): its recipe"
        ):
            run(shards, tmp_path / "run", short)

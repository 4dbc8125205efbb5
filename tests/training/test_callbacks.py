"""Callbacks of Keras: they work as in `fit`, or are refused before training."""

import pytest
from small_training import config, run

from wlasl_tfrecord.training import history
from wlasl_tfrecord.training.callbacks import check_callbacks


def test_callbacks_that_set_the_rate_do(shards, recipe, tmp_path):
    import keras

    rates = []

    class Listener(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002
            rates.append(float(self.model.optimizer.learning_rate))

    options = config(recipe, schedule="constant", learning_rate=1e-12, epochs=4)
    callbacks = [
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1),
        keras.callbacks.LearningRateScheduler(lambda _, rate: rate * 2),
        keras.callbacks.ModelCheckpoint(tmp_path / "theirs.keras"),
        keras.callbacks.EarlyStopping("val_loss", patience=9),
        Listener(),
    ]
    run(shards, tmp_path / "run", options, callbacks=callbacks)
    # Doubled before each epoch, halved after each but the first: so slow that the loss
    # stays where it is.
    assert [rate * 1e12 for rate in rates] == pytest.approx([2, 2, 2, 2])
    rows = history.read_history(tmp_path / "run")
    assert [r["learning_rate"] * 1e12 for r in rows] == pytest.approx([2, 4, 4, 4])
    keras.models.load_model(tmp_path / "theirs.keras", compile=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda k: k.ReduceLROnPlateau(),
            "the callback ReduceLROnPlateau sets the learning rate, and so does "
            "schedule='cosine'; use schedule='plateau' in its place, or schedule='con",
        ),
        (
            lambda k: k.LearningRateScheduler(lambda _: 0.1),
            "the callback LearningRateScheduler sets the learning rate",
        ),
        (
            lambda k: k.TensorBoard("logs"),
            "leave the callback TensorBoard out: TensorBoard's files are written anyw",
        ),
        (
            lambda k: k.BackupAndRestore("backup.weights.h5"),
            "leave the callback BackupAndRestore out: checkpoints are written anyway",
        ),
        (
            lambda k: k.SwapEMAWeights(),
            "leave the callback SwapEMAWeights out: the optimizer keeps no moving",
        ),
    ],
)
def test_what_could_not_work_is_refused(shards, recipe, tmp_path, make, message):
    import keras

    callbacks = [make(keras.callbacks)]
    with pytest.raises(ValueError, match=message):
        run(shards, tmp_path, config(recipe), callbacks=callbacks)
    assert not list(tmp_path.iterdir())


def test_a_constant_rate_leaves_it_to_the_callback(recipe):
    import keras

    callbacks = [keras.callbacks.ReduceLROnPlateau()]
    check_callbacks(callbacks, config(recipe, schedule="constant"))

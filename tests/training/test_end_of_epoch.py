"""Epochs: when a phase ends, what is told of it, and to whom."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import sys
import termios
import threading
from functools import partial

import numpy as np
import pytest
import tqdm
from small_training import RECIPE, config, final_weights, run

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.training import checkpoints


def test_a_plateau_halves_the_rate_and_a_long_one_ends_the_phase(
    shards, recipe, tmp_path
):
    from wlasl_tfrecord.training import history

    options = {"schedule": "plateau", "plateau_patience": 1, "patience": 3}
    slow = config(recipe, learning_rate=1e-12, epochs=9, **options)
    report, lines = run(shards, tmp_path, slow)
    rates = [row["learning_rate"] for row in history.read_history(tmp_path)]
    # So slow that nothing changes: each epoch but the first is a plateau.
    assert [rate * 1e12 for rate in rates] == pytest.approx([1, 1, 0.5, 0.25])
    assert report.num_epochs == 4
    assert lines[-1] == "no better validation for 3 epochs: phase ended early"


def test_a_loss_that_is_no_number_is_above_every_other(tmp_path, recipe):
    import keras

    from wlasl_tfrecord.evaluation.metrics import ClipScores
    from wlasl_tfrecord.training import end_of_epoch, strategies, trainer
    from wlasl_tfrecord.training import run as training_run
    from wlasl_tfrecord.training.progress import Progress

    options = {"schedule": "plateau", "plateau_patience": 1}
    whole = training_run.Run(
        directory=tmp_path,
        config=config(recipe, **options),
        strategy=strategies.make_strategy("none"),
        model=keras.Sequential(),
        glosses=("a", "b"),
        checkpoint_seconds=60.0,
        save_best=lambda: None,
        events=None,
        callbacks=keras.callbacks.CallbackList(),
        say=print,
    )
    phase = training_run.Phase("all", *[None] * 2, 9, 1, 0.1, *[None] * 5)
    progress, better = Progress(), []
    for loss in (np.nan, 3.0, 2.0, 2.5):
        scores = ClipScores(
            records=np.arange(2),
            labels=np.zeros(2, np.int64),
            predictions=np.ones(2, np.int64),
            ranks=np.ones(2, np.int64),
            losses=np.full(2, loss, np.float32),
        )
        progress, improved = end_of_epoch.end_epoch(
            whole, phase, progress, scores, 0.1, 0.0
        )
        better.append(improved)
    assert better == [True, True, True, False]
    assert progress.lowest_loss == 2.0
    # After the first epoch, which has no loss, and the last, which has no lower one.
    assert progress.plateau_factor == 0.25
    assert trainer.report_run(tmp_path, progress.rows).best["epoch"] == 3


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


@pytest.mark.parametrize(
    ("name", "seconds", "warns"),
    [
        ("fine-tune", 0.054, False),
        ("fine-tune", 0.056, True),
        # From cached features: no shard is read, and nothing could be changed.
        ("head", 0.056, False),
    ],
)
def test_waiting_for_input_is_warned_of(recipe, tmp_path, name, seconds, warns):
    import keras

    from wlasl_tfrecord.training import end_of_epoch, history, strategies
    from wlasl_tfrecord.training import run as training_run
    from wlasl_tfrecord.training.progress import Progress

    lines = []
    model = keras.Sequential([keras.layers.Input([1]), keras.layers.Dense(1)])
    run_ = training_run.Run(
        directory=tmp_path,
        config=config(recipe),
        strategy=strategies.make_strategy("none"),
        model=model,
        glosses=("book",),
        checkpoint_seconds=9,
        save_best=lambda: None,
        events=None,
        callbacks=keras.callbacks.CallbackList([], model=model),
        stopped=(),
        say=lines.append,
    )
    phase = training_run.Phase(
        name=name,
        model=model,
        scored_model=model,
        num_epochs=2,
        steps_per_epoch=1,
        learning_rate=0.1,
        training_batches=lambda _: None,
        validation_batches=None,
        prepare=None,
        class_weights=None,
        describe_step=str,
    )
    spent = Progress(seconds=1.0, wait_seconds=seconds, sums=(1.0, 0.0, 0.0, 4.0))
    # However long the validation took.
    end_of_epoch.end_epoch(run_, phase, spent, None, 0.1, validation_seconds=9.0)
    assert history.read_history(tmp_path)[0]["seconds"] == 10
    share = f"{seconds:.0%}"
    assert lines[0].endswith(f"4 clips/s, input wait {share}")
    warning = f"  the step waited for input {share} of the time; `bin/bench input` says"
    assert [line.startswith(warning) for line in lines[1:]] == [True] * warns


def test_a_terminal_gets_a_bar_and_a_counter(shards, recipe, tmp_path, monkeypatch):
    ours, theirs = pty.openpty()
    shown = []

    def read():
        # It ends with an error when nobody has the other side open any more.
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 1 << 16):
                shown.append(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    size = struct.pack("HHHH", 24, 120, 0, 0)  # rows, columns
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    with os.fdopen(theirs, "w") as tty, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", tty)
        # At every step, not ten times a second at most.
        patch.setattr(tqdm, "tqdm", partial(tqdm.tqdm, mininterval=0, miniters=1))
        run(shards, tmp_path, config(recipe, epochs=1))
    reader.join()
    os.close(ours)
    text = b"".join(shown).decode()
    assert "features train-0: 4/14 clips\r" in text
    assert "features train-0: 14/14 clips\r\n" in text
    bars = re.findall(r"head 1/1: +(\d+)%[^\r]* (\d+)/12 \[[^\r]*clips/s", text)
    assert [clips for _, clips in bars] == ["0", "4", "8", "12"], text
    assert re.search(r"loss=\d\.\d{3}, top1=\d+\.\d%", text)

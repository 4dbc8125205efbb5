"""The end of an epoch: its line and warnings, and the bar on a terminal."""

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

import pytest
import tqdm
from small_training import config, run

from wlasl_tfrecord.shard_format.shard_folder import load_folder


@pytest.mark.parametrize(
    ("name", "seconds", "warns"),
    [
        ("fine-tune", 0.054, False),
        ("fine-tune", 0.056, True),
        # From cached features: no shard is read, and nothing could be changed.
        ("head", 0.056, False),
    ],
)
def test_waiting_for_input_is_warned_of(shards, recipe, tmp_path, name, seconds, warns):
    import keras

    from wlasl_tfrecord.network.recipes import load_recipe
    from wlasl_tfrecord.training import end_of_epoch, history, strategies
    from wlasl_tfrecord.training.phases import Phase
    from wlasl_tfrecord.training.progress import EpochTotals, Progress
    from wlasl_tfrecord.training.run import Run

    lines = []
    model = keras.Sequential([keras.layers.Input([1]), keras.layers.Dense(1)])
    run_ = Run(
        directory=tmp_path,
        folder=load_folder(shards),
        config=config(recipe),
        recipe=load_recipe(recipe),
        strategy=strategies.make_strategy("none"),
        model=model,
        scored_model=model,
        checkpoint_seconds=9,
        save_best=lambda: None,
        events=None,
        callbacks=keras.callbacks.CallbackList([], model=model),
        callback_model=model,
        stopped=(),
        say=lines.append,
    )
    phase = Phase(
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
    sums = (1.0, 0.0, 0.0, 4.0)
    totals = EpochTotals(seconds=1.0, wait_seconds=seconds, sums=sums)
    # However long the validation took.
    progress = Progress(totals=totals)
    end_of_epoch.end_epoch(run_, phase, progress, None, 0.1, validation_seconds=9.0)
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
    assert "feature cache train-0: 4/14 clips\r" in text
    assert "feature cache train-0: 14/14 clips\r\n" in text
    bars = re.findall(r"head 1/1: +(\d+)%[^\r]* (\d+)/12 \[[^\r]*clips", text)
    assert [clips for _, clips in bars] == ["0", "4", "8", "12"], text
    assert re.search(r"loss=\d\.\d{3}, top1=\d+\.\d%", text)

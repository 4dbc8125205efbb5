"""input_fn in other people's hands: Keras, strategies, tf.data service."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from checkout import CHECKOUT

from wlasl_tfrecord import input_fn
from wlasl_tfrecord.training.strategies import make_strategy


@pytest.fixture(scope="module")
def shards(write_folder, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("elsewhere") / "shards"
    return write_folder(directory, {"train": 14, "val": 5})


def run(code, directory):
    """Runs a program in a directory that holds `shards/`, and returns its output."""
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[0] = {str(CHECKOUT)!r}\n{code}"],
        cwd=directory,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def small_model():
    """A compiled model of one dense layer, always with the same weights."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((5, 16, 24, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling3D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# Keras 3.9's own argmax, with NumPy 1.
@pytest.mark.filterwarnings("ignore:NumPy will stop allowing:DeprecationWarning")
@pytest.mark.parametrize("batch_size", [2, 4, 8])
def test_keras_validates_pairs_exactly(shards, batch_size):
    # 5 clips, which fill none of these batches. "weighted" would not do: Keras divides
    # the loss by the clips of weight 0, too.
    model = small_model()
    frames, labels = next(input_fn(shards, "val", 5).as_numpy_iterator())
    shares = np.asarray(model(frames))
    right = shares[np.arange(5), labels]
    scores = model.evaluate(
        input_fn(shards, "val", batch_size), verbose=0, return_dict=True
    )
    np.testing.assert_allclose(scores["loss"], -np.log(right).mean(), rtol=1e-5)
    assert scores["accuracy"] == pytest.approx((shares.argmax(-1) == labels).mean())


class Recorder(keras.Model):
    """Keeps what it is trained with."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)
        self.seen = []
        self.compile(
            "sgd",
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            run_eagerly=True,
        )

    def call(self, frames):
        return self.dense(keras.ops.cast(keras.ops.mean(frames, (1, 2, 3)), "float32"))

    def train_step(self, data):
        self.seen.append(first_pixels(data[0]))
        return super().train_step(data)


def first_pixels(frames):
    """Tells clips apart: the first pixel of each."""
    return [tuple(pixel) for pixel in frames.numpy()[:, 0, 0, 0].tolist()]


def test_keras_sees_every_clip_in_each_epoch_in_another_order(shards):
    model = Recorder()
    dataset = input_fn(shards, "train", 2, augment=False)
    model.fit(dataset, epochs=3, verbose=0, shuffle=False)
    assert len(model.seen) == 21
    epochs = [[c for b in model.seen[e : e + 7] for c in b] for e in (0, 7, 14)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(epochs[2])
    assert epochs[0] != epochs[1] != epochs[2]


def test_keras_goes_through_an_endless_run_exactly(shards):
    def endless(start_step):
        return input_fn(
            shards, "train", 2, augment=False, num_epochs=None, start_step=start_step
        )

    expected = [first_pixels(frames) for frames, _ in endless(0).take(15)]
    model = Recorder()
    model.fit(endless(0), steps_per_epoch=5, epochs=3, verbose=0, shuffle=False)
    assert model.seen == expected
    resumed = Recorder()
    resumed.fit(
        endless(5),
        steps_per_epoch=5,
        initial_epoch=1,
        epochs=3,
        verbose=0,
        shuffle=False,
    )
    assert resumed.seen == expected[5:]


@pytest.fixture
def service():
    """A dispatcher and a worker of tf.data service on this machine."""
    dispatcher = tf.data.experimental.service.DispatchServer()
    address = dispatcher.target.split("://")[1]
    config = tf.data.experimental.service.WorkerConfig(dispatcher_address=address)
    worker = tf.data.experimental.service.WorkerServer(config)
    yield dispatcher.target
    worker._stop()
    dispatcher._stop()


@pytest.mark.parametrize("order", ["shuffled", "sequential"])
def test_tf_data_service_delivers_the_same_batches(shards, service, order):
    options = {"num_epochs": 2, "element": "dict", "order": order}
    dataset = input_fn(shards, "train", 4, reader="graph", **options)
    distributed = dataset.apply(
        tf.data.experimental.service.distribute("parallel_epochs", service)
    )
    ours = [batch["record"].numpy().tolist() for batch in dataset]
    theirs = list(distributed)
    assert [batch["record"].numpy().tolist() for batch in theirs] == ours
    assert theirs[0]["frames"].shape == (4, 5, 16, 24, 3)


def mirrored_model():
    """A model on two logical CPUs; the weights are those of any other with its seed."""
    # The one of this process: TensorFlow mixes up the operations of several.
    with make_strategy("mirrored").scope():
        return small_model()


# Keras 3.9's own argmax, with NumPy 1.
@pytest.mark.filterwarnings("ignore:NumPy will stop allowing:DeprecationWarning")
def test_keras_under_mirrored_strategy_validates_pairs_exactly(shards):
    # Keras divides the dataset itself; no input context is needed. 5 clips in batches
    # of 4 on 2 replicas: the last batch is one clip on one of them.
    model = mirrored_model()
    history = model.fit(
        input_fn(shards, "train", 4),
        validation_data=input_fn(shards, "val", 4),
        epochs=1,
        verbose=0,
        shuffle=False,
    ).history
    alone = small_model()
    alone.set_weights(model.get_weights())
    expected = alone.evaluate(input_fn(shards, "val", 5), verbose=0, return_dict=True)
    for name, value in expected.items():
        np.testing.assert_allclose(history[f"val_{name}"], [value], rtol=1e-5)


@pytest.mark.filterwarnings("ignore:NumPy will stop allowing:DeprecationWarning")
def test_keras_under_mirrored_strategy_fails_where_the_guide_says(
    write_folder, tmp_path
):
    # A change here is one of Keras or TensorFlow: mend docs/input_fn.md.
    shards = write_folder(tmp_path / "shards", {"val": 3})
    model = mirrored_model()
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="AddN of type AddN must have"
    ):
        model.evaluate(input_fn(shards, "val", 4), verbose=0)
    expected = small_model().evaluate(input_fn(shards, "val", 3), verbose=0)
    smaller_batch = mirrored_model().evaluate(input_fn(shards, "val", 2), verbose=0)
    np.testing.assert_allclose(smaller_batch, expected, rtol=1e-5)


@pytest.mark.slow
def test_the_first_batch_of_21000_clips_takes_little_work(write_folder, tmp_path):
    # As many instances as WLASL has. It has to come within 2 seconds, which
    # benchmarks/input.py measures. Python takes most of them, so its calls are counted
    # here: some 100,000. AutoGraph alone would make 2,600,000 of them.
    folder = write_folder(
        tmp_path / "shards", {"train": 21_000}, num_frames=2, height=8, width=8
    )
    code = f"""
from wlasl_tfrecord.input_pipeline import dataset
calls = 0
def count(frame, event, argument):
    global calls
    calls += event == "call"
sys.setprofile(count)
next(iter(dataset.input_fn({str(folder)!r}, "train", 16)))
sys.setprofile(None)
print(calls)
"""
    assert int(run(code, tmp_path).splitlines()[-1]) < 200_000

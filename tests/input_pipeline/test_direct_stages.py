import gc
import subprocess
import sys
import weakref

import numpy as np
import pytest
import tensorflow as tf
from checkout import CHECKOUT

from wlasl_tfrecord import input_fn
from wlasl_tfrecord.input_pipeline.augment import AugmentConfig

NUM_TRAIN, NUM_VAL = 13, 5


@pytest.fixture(scope="module", params=["raw", "jpeg", "png"])
def shards(request, write_folder, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param) / "shards"
    counts = {"train": NUM_TRAIN, "val": NUM_VAL}
    return write_folder(directory, counts, codec=request.param)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    """Windows of some clips of the small test folders, as real ones have of theirs."""
    monkeypatch.setattr(
        "wlasl_tfrecord.input_pipeline.buffers.DEFAULT_WINDOW_BYTES", 30_000
    )


def arrays(dataset):
    return [tf.nest.map_structure(lambda x: x.numpy(), batch) for batch in dataset]


@pytest.mark.parametrize("element", ["pair", "weighted", "dict", "keys"])
@pytest.mark.parametrize("order", ["shuffled", "sequential"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_the_batches_are_those_of_the_graph(shards, element, order, split):
    options = {"element": element, "order": order, "num_epochs": 2, "augment": False}
    direct = input_fn(shards, split, 4, start_step=1, **options)
    graph = input_fn(shards, split, 4, start_step=1, reader="graph", **options)
    assert direct.element_spec == graph.element_spec
    assert int(direct.cardinality()) == int(graph.cardinality())
    for ours, theirs in zip(arrays(direct), arrays(graph), strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize("order", ["shuffled", "sequential"])
def test_augmented_batches_are_those_of_the_graph_within_rounding(shards, order):
    options = {"element": "dict", "order": order, "num_epochs": 2}
    options["augment"] = AugmentConfig(flip_probability=0.5)
    direct = arrays(input_fn(shards, "train", 4, **options))
    graph = arrays(input_fn(shards, "train", 4, reader="graph", **options))
    for ours, theirs in zip(direct, graph, strict=True):
        difference = np.abs(ours.pop("frames").astype(int) - theirs.pop("frames"))
        assert difference.max() <= 1
        tf.nest.map_structure(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_share_the_batches_of_the_graph(shards, workers):
    whole = arrays(input_fn(shards, "train", 4, element="dict", reader="graph"))
    for worker in range(workers):
        context = tf.distribute.InputContext(workers, worker, workers)
        part = input_fn(shards, "train", 4, element="dict", input_context=context)
        for ours, theirs in zip(arrays(part), whole, strict=True):
            np.testing.assert_array_equal(
                ours["video_id"], theirs["video_id"][worker::workers]
            )


def test_an_iterator_is_stored_without_any_option(shards, tmp_path):
    def batches():
        return iter(input_fn(shards, "train", 4, num_epochs=4, element="dict"))

    first, again = batches(), batches()
    for _ in range(5):
        next(first)
    stored = tf.train.Checkpoint(iterator=first).save(str(tmp_path / "steps"))
    tf.train.Checkpoint(iterator=again).restore(stored)
    left = list(zip(first, again, strict=True))
    assert len(left) == 7
    for ours, theirs in left:
        tf.nest.map_structure(np.testing.assert_array_equal, ours, theirs)


def test_batches_that_are_kept_keep_their_frames(shards):
    # Memory is used again, but not while anybody refers to it.
    batches = [frames for frames, _ in input_fn(shards, "train", 2, num_epochs=8)]
    again = [frames.numpy() for frames, _ in input_fn(shards, "train", 2, num_epochs=8)]
    for ours, theirs in zip(batches, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def run(code, *, timeout=120):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


USED = """
import gc, os
from wlasl_tfrecord import input_fn

def used():
    with open("/proc/self/status") as file:
        kib = next(int(x.split()[1]) for x in file if x.startswith("VmRSS"))
    print(kib / 1024, len(os.listdir("/proc/self/fd")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self")
@pytest.mark.parametrize("order", ["shuffled", "sequential"])
def test_inputs_that_are_gone_keep_no_memory_and_no_files(
    write_folder, tmp_path, order
):
    # TensorFlow keeps a dataset's functions, and with them what these refer to.
    shards = write_folder(
        tmp_path / "shards",
        {"train": 8},
        num_shards=4,
        num_frames=8,
        height=224,
        width=224,
    )
    code = f"""
for number in range(12):
    # One that is used up, and one that is still read when it goes.
    for epochs in (1, None):
        batches = iter(
            input_fn({str(shards)!r}, "train", 8, num_epochs=epochs, order={order!r})
        )
        next(batches)
        del batches
    gc.collect()
    used()
"""
    done = run(USED + code)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 12, done.stderr[-3000:]
    (_, first_files), *_, (_, last_files) = lines
    assert last_files == first_files
    # A batch has 10 MB, and an input at least three.
    assert float(lines[-1][0]) < float(lines[1][0]) + 100


@pytest.mark.parametrize("order", ["shuffled", "sequential"])
def test_a_dataset_of_the_variant_of_one_that_is_gone_has_the_same_batches(
    shards, order
):
    options = {"order": order, "seed": 3, "element": "dict"}
    expected = arrays(input_fn(shards, "train", 4, **options))
    batches = input_fn(shards, "train", 4, **options)
    variant = tf.data.experimental.to_variant(batches)
    spec = batches.element_spec
    gone = weakref.ref(batches)
    del batches
    gc.collect()
    assert gone() is None
    again = tf.data.experimental.from_variant(variant, spec)
    for ours, theirs in zip(arrays(again), expected, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, ours, theirs)


ENDLESS = """
import sys
from wlasl_tfrecord import input_fn
batches = iter(input_fn({shards!r}, "train", 2, num_epochs=None))
next(batches)
"""


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("sys.exit(7)", 7),
        ("del batches", 0),
        # As Ctrl-C does.
        ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", -2),
    ],
)
def test_a_program_ends_although_the_input_reads_ahead(
    write_folder, tmp_path, ending, code
):
    # Clips of 1.2 MB, so that something is read while the program ends.
    shards = write_folder(
        tmp_path / "shards", {"train": 20}, num_frames=8, height=224, width=224
    )
    done = run(ENDLESS.format(shards=str(shards)) + ending)
    assert done.returncode == code, done.stderr[-3000:]
    assert "Fatal" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self")
def test_many_batches_take_no_more_memory_and_files_than_few(write_folder, tmp_path):
    shards = write_folder(tmp_path / "shards", {"train": 64}, num_shards=32)
    code = f"""
batches = iter(input_fn({str(shards)!r}, "train", 4, num_epochs=None))
for number in range(20_001):
    next(batches)
    if number % 10_000 == 5_000 or number == 20_000:
        used()
"""
    lines = [line.split() for line in run(USED + code, timeout=600).stdout.splitlines()]
    (first_mib, first_files), *_, (last_mib, last_files) = lines
    assert float(last_mib) < float(first_mib) + 8
    assert last_files == first_files

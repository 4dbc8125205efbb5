import numpy as np
import pytest
import tensorflow as tf

from wlasl_tfrecord import input_fn
from wlasl_tfrecord.input_pipeline.buffers import plan_graph_buffers
from wlasl_tfrecord.input_pipeline.order import Order, WorkerPositions
from wlasl_tfrecord.input_pipeline.sequential import (
    read_window,
    window_positions,
    window_range,
)
from wlasl_tfrecord.shard_format.shard_folder import load_folder, load_records

NUM_CLIPS = 29


@pytest.fixture(scope="module", params=["raw", "jpeg"])
def shards(request, write_folder, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param) / "shards"
    return write_folder(directory, {"train": NUM_CLIPS}, codec=request.param)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    """Windows of some clips of the small test folders, as real ones have of theirs."""
    monkeypatch.setattr(
        "wlasl_tfrecord.input_pipeline.buffers.DEFAULT_WINDOW_BYTES", 48_000
    )


def arrays(dataset):
    return [tf.nest.map_structure(lambda x: x.numpy(), batch) for batch in dataset]


def sequential(shards, **options):
    options = {"order": "sequential", "element": "dict", "reader": "graph"} | options
    return input_fn(shards, "train", 4, **options)


def assert_same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other):
        tf.nest.map_structure(np.testing.assert_array_equal, a, b)


def test_the_windows_are_smaller_than_the_split(shards):
    folder = load_folder(shards)
    records = load_records(folder, "train")
    plan = plan_graph_buffers(
        records,
        folder.clip.num_bytes,
        4,
        augmented=False,
        sequential=True,
        remote=False,
        ram_budget_mib=None,
    )
    assert 4 <= plan.window_size < NUM_CLIPS


def test_sequential_batches_are_those_of_the_computed_order(shards):
    full = arrays(sequential(shards, num_epochs=3))
    keys = arrays(sequential(shards, num_epochs=3, element="keys"))
    assert len(full) == 3 * (NUM_CLIPS // 4)
    plain = arrays(input_fn(shards, "train", 4, element="keys", num_epochs=3))
    assert any((a["record"] != b["record"]).any() for a, b in zip(keys, plain))
    for batch in full:
        del batch["frames"]
    assert_same(full, keys)


def test_sequential_frames_are_those_of_their_record(shards):
    by_record = {}
    everything = input_fn(shards, "train", 1, training=False, element="dict")
    for batch in arrays(everything):
        by_record[int(batch["record"][0])] = batch["frames"][0]
    for batch in arrays(sequential(shards, augment=False)):
        for record, frames in zip(batch["record"], batch["frames"]):
            np.testing.assert_array_equal(frames, by_record[int(record)])


@pytest.mark.parametrize("start_step", [1, 6, 7, 12])
def test_a_sequential_run_resumes_exactly(shards, start_step):
    whole = arrays(sequential(shards, num_epochs=2))
    tail = sequential(shards, num_epochs=2, start_step=start_step)
    assert int(tail.cardinality()) == len(whole) - start_step
    assert_same(arrays(tail), whole[start_step:])


def test_sequential_workers_make_up_the_global_batch(shards):
    whole = arrays(sequential(shards, num_epochs=2))
    parts = [
        arrays(
            sequential(
                shards,
                num_epochs=2,
                input_context=tf.distribute.InputContext(2, worker, 2),
            )
        )
        for worker in range(2)
    ]
    for batch, *pieces in zip(whole, *parts):
        union = np.concatenate([piece["record"] for piece in pieces])
        assert sorted(union) == sorted(batch["record"])


def test_a_sequential_run_starts_anew_and_has_no_end(shards):
    dataset = sequential(shards, element="keys")
    first, second = ([b["record"].tolist() for b in arrays(dataset)] for _ in "ab")
    assert first != second
    endless = sequential(shards, num_epochs=None, start_step=10**6)
    assert int(endless.cardinality()) == tf.data.INFINITE_CARDINALITY
    assert next(iter(endless))["frames"].shape[0] == 4


def test_each_window_is_read_in_file_order():
    order = Order(
        num_clips=100, batch_size=5, shuffled=True, drop_remainder=True, window_size=20
    )
    everything = WorkerPositions(start=0, stop=100)
    assert list(window_range(order, everything)) == [0, 1, 2, 3, 4]
    seen: list[int] = []

    def read(place):
        seen_one = tf.numpy_function(
            lambda record: seen.append(int(record)) or record,
            [place["record"]],
            tf.int64,
        )
        return {"record": tf.ensure_shape(seen_one, [])}

    # One call after the other, so that the order of calls is that of the disk.
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    positions = window_positions(order, everything, tf.constant(1, tf.int64))
    places = {"record": tf.math.floormod(positions * 37, 100)}
    given = read_window(places, read, window_size=20)
    records = [int(clip["record"]) for clip in given.with_options(options)]
    assert records == [p * 37 % 100 for p in range(20, 40)]
    assert sorted(seen) == sorted(records)
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("start", "stop", "windows"),
    [(0, 10, [0, 1, 2]), (4, 9, [1, 2]), (9, 25, [2, 3, 4, 5, 6, 7]), (7, 7, [])],
)
def test_the_positions_of_a_run_lie_in_these_windows(start, stop, windows):
    order = Order(
        num_clips=11, batch_size=5, shuffled=True, drop_remainder=True, window_size=4
    )
    positions = WorkerPositions(start=start, stop=stop)
    assert list(window_range(order, positions)) == windows


def test_an_unknown_order_is_refused(shards):
    with pytest.raises(
        ValueError, match="order must be one of shuffled, sequential, go"
    ):
        input_fn(shards, order="go")

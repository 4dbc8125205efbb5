"""Parts of a batch: the same rows, never more than a few clips at a time."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from wlasl_tfrecord.network import micro_batches


@pytest.mark.parametrize("gpus", [[], ["GPU:0"]])
@pytest.mark.parametrize("compiled", [True, False])
def test_rows_are_those_of_the_whole_batch(gpus, compiled, monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda _: gpus)
    sizes = []

    def compute(frames, seeds):
        sizes.append(frames.shape[0])
        return tf.reduce_sum(tf.cast(frames, tf.float32), axis=2) * seeds[:, :1]

    def run(frames, seeds):
        return micro_batches.few_at_once(compute, (frames, seeds), tf.TensorSpec([5]))

    random = np.random.default_rng(0)
    frames = tf.constant(random.integers(0, 256, (12, 5, 7), np.uint8))
    seeds = tf.constant(random.normal(size=(12, 2)), tf.float32)
    expected = compute(frames, seeds)
    sizes.clear()
    function = tf.function(run) if compiled else run
    np.testing.assert_allclose(function(frames, seeds), expected, rtol=1e-6)
    # A GPU takes the largest part of at most eight that divides the batch.
    assert set(sizes) == ({4} if gpus else {1})


def test_no_two_parts_are_computed_at_once():
    @tf.function
    def run(values):
        return micro_batches.few_at_once(tf.square, [values], tf.TensorSpec([3]))

    function: Any = run
    graph = function.get_concrete_function(tf.ones([4, 3])).graph.as_graph_def()
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    rounds = [n.attr["parallel_iterations"].i for n in nodes if n.op.endswith("While")]
    assert rounds == [1]

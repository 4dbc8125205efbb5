"""Batches of every replica, on its device."""

import numpy as np
import pytest


@pytest.mark.parametrize("device", ["/device:CPU:1", None])
def test_input_is_brought_to_the_device(device):
    import tensorflow as tf

    from wlasl_tfrecord.input_pipeline import distribution
    from wlasl_tfrecord.input_pipeline.elements import Batch

    def batches(context):
        assert context.num_input_pipelines == 1

        def look_up(index):
            # As cached features are read: by Python, on the host.
            rows = tf.numpy_function(lambda i: np.float32([i, i]), [index], tf.float32)
            rows = tf.ensure_shape(rows, [2])
            return Batch(rows, index, tf.cast(index, tf.float32), index, index)

        return tf.data.Dataset.range(5).map(look_up).prefetch(2)

    strategy = tf.distribute.get_strategy()
    found = list(distribution.distributed(strategy, batches, device))
    assert [batch.inputs.numpy().tolist() for batch in found] == [
        [float(index)] * 2 for index in range(5)
    ]
    where = "CPU:1" if device else "CPU:0"
    for batch in found:
        assert all(one.device.endswith(where) for one in batch)

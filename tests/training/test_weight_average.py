"""The average of the weights: what it holds, and that the weights come back."""

import numpy as np
import pytest


@pytest.mark.parametrize("strategy_name", ["none", "mirrored"])
def test_the_average_follows_the_weights_and_is_lent_to_the_model(strategy_name):
    import keras
    import tensorflow as tf

    from wlasl_tfrecord.network.variables import read_variable
    from wlasl_tfrecord.training import strategies
    from wlasl_tfrecord.training.weight_average import WeightAverage

    strategy = strategies.make_strategy(strategy_name)
    with strategy.scope():
        inputs = keras.Input((2,))
        model = keras.Model(inputs, keras.layers.BatchNormalization()(inputs))
    average = WeightAverage(strategy, model, 0.5)
    update = tf.function(average.update)
    gamma = model.weights[0]
    expected = np.ones(2)
    for count, value in enumerate([2.0, 4.0, 8.0, 1.0, 3.0, 5.0, 7.0, 9.0, 11.0]):
        gamma.assign(np.full(2, value, np.float32))
        update()
        kept = min(0.5, (1 + count) / (10 + count))
        expected = kept * expected + (1 - kept) * value
    assert 2.0 < expected[0] < 11.0
    with average.applied():
        np.testing.assert_allclose(read_variable(gamma), expected, rtol=1e-5)
        # Of all weights: statistics belong to the weights that they were measured with.
        assert len(average.variables) == 1 + len(model.weights)
    np.testing.assert_array_equal(read_variable(gamma), [11.0, 11.0])
    assert read_variable(average.variables["count"]) == 9

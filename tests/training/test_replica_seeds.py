"""Random numbers of replicas."""

import numpy as np
import tensorflow as tf

from wlasl_tfrecord.network.saving import read_variable
from wlasl_tfrecord.training import strategies
from wlasl_tfrecord.training.step import part_seeds


def network(strategy):
    import keras

    keras.utils.set_random_seed(0)
    with strategy.scope():
        inputs = keras.Input([32])
        x = keras.layers.Dropout(0.5)(inputs)
        return keras.Model(inputs, keras.layers.Dropout(0.5)(x * 1.0))


def masks(strategy, model, num_steps):
    """Gives what each replica's dropout leaves of ones, in each step."""
    part_seeds(strategy, model, seed=3)

    @tf.function
    def step():
        return strategy.run(lambda: model(tf.ones([1, 32]), training=True))

    steps = [strategy.experimental_local_results(step()) for _ in range(num_steps)]
    return [[one.numpy() for one in step] for step in steps]


def test_each_replica_draws_its_own_masks():
    both, one = strategies.make_strategy("mirrored"), strategies.make_strategy("none")
    drawn = masks(both, network(both), 3)
    assert len({mask.tobytes() for step in drawn for mask in step}) == 6
    for (mask,), (first, _) in zip(masks(one, network(one), 3), drawn):
        np.testing.assert_array_equal(mask, first)


def test_what_the_first_replica_holds_is_enough_to_go_on():
    strategy = strategies.make_strategy("mirrored")
    whole = masks(strategy, network(strategy), 4)
    model = network(strategy)
    masks(strategy, model, 2)
    for variable in model.variables:
        # As a checkpoint is written and read.
        variable.assign(read_variable(variable))
    np.testing.assert_array_equal(whole[2:], masks(strategy, model, 2))

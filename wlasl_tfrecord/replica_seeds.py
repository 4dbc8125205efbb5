"""Random numbers of replicas: each draws its own, for dropout and the like."""

import keras
import tensorflow as tf

__all__ = ["part_seeds"]


def part_seeds(strategy: tf.distribute.Strategy, model: keras.Model, seed: int) -> None:
    """Gives the random layers of a model another seed on each replica but the first.

    Keras gives all replicas the same one: the n-th clips of all replicas would lose the
    same features to dropout in every step, and a batch would see fewer masks the more
    GPUs share it. What stands in the other replicas' variables follows from the seed,
    so it is the same in a run that goes on, whose checkpoint holds the first one's.

    Args:
        strategy: Where the model was made.
        model: Its seed generators are changed.
        seed: Of the run.
    """
    states = [
        one for one in model.variables if one.path.endswith("seed_generator_state")
    ]

    def part() -> None:
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        for index, state in enumerate(states):
            key = tf.stack([seed + index * 2**32, replica])
            own = tf.random.stateless_uniform([], key, 0, 2**31 - 1, tf.int64)
            first, count = tf.unstack(tf.cast(state, tf.int64))
            drawn = tf.stack([tf.where(replica == 0, first, own), count])
            state.assign(tf.cast(drawn, state.dtype))

    if states and strategy.num_replicas_in_sync > 1:
        tf.function(lambda: strategy.run(part))()

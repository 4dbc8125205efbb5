"""A running average of the weights: what is validated and saved in place of them.

The weights of single steps scatter around the average, and it generalises better. It
makes the choice of the epoch matter less, too.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from wlasl_tfrecord.network.variables import read_variable, variable_names

__all__ = ["WeightAverage"]


class WeightAverage:
    """The running average of a model's weights, statistics of BatchNorm included.

    Attributes:
        variables: The averages and the number of updates, by name, for checkpoints.

    Reference:
        Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging",
        1992.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy, model: keras.Model, decay: float
    ) -> None:
        """Starts with the weights as they are.

        Args:
            strategy: Strategy that the model was made in.
            model: Model whose weights are averaged.
            decay: Share of the average that an update keeps, in (0, 1). The first
                updates keep less: (1 + n) / (10 + n) after n of them, so that the
                weights that a training began with are soon forgotten.
        """
        self._decay = decay
        self._weights = list(model.weights)
        with strategy.scope():
            averages = [_first_replica(read_variable(one)) for one in self._weights]
            count = _first_replica(0.0)
        names = variable_names(self._weights)
        self._averages = averages
        self._count = count
        self.variables: Mapping[str, tf.Variable] = {
            "count": count,
            **dict(zip(names, averages, strict=True)),
        }

    def update(self) -> None:
        """Moves the averages towards the weights; outside of `strategy.run`."""
        count = tf.identity(self._count)
        kept = tf.minimum(self._decay, (1 + count) / (10 + count))
        for average, weight in zip(self._averages, self._weights):
            value = tf.convert_to_tensor(weight)
            old = tf.convert_to_tensor(average)
            average.assign(old + (1 - tf.cast(kept, old.dtype)) * (value - old))
        self._count.assign(count + 1)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Puts the averages into the model, and its own weights back at the end."""
        own = [read_variable(weight) for weight in self._weights]
        for weight, average in zip(self._weights, self._averages):
            weight.assign(read_variable(average))
        try:
            yield
        finally:
            for weight, value in zip(self._weights, own):
                weight.assign(value)


def _first_replica(value: Any) -> tf.Variable:
    """Makes a variable that is assigned only outside of `strategy.run`."""
    return tf.Variable(
        tf.constant(value),
        trainable=False,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )

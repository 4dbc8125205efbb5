"""Scores of a model, clip by clip: the rank of the truth, and the loss.

Every clip counts exactly once, whatever the batch size and the number of replicas: the
input pads its last batch with clips of weight zero, and what is counted is gathered
clip by clip, and not averaged over batches.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.input_pipeline import distribution
from wlasl_tfrecord.input_pipeline.distribution import MakeBatches
from wlasl_tfrecord.input_pipeline.elements import Batch
from wlasl_tfrecord.network.micro_batches import few_at_once

__all__ = [
    "TOP_K",
    "ClipScores",
    "make_scorer",
]

TOP_K = (1, 5, 10)


@dataclass(frozen=True, kw_only=True)
class ClipScores:
    """Scores of each clip, in the order of the records.

    Attributes:
        records: int64 [N], index of the clip in its split.
        labels: int64 [N], the truth.
        predictions: int64 [N], the most probable class.
        ranks: int64 [N], number of classes more probable than the truth.
        losses: float32 [N], cross-entropy.
    """

    records: NDArray[np.int64]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    ranks: NDArray[np.int64]
    losses: NDArray[np.float32]

    @property
    def loss(self) -> float:
        """The mean cross-entropy."""
        return float(self.losses.mean(dtype=np.float64))

    def top(self, k: int) -> float:
        """Returns the share of clips whose gloss is among the k most probable."""
        return float((self.ranks < k).mean())


def make_scorer(
    strategy: tf.distribute.Strategy, model: keras.Model
) -> Callable[[MakeBatches], ClipScores]:
    """Makes a function that scores a model on a dataset, compiled once.

    Args:
        strategy: Strategy that the model was made in.
        model: Inputs -> logits.

    Returns:
        A function from what makes the dataset of `Batch`es, given an InputContext, to
        the scores of its clips of weight 1.
    """
    row = tf.TensorSpec(model.output_shape[1:], tf.float32)

    def logits_of(inputs: tf.Tensor) -> tf.Tensor:
        return tf.cast(model(inputs, training=False), tf.float32)

    def replica_scores(batch: Batch) -> list[tf.Tensor]:
        if batch.inputs.dtype == tf.uint8:
            logits = few_at_once(logits_of, [batch.inputs], row)
        else:  # features take no memory to speak of
            logits = logits_of(batch.inputs)
        labels = batch.labels
        truth = tf.gather(logits, labels, batch_dims=1)[:, tf.newaxis]
        # Where the model finds two classes alike the first comes first, or a model that
        # finds all alike would be right every time.
        earlier = tf.range(logits.shape[-1], dtype=tf.int64) < labels[:, tf.newaxis]
        likelier = (logits > truth) | ((logits == truth) & earlier)
        ranks = tf.reduce_sum(tf.cast(likelier, tf.int64), axis=1)
        sound = tf.reduce_all(tf.math.is_finite(logits), axis=1)
        ranks = tf.where(sound, ranks, logits.shape[-1])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        predictions = tf.argmax(logits, axis=1)
        return [batch.records, labels, predictions, ranks, losses, batch.weights]

    @tf.function(reduce_retracing=True)
    def run(batch: Batch) -> list[tf.Tensor]:
        values = strategy.run(replica_scores, args=(batch,))
        return [strategy.gather(value, axis=0) for value in values]

    def score(batches: MakeBatches) -> ClipScores:
        distributed = distribution.distributed(strategy, batches)
        rows = [[value.numpy() for value in run(batch)] for batch in distributed]
        columns = [np.concatenate(column) for column in zip(*rows)]
        real = columns.pop() > 0
        order = np.argsort(columns[0][real], kind="stable")
        records, labels, predictions, ranks, losses = (
            column[real][order] for column in columns
        )
        return ClipScores(
            records=records,
            labels=labels,
            predictions=predictions,
            ranks=ranks,
            losses=losses,
        )

    return score

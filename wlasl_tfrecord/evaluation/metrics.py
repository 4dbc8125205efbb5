"""Scores of a model, clip by clip: the rank of the truth, and the loss.

Every clip counts exactly once, whatever the batch size and the number of replicas: the
input pads its last batch with clips of weight zero, and what is counted is gathered
clip by clip, and not averaged over batches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
    "ClipLogits",
    "ClipScores",
    "make_predictor",
    "make_scorer",
    "score_clips",
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


@dataclass(frozen=True, kw_only=True)
class ClipLogits:
    """What a model finds in each clip, in the order of the records.

    Attributes:
        records: int64 [N], index of the clip in its split.
        labels: int64 [N], the truth.
        logits: float32 [N, C].
    """

    records: NDArray[np.int64]
    labels: NDArray[np.int64]
    logits: NDArray[np.float32]

    def probabilities(self) -> NDArray[np.float32]:
        """Returns the softmax of the logits, float32 [N, C]."""
        shifted = self.logits - self.logits.max(axis=1, keepdims=True)
        shares = np.exp(shifted)
        return shares / shares.sum(axis=1, keepdims=True)


def make_scorer(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    on_batch: Callable[[], None] | None = None,
) -> Callable[[MakeBatches], ClipScores]:
    """Makes a function that scores a model on a dataset, compiled once.

    Args:
        strategy: Strategy that the model was made in.
        model: Inputs -> logits.
        on_batch: Called after each batch; what it raises ends the scoring.

    Returns:
        A function from what makes the dataset of `Batch`es, given an InputContext, to
        the scores of its clips of weight 1.
    """
    predict = make_predictor(strategy, model, on_batch)
    return lambda batches: score_clips(predict(batches))


def make_predictor(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    on_batch: Callable[[], None] | None = None,
) -> Callable[[MakeBatches], ClipLogits]:
    """Makes a function that runs a model on a dataset, compiled once.

    Args:
        strategy: Strategy that the model was made in.
        model: Inputs -> logits.
        on_batch: Called after each batch; what it raises ends the prediction.

    Returns:
        A function from what makes the dataset of `Batch`es, given an InputContext, to
        the logits of its clips of weight 1.
    """
    row = tf.TensorSpec(model.output_shape[1:], tf.float32)

    def logits_of(inputs: Any) -> tf.Tensor:
        return tf.cast(model(inputs, training=False), tf.float32)

    def replica_logits(batch: Batch) -> list[tf.Tensor]:
        if any(one.dtype == tf.uint8 for one in tf.nest.flatten(batch.inputs)):
            logits = few_at_once(logits_of, [batch.inputs], row)
        else:  # features and landmarks take no memory to speak of
            logits = logits_of(batch.inputs)
        return [batch.records, batch.labels, logits, batch.weights]

    @tf.function(reduce_retracing=True)
    def run(batch: Batch) -> list[tf.Tensor]:
        values = strategy.run(replica_logits, args=(batch,))
        return [strategy.gather(value, axis=0) for value in values]

    def predict(batches: MakeBatches) -> ClipLogits:
        distributed = distribution.distributed(strategy, batches)
        rows: list[list[Any]] = []
        for batch in distributed:
            rows.append([value.numpy() for value in run(batch)])
            if on_batch is not None:
                on_batch()
        columns = [np.concatenate(column) for column in zip(*rows)]
        real = columns.pop() > 0
        order = np.argsort(columns[0][real], kind="stable")
        records, labels, logits = (column[real][order] for column in columns)
        return ClipLogits(records=records, labels=labels, logits=logits)

    return predict


def score_clips(clips: ClipLogits) -> ClipScores:
    """Scores what a model found in each clip.

    A clip whose logits are not all finite counts as never right.
    """
    labels, num_classes = clips.labels, clips.logits.shape[1]
    logits = clips.logits.astype(np.float64)
    truth = np.take_along_axis(logits, labels[:, np.newaxis], axis=1)
    # Where the model finds two classes alike the first comes first, or a model that
    # finds all alike would be right every time.
    earlier = np.arange(num_classes) < labels[:, np.newaxis]
    ranks = ((logits > truth) | ((logits == truth) & earlier)).sum(axis=1)
    is_finite = np.isfinite(logits).all(axis=1)
    highest = logits.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        sums = np.exp(logits - highest).sum(axis=1, keepdims=True)
        losses = (np.log(sums) + highest - truth)[:, 0]
    return ClipScores(
        records=clips.records,
        labels=labels,
        predictions=logits.argmax(axis=1),
        ranks=np.where(is_finite, ranks, num_classes),
        losses=losses.astype(np.float32),
    )

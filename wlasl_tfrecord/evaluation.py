"""How good a model is on a split: top-1, top-5 and top-10, and what it mixes up.

Every clip counts exactly once, whatever the batch size and the number of replicas: the
input pads its last batch with clips of weight zero, and what is counted is gathered
clip by clip, not averaged over batches.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord import dataset, runs, saving, strategies
from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.index import ShardFolder, load_folder, load_records
from wlasl_tfrecord.parts import few_at_once
from wlasl_tfrecord.reader import damaged_records_by_name
from wlasl_tfrecord.steps import Batch, batches_of_clips

__all__ = [
    "TOP_K",
    "ClipScores",
    "EvaluationReport",
    "confusion_matrix",
    "evaluate",
    "logits_model",
    "make_scorer",
    "report_scores",
]

TOP_K = (1, 5, 10)


@dataclass(frozen=True, kw_only=True)
class ClipScores:
    """What a model said of each clip, in the order of the records.

    Attributes:
        records: int64 [N], the clip's place in its split.
        labels: int64 [N], the truth.
        predictions: int64 [N], the most probable class.
        ranks: int64 [N], how many classes the model found likelier than the truth.
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
        """Gives the share of clips whose gloss is among the k likeliest."""
        return float((self.ranks < k).mean())


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """How good a model is on a split.

    Attributes:
        split: Which one.
        scores: What the model said of each clip.
        video_ids: The clips' names, as in `scores`.
        glosses: The words, by label.
        confusion: int64 [C, C], clips by truth and prediction.
    """

    split: str
    scores: ClipScores
    video_ids: tuple[str, ...]
    glosses: tuple[str, ...]
    confusion: NDArray[np.int64]

    def top(self, k: int) -> float:
        """Gives the share of clips whose gloss is among the k likeliest."""
        return self.scores.top(k)

    def gloss_top(self, k: int) -> dict[str, float]:
        """Gives the same for each gloss that has clips in the split."""
        labels, hits = self.scores.labels, self.scores.ranks < k
        return {
            self.glosses[label]: float(hits[labels == label].mean())
            for label in np.unique(labels)
        }

    def mean_gloss_top(self, k: int) -> float:
        """Gives the mean over glosses; a rare one counts like a frequent one."""
        return float(np.mean(list(self.gloss_top(k).values())))

    def confused(self, count: int = 5) -> list[tuple[str, str, int]]:
        """Lists the pairs most often mixed up: signed, recognised, clips."""
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        pairs = zip(*np.unravel_index(order, wrong.shape))
        return [
            (self.glosses[truth], self.glosses[said], int(wrong[truth, said]))
            for truth, said in pairs
            if wrong[truth, said]
        ]

    def to_json(self) -> dict[str, Any]:
        """Gives everything as JSON values."""
        glosses = np.array(self.glosses)
        gloss_tops = {f"top{k}": self.gloss_top(k) for k in TOP_K}
        return {
            "split": self.split,
            "num_clips": len(self.scores.labels),
            "loss": self.scores.loss,
            "per_clip": {f"top{k}": self.top(k) for k in TOP_K},
            "per_gloss_mean": {f"top{k}": self.mean_gloss_top(k) for k in TOP_K},
            "glosses": {
                gloss: {name: shares[gloss] for name, shares in gloss_tops.items()}
                for gloss in gloss_tops["top1"]
            },
            "confused": self.confused(20),
            "clips": [
                {
                    "video_id": video_id,
                    "signed": signed,
                    "recognised": said,
                    "rank": rank,
                }
                for video_id, signed, said, rank in zip(
                    self.video_ids,
                    glosses[self.scores.labels].tolist(),
                    glosses[self.scores.predictions].tolist(),
                    self.scores.ranks.tolist(),
                )
            ],
        }

    def __str__(self) -> str:
        """Writes the table that bin/evaluate prints."""
        num_clips, num_glosses = len(self.scores.labels), len(self.gloss_top(1))
        lines = [
            f"{self.split}: {num_clips} clips of {num_glosses} glosses, "
            f"loss {self.scores.loss:.3f}",
            "                " + "".join(f"{f'top-{k}':>8}" for k in TOP_K),
            "  all clips     " + "".join(f"{self.top(k):8.1%}" for k in TOP_K),
            "  mean of glosses"
            + "".join(f"{self.mean_gloss_top(k):8.1%}" for k in TOP_K)[1:],
        ]
        lines += [
            f"  {signed!r} taken for {said!r}: {count} of "
            f"{self.confusion[self.glosses.index(signed)].sum()} clips"
            for signed, said, count in self.confused(3)
        ]
        return "\n".join(lines)


def evaluate(
    data: str | os.PathLike[str],
    run: str | os.PathLike[str],
    split: str = "val",
    batch_size: int = 16,
    strategy: tf.distribute.Strategy | None = None,
    max_bad_records: int = 0,
) -> EvaluationReport:
    """Evaluates the model of a run on a split of a shard folder.

    Args:
        data: The shard folder.
        run: A run folder, or the `.keras` or `.h5` file in it.
        split: "train", "val" or "test".
        batch_size: Clips in a global batch.
        strategy: Where to run; by default on one device.
        max_bad_records: Damaged records to pass over; they are not counted.

    Raises:
        ShardFolderError: If the folder or the split cannot be used, or a record is
            damaged.
        TrainingError: If there is no trained model, or it was trained for other clips.
    """
    if strategy is None:
        strategy = strategies.make_strategy("none")
    assert strategy is not None  # TensorFlow's type says it might be
    strategies.per_replica_batch_size(batch_size, strategy)
    folder = load_folder(data, check_shards=max_bad_records == 0)
    folder.split_shards(split)
    info = runs.read_model_info(run)
    for name in ("clip", "framing", "glosses"):
        trained, found = getattr(info, name), getattr(folder, name)
        if trained != found:
            raise TrainingError(
                f"the model in {os.fspath(run)} was trained with another {name} than "
                f"{folder.directory} has ({_short(trained)}, not {_short(found)}); "
                "shard again with the same options, or name the run with --run"
            )
    with strategy.scope():
        model = saving.load_network(runs.model_path(run))
        score = make_scorer(strategy, logits_model(model))

    def batches(context: tf.distribute.InputContext | None) -> tf.data.Dataset:
        clips = dataset.input_fn(
            folder,
            split,
            batch_size,
            training=False,
            features="dict",
            input_context=context,
            max_bad_records=max_bad_records,
        )
        return batches_of_clips(clips)

    with damaged_records_by_name():
        return report_scores(folder, split, score(batches))


def report_scores(
    folder: ShardFolder, split: str, scores: ClipScores
) -> EvaluationReport:
    """Makes the report of what a model said of a split."""
    confusion = confusion_matrix(scores, folder.num_classes)
    video_ids = load_records(folder, split).video_ids
    return EvaluationReport(
        split=split,
        scores=scores,
        video_ids=tuple(video_ids[record] for record in scores.records),
        glosses=folder.glosses,
        confusion=confusion,
    )


def confusion_matrix(scores: ClipScores, num_classes: int) -> NDArray[np.int64]:
    """Counts clips by truth and prediction, int64 [C, C]."""
    confusion = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(confusion, (scores.labels, scores.predictions), 1)
    return confusion


def logits_model(model: keras.Model, layer: str | None = None) -> keras.Model:
    """Gives the part of a model that ends in its logits.

    Args:
        model: Ends in probabilities.
        layer: Where to begin; by default at the input.

    Returns:
        A model on the same weights. Without a layer `logits`, the logarithm of the
        probabilities, which softmax turns back into them.
    """
    names = {one.name for one in model.layers}
    start = model.input if layer is None else model.get_layer(layer).output
    if "logits" in names:
        return keras.Model(start, model.get_layer("logits").output)
    floor = keras.config.epsilon()
    output = keras.ops.log(keras.ops.maximum(model.output, floor))
    return keras.Model(start, output)


Batches = Callable[[tf.distribute.InputContext | None], tf.data.Dataset]


def make_scorer(
    strategy: tf.distribute.Strategy, model: keras.Model
) -> Callable[[Batches], ClipScores]:
    """Makes a function that scores a model on a dataset, compiled once.

    Args:
        strategy: Where the model was made.
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

    def score(batches: Batches) -> ClipScores:
        distributed = strategies.distributed(strategy, batches)
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


def _short(value: Any) -> str:
    """Shows a value, or how long it is."""
    text = str(value)
    return text if len(text) <= 60 else f"{len(value)} of them"

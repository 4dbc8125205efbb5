"""How good a model is on a split: top-1, top-5 and top-10, and what it mixes up."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.evaluation.confusion import confusion_matrix
from wlasl_tfrecord.evaluation.metrics import TOP_K, ClipScores, make_scorer
from wlasl_tfrecord.input_pipeline import dataset, distribution
from wlasl_tfrecord.input_pipeline.damaged_records import damaged_records_by_name
from wlasl_tfrecord.input_pipeline.elements import batches_of_clips
from wlasl_tfrecord.network import model_info, saving
from wlasl_tfrecord.network.outputs import logits_model
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.shard_folder import (
    ShardFolder,
    load_folder,
    load_records,
)

__all__ = ["EvaluationReport", "evaluate", "report_scores"]


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """How good a model is on a split.

    Attributes:
        split: Name of the split.
        scores: Scores of each clip.
        video_ids: Names of the clips, in the order of `scores`.
        glosses: Words by label.
        confusion: int64 [C, C], clips by truth and prediction.
    """

    split: str
    scores: ClipScores
    video_ids: tuple[str, ...]
    glosses: tuple[str, ...]
    confusion: NDArray[np.int64]

    def top(self, k: int) -> float:
        """Returns the share of clips whose gloss is among the k most probable."""
        return self.scores.top(k)

    def gloss_top(self, k: int) -> dict[str, float]:
        """Returns the same for each gloss that has clips in the split."""
        labels, hits = self.scores.labels, self.scores.ranks < k
        return {
            self.glosses[label]: float(hits[labels == label].mean())
            for label in np.unique(labels)
        }

    def mean_gloss_top(self, k: int) -> float:
        """Returns the mean over glosses; a rare one counts like a frequent one."""
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
        """Returns everything as JSON values."""
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
    recipe: str | os.PathLike[str] | None = None,
) -> EvaluationReport:
    """Evaluates the model of a run on a split of a shard folder.

    Args:
        data: The shard folder.
        run: A run folder, or the `.keras` or `.h5` file in it.
        split: "train", "val" or "test".
        batch_size: Clips in a global batch.
        strategy: Strategy to run in; by default one device.
        max_bad_records: Damaged records to skip; they are not counted.
        recipe: Recipe to execute for layers of its own; see `saving.load_network`.

    Raises:
        ShardFolderError: If the folder or the split cannot be used, or a record is
            damaged.
        TrainingError: If there is no trained model, or it was trained for other clips.
    """
    if strategy is None:
        strategy = tf.distribute.get_strategy()
    assert strategy is not None  # TensorFlow's type says it might be
    distribution.per_replica_batch_size(batch_size, strategy)
    folder = load_folder(data, check_shards=max_bad_records == 0)
    folder.split_shards(split)
    info = model_info.read_model_info(run)
    for name in ("clip", "framing", "glosses"):
        trained, found = getattr(info, name), getattr(folder, name)
        if trained != found:
            raise TrainingError(
                f"the {name} of the model in {os.fspath(run)} and of the shards in "
                f"{folder.directory} differ: {_short(trained, found)} and "
                f"{_short(found, trained)}; shard again with the same options, or name "
                "the run with --run"
            )
    with strategy.scope():
        path = model_info.model_path(run)
        model = saving.load_network(path, recipe=recipe)
        score = make_scorer(strategy, logits_model(model))

    def batches(context: tf.distribute.InputContext | None) -> tf.data.Dataset:
        clips = dataset.input_fn(
            folder,
            split,
            batch_size,
            training=False,
            element="dict",
            input_context=context,
            max_bad_records=max_bad_records,
        )
        return batches_of_clips(clips)

    with damaged_records_by_name():
        return report_scores(folder, split, score(batches))


def report_scores(
    folder: ShardFolder, split: str, scores: ClipScores
) -> EvaluationReport:
    """Makes the report of the scores of a split."""
    confusion = confusion_matrix(scores, folder.num_classes)
    video_ids = load_records(folder, split).video_ids
    return EvaluationReport(
        split=split,
        scores=scores,
        video_ids=tuple(video_ids[record] for record in scores.records),
        glosses=folder.glosses,
        confusion=confusion,
    )


def _short(value: Any, other: Any) -> str:
    """Shows a value as one types it; of many words the first that differs."""
    if isinstance(value, ClipSpec):
        return f"{value.num_frames} frames of {value.height}x{value.width}"
    if not isinstance(value, tuple):
        return str(value)
    if len(value) != len(other):
        return f"{len(value)} of them"
    label = next(k for k, gloss in enumerate(value) if gloss != other[k])
    return f"label {label} is {value[label]!r}"

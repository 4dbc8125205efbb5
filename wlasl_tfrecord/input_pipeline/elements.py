"""The elements of the input: what comes with a batch, and in which form."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import tensorflow as tf

from wlasl_tfrecord.input_pipeline.order import clip_seed
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder

__all__ = [
    "Batch",
    "Element",
    "batches_of_clips",
    "clip_element",
    "describe",
    "make_table",
    "select",
]

Element = Literal["pair", "weighted", "dict", "landmarks", "keys"]

Tensors = Mapping[str, tf.Tensor]


class Batch(NamedTuple):
    """Clips, of one replica or (as distributed values) of all.

    Attributes:
        inputs: uint8 [B, T, H, W, 3] frames, float32 [B, T, K, 3] landmarks, both by
            their names, or float [B, T, D] features.
        labels: int64 [B].
        weights: float32 [B]; 0 for a clip that only fills the batch.
        seeds: int64 [B, 2], the seed of everything random about each clip.
        records: int64 [B], the clips' numbers in their split.
    """

    inputs: Any
    labels: tf.Tensor
    weights: tf.Tensor
    seeds: tf.Tensor
    records: tf.Tensor


def batches_of_clips(
    clips: tf.data.Dataset, inputs: Sequence[str] = ("frames",)
) -> tf.data.Dataset:
    """Turns the elements of `input_fn(element="dict")` into batches for a step.

    Names are left out: strings cannot go to a GPU.

    Args:
        clips: The dataset.
        inputs: What a network takes, by name: a tensor if it is one thing, else a dict.
    """

    def inputs_of(clip: Tensors) -> Any:
        chosen = {name: clip[name] for name in inputs}
        return chosen if len(inputs) > 1 else chosen[inputs[0]]

    return clips.map(
        lambda clip: Batch(
            inputs_of(clip),
            clip["label"],
            clip["weight"],
            clip["seed"],
            clip["record"],
        )
    )


def clip_element(inputs: Sequence[str]) -> Element:
    """Returns which element of `input_fn` has what a network takes, and little else."""
    return "dict" if "frames" in inputs else "landmarks"


def make_table(records: Records, folder: ShardFolder) -> dict[str, tf.Tensor]:
    """Returns what the index says of each record, [N] each."""
    labels = tf.constant(records.labels)
    return {
        "label": labels,
        "video_id": tf.constant(records.video_ids),
        "gloss": tf.gather(tf.constant(folder.glosses), labels),
        "signer_id": tf.constant(records.signer_ids),
        "num_distinct_frames": tf.constant(records.num_distinct_frames, tf.int64),
    }


def describe(batch: Tensors, table: Tensors, seed: int) -> dict[str, tf.Tensor]:
    """Adds what the index says of its clips to a batch.

    Args:
        batch: int64 [B] "record" and "epoch", and whatever else.
        table: What `make_table` returned.
        seed: The run's seed.

    Returns:
        The batch, the table's values for it, and int64 [B, 2] "seed", for what the
        device changes at random.
    """
    record = batch["record"]
    described = {key: tf.gather(column, record) for key, column in table.items()}
    seeds = clip_seed(seed, batch["epoch"], record)
    return {**batch, **described, "seed": seeds}


def select(batch: Tensors, element: Element, *, ragged: bool):
    """Returns a batch as the element that was asked for.

    Args:
        batch: The described batch, with its frames unless only keys were asked for.
        element: See `dataset.input_fn`.
        ragged: Whether a "pair" has to leave out clips of weight 0.
    """
    if element == "pair":
        pair = batch["frames"], batch["label"]
        if not ragged:
            return pair
        keep = batch["weight"] > 0
        # The common case copies nothing.
        return tf.cond(
            tf.reduce_all(keep),
            lambda: pair,
            lambda: tuple(tf.boolean_mask(tensor, keep) for tensor in pair),
        )
    if element == "weighted":
        return batch["frames"], batch["label"], batch["weight"]
    return batch

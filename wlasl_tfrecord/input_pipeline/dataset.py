"""The input function: a shard folder becomes batches of clips.

A clip is addressed by its position in the run, so the state of the input is one number.
See docs/input_fn.md for what follows from that.
"""

import operator
import os
from collections.abc import Mapping
from typing import Literal, get_args

import tensorflow as tf

from wlasl_tfrecord.input_pipeline import augment as input_pipeline_augment
from wlasl_tfrecord.input_pipeline.augment import AugmentConfig
from wlasl_tfrecord.input_pipeline.buffers import plan_buffers
from wlasl_tfrecord.input_pipeline.elements import (
    Element,
    describe,
    make_table,
    select,
)
from wlasl_tfrecord.input_pipeline.order import Order, clip_seed, locate, numbered
from wlasl_tfrecord.input_pipeline.record_reader import check_ends, make_reader
from wlasl_tfrecord.input_pipeline.sequential import Part, read_window, window_range
from wlasl_tfrecord.shard_format.decode_frames import decode_encoded
from wlasl_tfrecord.shard_format.shard_folder import (
    ShardFolder,
    load_folder,
    load_records,
)

__all__ = ["Element", "OrderName", "input_fn", "steps_per_epoch"]

OrderName = Literal["shuffled", "sequential"]


# No step has a Python `if` on a tensor, and AutoGraph takes a second to find that out.
@tf.autograph.experimental.do_not_convert
def input_fn(
    data: str | os.PathLike[str] | ShardFolder,
    split: str = "train",
    batch_size: int = 16,
    *,
    training: bool | None = None,
    seed: int = 0,
    num_epochs: int | None = 1,
    start_step: int = 0,
    augment: AugmentConfig | bool | None = None,
    input_context: tf.distribute.InputContext | None = None,
    element: Element = "pair",
    order: OrderName = "shuffled",
    max_bad_records: int = 0,
    ram_budget_mib: int | None = None,
) -> tf.data.Dataset:
    """Gives the batches of a split.

    The stream is a function of its arguments alone. Step k holds the same clips, with
    the same augmentation, for any number of workers, whether or not the run was
    interrupted, and however the clips are spread over shards.

    Training shuffles the whole split anew each epoch and drops the tail that does not
    fill a batch, so every step has the same shape and weight; another tail each epoch.
    Evaluation goes through the split in file order, once an epoch, every clip.

    Args:
        data: The shard folder, or what `load_folder` gave.
        split: "train", "val" or "test".
        batch_size: Clips in a global batch, B: over all replicas of all workers.
        training: Whether to shuffle, drop the tail and augment; by default only for
            the split "train".
        seed: Of order and augmentation, in [0, 2**31).
        num_epochs: Where to stop; None for never. A second iteration of the same
            training dataset (Keras's `fit(epochs=…)` makes one an epoch) goes on to
            other orders, which follow from the seed too.
        start_step: The global step to start at, counted over all epochs.
        augment: True or an `AugmentConfig` to change clips at random, False not to; by
            default as `training`. Colours are left to the device, see
            `augment.jitter_colours`.
        input_context: In `distribute_datasets_from_function`, what it is called with.
            The dataset then gives this worker's part in batches for one replica.
        element: What an element is.
            "pair": (frames uint8 [B, T, H, W, 3], labels int64 [B]).
            "weighted": the pair and weights float32 [B], which Keras takes. Clips of
            weight 0 lower its `loss` all the same, and count in `metrics`; only
            `weighted_metrics` are right.
            "dict": frames, label, weight, video_id, gloss, signer_id (-1 if unknown),
            num_distinct_frames, record, epoch and seed (int64 [B, 2], for
            `augment.jitter_colours`).
            "keys": "dict" without frames, for which no shard is read.
        order: How training shuffles. "shuffled": over the whole split, with a read at
            another place for each clip. "sequential", for spinning disks and object
            stores: records are read in file order, in a window of bounded size, and
            shuffled within it. Both are exact; each is another order.
        max_bad_records: How many damaged records (a wrong CRC, another shape or clip,
            a file that is cut off) to pass over, each with a warning that names it. In
            training the next record in file order that is whole takes the place; in
            evaluation the clip gets weight 0, or is left out of a "pair". The next
            damaged record ends the input.
        ram_budget_mib: A bound on the memory that the input takes, in MiB, besides what
            TensorFlow takes by itself; by default as much as makes it fast, see
            `buffers.plan_buffers`. The window of the sequential order, and so the
            order, depends on it.

    Returns:
        The dataset, with known cardinality. In evaluation the last batch of "pair" is
        short; the others fill it with clips of weight 0.

    Raises:
        ShardFolderError: If the folder or the split cannot be used.
        ValueError: If an argument is out of its range, or the batch cannot be divided.
        tf.errors.InvalidArgumentError: From the iterator, at a damaged record.
    """
    _check_choices(element, order)
    batch_size = _whole("batch_size", batch_size)
    seed = _whole("seed", seed)
    num_epochs = None if num_epochs is None else _whole("num_epochs", num_epochs)
    start_step = _whole("start_step", start_step)
    max_bad_records = _whole("max_bad_records", max_bad_records)
    if max_bad_records < 0:
        raise ValueError(f"max_bad_records must be at least 0, got {max_bad_records}")
    # Who goes on over damaged records goes on over a file that was cut off, too.
    folder = (
        data
        if isinstance(data, ShardFolder)
        else load_folder(data, check_shards=max_bad_records == 0)
    )
    training = split == "train" if training is None else training
    config = _augment_config(augment, training)
    num_pipelines, pipeline, num_replicas = _division(batch_size, input_context)
    records = load_records(folder, split)
    in_windows = training and order == "sequential"
    buffers = plan_buffers(
        records,
        folder.clip.num_bytes,
        batch_size // num_replicas,
        augmented=config is not None,
        sequential=in_windows,
        remote="://" in folder.directory,
        ram_budget_mib=ram_budget_mib,
    )
    clip_order = Order(
        num_clips=len(records),
        batch_size=batch_size,
        shuffled=training,
        drop_remainder=training,
        window=buffers.window if in_windows else 0,
        seed=seed,
    )
    start, stop = _step_range(clip_order, start_step, num_epochs)
    pads = not training and len(records) % batch_size > 0
    if pads and element == "pair" and num_replicas > 1:
        raise ValueError(
            f"{len(records)} clips do not fill batches of {batch_size} on "
            f'{num_replicas} replicas; use element="weighted", which pads'
        )
    # Where a clip may have no weight, a "pair" has to do without it.
    ragged = not training and (pads or max_bad_records > 0)
    table = make_table(records, folder)
    if max_bad_records == 0 and element != "keys":
        check_ends(folder, split, records)
    read = make_reader(
        folder,
        split,
        records,
        max_bad_records=max_bad_records,
        substitute=training,
    )

    def find_clip(position: tf.Tensor, first_epoch: tf.Tensor) -> dict[str, tf.Tensor]:
        epoch, record, weight = locate(clip_order, position, first_epoch)
        return {"record": record, "epoch": epoch, "weight": weight}

    def read_clip(place: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        record, encoded, whole = read(place["record"])
        weight = place["weight"] * tf.cast(whole, tf.float32)
        return {**place, "record": record, "weight": weight, "encoded": encoded}

    def decode(values: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        decoded = dict(values)
        encoded = decoded.pop("encoded")
        frames = decode_encoded(encoded, folder.clip, folder.codec)
        return {"frames": frames, **decoded}

    def change(values: Mapping[str, tf.Tensor], by: AugmentConfig) -> dict:
        changed = decode(values)
        clip_seeds = clip_seed(seed, values["epoch"], values["record"])
        frames = input_pipeline_augment.augment_clip(changed["frames"], clip_seeds, by)
        return {**changed, "frames": frames}

    # Every n-th position, so that the workers' parts make up the same global batch for
    # any number of workers.
    part = Part(
        start=start * batch_size,
        stop=None if stop is None else stop * batch_size,
        pipeline=pipeline,
        num_pipelines=num_pipelines,
    )
    calls = buffers.read_calls or tf.data.AUTOTUNE
    fresh = training and stop is not None
    if in_windows and element != "keys":
        clips = (
            numbered(window_range(clip_order, part), seed, fresh=fresh)
            .flat_map(
                lambda window, first_epoch: read_window(  # pyright: ignore
                    clip_order,
                    part,
                    window,
                    lambda position: find_clip(position, first_epoch),
                    read_clip,
                    num_parallel_calls=calls,
                )
            )
            # So that the next window is read while this one empties.
            .prefetch(buffers.window)
        )
        if config is not None:
            clips = clips.map(lambda v: change(v, config), num_parallel_calls=calls)
    else:
        # One function of all steps: no clip waits between two, and none is serial.
        def make_clip(position: tf.Tensor, first_epoch: tf.Tensor) -> dict:
            place = find_clip(position, first_epoch)
            if element == "keys":
                return place
            clip = read_clip(place)
            return clip if config is None else change(clip, config)

        places = numbered(part.positions, seed, fresh=fresh)
        clips = places.map(make_clip, num_parallel_calls=calls)

    def finish(values: Mapping[str, tf.Tensor]):
        # Straight into the batch: decoded one by one, clips would be copied into it.
        batch = decode(values) if "encoded" in values else values
        return select(describe(batch, table, seed), element, ragged=ragged)

    num_clips = tf.data.INFINITE_CARDINALITY if stop is None else len(part.positions)
    return (
        clips.apply(tf.data.experimental.assert_cardinality(num_clips))
        .batch(batch_size // num_replicas, drop_remainder=True)
        .map(finish, num_parallel_calls=buffers.decode_calls)
        # Last, so that the next batch is ready while the device computes this one. More
        # than two would only displace each other from the cache.
        .prefetch(buffers.prefetch)
    )


def steps_per_epoch(
    data: str | os.PathLike[str] | ShardFolder,
    split: str = "train",
    batch_size: int = 16,
    *,
    training: bool | None = None,
) -> int:
    """Counts the global batches in an epoch of `input_fn` with the same arguments.

    Raises:
        ShardFolderError: If the folder or the split cannot be used.
        ValueError: If the batch is below 1, or in training larger than the split.
    """
    folder = data if isinstance(data, ShardFolder) else load_folder(data)
    training = split == "train" if training is None else training
    return Order(
        num_clips=folder.num_clips(split),
        batch_size=_whole("batch_size", batch_size),
        shuffled=training,
        drop_remainder=training,
    ).steps_per_epoch


def _check_choices(element: str, order: str) -> None:
    """Refuses what no folder could make right."""
    for name, value, known in (
        ("element", element, get_args(Element)),
        ("order", order, get_args(OrderName)),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def _whole(name: str, value: int) -> int:
    """Gives a whole number as Python's own, which no product overflows.

    Far below, 64 / 4 would be a TypeError that does not name the argument.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {value!r}") from None


def _augment_config(
    augment: AugmentConfig | bool | None, training: bool
) -> AugmentConfig | None:
    """Says how to augment; None for not at all."""
    if isinstance(augment, AugmentConfig):
        return augment
    wanted = training if augment is None else augment
    if not isinstance(wanted, bool):
        raise ValueError(f"augment must be True, False or an AugmentConfig: {wanted!r}")
    return AugmentConfig() if wanted else None


def _step_range(
    order: Order, start_step: int, num_epochs: int | None
) -> tuple[int, int | None]:
    """Gives the first step and the one after the last; None for no end."""
    if num_epochs is not None and num_epochs < 1:
        raise ValueError(f"num_epochs must be at least 1 or None, got {num_epochs}")
    stop = None if num_epochs is None else num_epochs * order.steps_per_epoch
    if start_step < 0 or (stop is not None and start_step > stop):
        raise ValueError(
            f"start_step must be in [0, {'…' if stop is None else stop}], got "
            f"{start_step}"
        )
    return start_step, stop


def _division(
    batch_size: int, context: tf.distribute.InputContext | None
) -> tuple[int, int, int]:
    """Gives the number of pipelines, which one this is, and the number of replicas."""
    if context is None:
        return 1, 0, 1
    replicas, pipelines = context.num_replicas_in_sync, context.num_input_pipelines
    if batch_size % replicas or replicas % pipelines:
        raise ValueError(
            f"batch_size {batch_size} does not divide by {replicas} replicas in "
            f"{pipelines} workers; choose a multiple of {replicas}"
        )
    return pipelines, context.input_pipeline_id, replicas

"""The input function: a shard folder becomes batches of clips.

A clip is addressed by its position in the run, so the state of the input is one number.
See docs/input_fn.md for what follows from that.
"""

import dataclasses
import operator
import os
from typing import Literal, get_args

import tensorflow as tf

from wlasl_tfrecord.input_pipeline.augment import AugmentConfig
from wlasl_tfrecord.input_pipeline.buffers import (
    plan_direct_buffers,
    plan_graph_buffers,
)
from wlasl_tfrecord.input_pipeline.data_service import check_service
from wlasl_tfrecord.input_pipeline.elements import Element
from wlasl_tfrecord.input_pipeline.order import Order, WorkerPositions
from wlasl_tfrecord.input_pipeline.pipeline import make_batches
from wlasl_tfrecord.input_pipeline.plan import InputPlan, ReaderName
from wlasl_tfrecord.input_pipeline.record_reader import check_ends, check_scheme
from wlasl_tfrecord.shard_format.shard_folder import (
    ShardFolder,
    check_landmarks,
    load_folder,
    load_records,
)
from wlasl_tfrecord.storage.object_cache import CacheConfig
from wlasl_tfrecord.storage.urls import is_object_url, is_url

__all__ = ["Element", "OrderName", "input_fn", "steps_per_epoch"]

OrderName = Literal["shuffled", "sequential"]


# No stage has a Python `if` on a tensor, and AutoGraph takes a second to find that out.
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
    reader: ReaderName | None = None,
    data_service: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    cache_gib: float = CacheConfig.max_gib,
) -> tf.data.Dataset:
    """Makes a dataset of the batches of a split.

    The batches depend on the arguments alone. Step k holds the same clips, with the
    same augmentation, for any number of workers, whether or not the run was
    interrupted, and however the clips are spread over shards.

    Training shuffles the whole split again each epoch and drops the tail that does not
    fill a batch, another one each epoch, so every step has the same shape and weight.
    Evaluation reads every clip of the split once an epoch, in file order.

    Args:
        data: The shard folder's path, or what `load_folder` returned.
        split: "train", "val" or "test".
        batch_size: Clips in a global batch, B: over all replicas of all workers.
        training: Whether to shuffle, drop the tail and augment; by default only for
            the split "train".
        seed: Seed of order and augmentation, in [0, 2**31).
        num_epochs: Number of epochs; None for no end. A second iteration of the same
            training dataset (Keras's `fit(epochs=…)` makes one an epoch) has another
            order, which follows from the seed too.
        start_step: The global step to start at, counted over all epochs.
        augment: True or an `AugmentConfig` to change clips at random, False not to; by
            default as `training`. Colours are left to the device, see
            `augment.jitter_colours`.
        input_context: The argument of the function that
            `distribute_datasets_from_function` calls. The dataset then has this
            worker's clips, in batches for one replica.
        element: What an element of the dataset is.
            "pair": (frames uint8 [B, T, H, W, 3], labels int64 [B]).
            "weighted": the pair and weights float32 [B], which Keras takes. Clips of
            weight 0 lower its `loss` all the same, and count in `metrics`; only
            `weighted_metrics` are right.
            "dict": frames, label, weight, video_id, gloss, signer_id (-1 if unknown),
            num_distinct_frames, record, epoch and seed (int64 [B, 2], for
            `augment.jitter_colours`); and landmarks (float32 [B, T, K, 3], see
            `shard_format.landmarks`), if the folder has them. They are cropped,
            re-timed and mirrored as the frames are.
            "landmarks": "dict" without frames, of a folder with landmarks.
            "keys": "dict" without either, for which no shard is read.
        order: How training shuffles. "shuffled": the whole split; each clip is read
            from another place. "sequential", for spinning disks: records are read in
            file order, a window of bounded size at a time, and shuffled within the
            window. Either can be resumed exactly, in its own order.
        max_bad_records: How many damaged records (a wrong CRC, another shape or clip,
            a truncated file) to tolerate, each with a warning that names it. In
            training the next whole record in file order is read instead; in evaluation
            the clip has weight 0, or is left out of a "pair". One damaged record more
            ends the input.
        ram_budget_mib: A bound on the memory of the input in MiB, besides what
            TensorFlow itself needs; by default as much as makes it fast, see
            `buffers.plan_buffers`. The window of the sequential order, and so the
            order, depends on it.
        reader: "direct", the default for a folder on this machine or at an s3://,
            gs://, az:// or https:// URL: NumPy and OpenCV read a batch into memory that
            TensorFlow takes over. "graph": operations of TensorFlow alone, which a
            tf.data service can run, and which read where TensorFlow does; the default
            for other URLs. Either reads the same clips in the same order with the same
            pixels; those of an augmented clip differ by 1 where they are rounded
            another way.
        data_service: grpc://host:port of a tf.data service, whose workers then make the
            batches; they read as `reader="graph"`, and must see the shards under the
            same path. The batches, and their order, are those without it, even when
            workers come or are killed; see docs/distribution.md.
        cache_dir: Where the shards of a URL are kept whole, as in `load_folder`, which
            takes it in place of this if `data` is what it returned.
        cache_gib: How much it may hold, in GiB.

    Returns:
        The dataset, with known cardinality. In evaluation the last batch of "pair" is
        short; in the others it is filled with clips of weight 0.

    Raises:
        ShardFolderError: If the folder or the split cannot be used, or landmarks are
            wanted and it has none.
        StoreError: If an object store cannot be used.
        ValueError: If an argument is out of its range, or the batch cannot be divided.
        tf.errors.InvalidArgumentError: From the iterator, at a damaged record, or when
            a store fails; `damaged_records.damaged_records_by_name` makes one line of
            it.
    """
    _check_choices(element, order, reader)
    max_bad_records = _not_negative("max_bad_records", max_bad_records)
    cache = (cache_dir, cache_gib)
    folder = _load(data, element, cache, max_bad_records=max_bad_records)
    records = load_records(folder, split)
    training = split == "train" if training is None else training
    batch_size = _whole("batch_size", batch_size)
    worker_index, num_workers, local_batch_size = _division(batch_size, input_context)
    augmentation = _augmentation(augment, training)
    by_window = training and order == "sequential"
    if data_service is not None:
        _check_served(data_service, reader, order, max_bad_records, ram_budget_mib)
        folder, reader = _with_whole_path(folder), "graph"
    reader = _reader(reader, folder)
    sizes = (records, folder.clip.num_bytes, local_batch_size)
    if reader == "direct":
        buffers = plan_direct_buffers(
            *sizes,
            remote=is_url(folder.directory),
            ram_budget_mib=ram_budget_mib,
        )
    else:
        buffers = plan_graph_buffers(
            *sizes,
            augmented=augmentation is not None,
            sequential=by_window,
            remote=is_url(folder.directory),
            ram_budget_mib=ram_budget_mib,
        )
    clip_order = Order(
        num_clips=len(records),
        batch_size=batch_size,
        shuffled=training,
        drop_remainder=training,
        window_size=buffers.window_size if by_window else 0,
        seed=_whole("seed", seed),
    )
    start, stop = _position_range(clip_order, start_step, num_epochs)
    plan = InputPlan(
        folder=folder,
        split=split,
        records=records,
        order=clip_order,
        positions=WorkerPositions(
            start=start, stop=stop, worker_index=worker_index, num_workers=num_workers
        ),
        local_batch_size=local_batch_size,
        augmentation=augmentation,
        element=element,
        training=training,
        max_bad_records=max_bad_records,
        reader=reader,
        data_service=data_service,
        buffers=buffers,
    )
    _check_plan(plan)
    return make_batches(plan)


def steps_per_epoch(
    data: str | os.PathLike[str] | ShardFolder,
    split: str = "train",
    batch_size: int = 16,
    *,
    training: bool | None = None,
) -> int:
    """Returns the number of global batches in an epoch of `input_fn`.

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


def _check_choices(element: str, order: str, reader: str | None) -> None:
    """Refuses choices that do not exist."""
    for name, value, known in (
        ("element", element, get_args(Element)),
        ("order", order, get_args(OrderName)),
        ("reader", reader or "direct", get_args(ReaderName)),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def _whole(name: str, value: int) -> int:
    """Returns a whole number as Python's own int, whose products do not overflow.

    A float such as 64 / 4 would fail much later, with an error that does not name the
    argument.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {value!r}") from None


def _not_negative(name: str, value: int) -> int:
    value = _whole(name, value)
    if value < 0:
        raise ValueError(f"{name} must be at least 0, got {value}")
    return value


def _augmentation(
    augment: AugmentConfig | bool | None, training: bool
) -> AugmentConfig | None:
    """Returns how to augment; None for not at all."""
    if isinstance(augment, AugmentConfig):
        return augment
    wanted = training if augment is None else augment
    if not isinstance(wanted, bool):
        raise ValueError(f"augment must be True, False or an AugmentConfig: {wanted!r}")
    return AugmentConfig() if wanted else None


def _reader(reader: ReaderName | None, folder: ShardFolder) -> ReaderName:
    """Returns how to read a folder."""
    can_be_direct = not is_url(folder.directory) or is_object_url(folder.directory)
    if reader == "direct" and not can_be_direct:
        raise ValueError(
            f'reader="direct" cannot read {folder.directory}, which TensorFlow alone '
            'opens; use reader="graph"'
        )
    reader = reader or ("direct" if can_be_direct else "graph")
    if reader == "graph":
        check_scheme(folder)
    return reader


def _check_served(
    address: str,
    reader: ReaderName | None,
    order: OrderName,
    max_bad_records: int,
    ram_budget_mib: int | None,
) -> None:
    """Refuses what a tf.data service cannot do."""
    check_service(address)
    for name, value, wanted in (
        ("reader", reader, (None, "graph")),
        ("order", order, ("shuffled",)),
        # Damaged records are counted, and memory is planned, in one process.
        ("max_bad_records", max_bad_records, (0,)),
        ("ram_budget_mib", ram_budget_mib, (None,)),
    ):
        if value not in wanted:
            raise ValueError(
                f"a data service cannot read with {name}={value!r}; leave it out, or "
                "leave out the service"
            )


def _with_whole_path(folder: ShardFolder) -> ShardFolder:
    """Returns a folder whose path is right for workers with another current folder."""
    if is_url(folder.directory):
        return folder
    return dataclasses.replace(folder, directory=os.path.abspath(folder.directory))


def _position_range(
    order: Order, start_step: int, num_epochs: int | None
) -> tuple[int, int | None]:
    """Returns the first position of a run and the one past its last, if any."""
    start_step = _whole("start_step", start_step)
    stop_step = None
    if num_epochs is not None:
        num_epochs = _whole("num_epochs", num_epochs)
        if num_epochs < 1:
            raise ValueError(f"num_epochs must be at least 1 or None, got {num_epochs}")
        stop_step = num_epochs * order.steps_per_epoch
    if start_step < 0 or (stop_step is not None and start_step > stop_step):
        raise ValueError(
            f"start_step must be in [0, {'…' if stop_step is None else stop_step}], "
            f"got {start_step}"
        )
    stop = None if stop_step is None else stop_step * order.batch_size
    return start_step * order.batch_size, stop


def _load(
    data: str | os.PathLike[str] | ShardFolder,
    element: Element,
    cache: tuple[str | os.PathLike[str] | None, float],
    *,
    max_bad_records: int,
) -> ShardFolder:
    """Returns the shard folder, which has what an element is made of."""
    folder = data
    if not isinstance(folder, ShardFolder):
        folder = load_folder(
            folder,
            # With `max_bad_records`, truncated shards are accepted too.
            check_shards=max_bad_records == 0,
            cache_dir=cache[0],
            cache_gib=cache[1],
        )
    if element == "landmarks":
        check_landmarks(folder)
    return folder


def _check_plan(plan: InputPlan) -> None:
    """Refuses what cannot be read as it was asked for."""
    _check_padding(plan)
    # The direct reader of a URL does so itself, and pins what it found.
    is_pinned = plan.reader == "direct" and is_url(plan.folder.directory)
    if plan.max_bad_records == 0 and plan.element != "keys" and not is_pinned:
        check_ends(plan.folder, plan.split, plan.records)


def _check_padding(plan: InputPlan) -> None:
    """Refuses a short batch that replicas could not share."""
    if plan.pads and plan.element == "pair":
        num_replicas = plan.order.batch_size // plan.local_batch_size
        if num_replicas > 1:
            raise ValueError(
                f"{plan.order.num_clips} clips do not fill batches of "
                f"{plan.order.batch_size} on {num_replicas} replicas; use "
                'element="weighted", which pads'
            )


def _division(
    batch_size: int, context: tf.distribute.InputContext | None
) -> tuple[int, int, int]:
    """Returns the worker's index, the number of workers, and a replica's batch."""
    if context is None:
        return 0, 1, batch_size
    replicas, workers = context.num_replicas_in_sync, context.num_input_pipelines
    if batch_size % replicas or replicas % workers:
        raise ValueError(
            f"batch_size {batch_size} does not divide by {replicas} replicas in "
            f"{workers} workers; choose a multiple of {replicas}"
        )
    return context.input_pipeline_id, workers, batch_size // replicas

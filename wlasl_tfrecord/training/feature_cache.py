"""The feature cache: a frozen backbone's output for every clip, kept on disk.

It is computed once; the head alone then trains tens of times faster. Epoch e of the
training sees the clips as epoch e % V of the input would augment them. So the first V
epochs are exactly those of a training without the cache, and without augmentation all
of them are.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.files import free_bytes
from wlasl_tfrecord.input_pipeline import dataset, distribution
from wlasl_tfrecord.input_pipeline.augment import AugmentConfig
from wlasl_tfrecord.input_pipeline.distribution import MakeBatches
from wlasl_tfrecord.input_pipeline.elements import (
    Batch,
    batches_of_clips,
    clip_element,
)
from wlasl_tfrecord.network.inputs import input_names
from wlasl_tfrecord.network.micro_batches import few_at_once
from wlasl_tfrecord.network.variables import read_variable
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.text import size_text
from wlasl_tfrecord.training.cluster import sum_over_replicas
from wlasl_tfrecord.training.feature_files import is_whole, new_array
from wlasl_tfrecord.training.step import Prepare
from wlasl_tfrecord.training.stop_signals import stop

__all__ = [
    "DIRECTORY",
    "cached_batches",
    "feature_dtype",
    "fill_cache",
    "frame_features",
]

# Its folder in a run folder.
DIRECTORY = "feature_cache"

# One file a view: float [N, T, D] as numpy writes it. Two bytes a value where the
# backbone computes in 16 bits; bfloat16, which numpy does not know, as uint16.
_SUFFIX = ".npy"

# Replaces the features of a damaged record. Not NaN: a backbone that returns one must
# be noticed.
_DAMAGED = -np.inf


def fill_cache(
    strategy: tf.distribute.Strategy,
    backbone: keras.Model,
    folder: ShardFolder,
    split: str,
    directory: Path,
    *,
    batch_size: int,
    num_views: int,
    augment: AugmentConfig | None,
    seed: int,
    prepare: Prepare | None,
    progress: Callable[[str, int, int], None],
    max_bad_records: int = 0,
    data_service: str | None = None,
    stopped: Sequence[int] = (),
) -> list[Path]:
    """Computes the features of every clip of a split, unless they are cached already.

    Args:
        strategy: Strategy that the backbone was made in.
        backbone: Frames, or frames and landmarks by name -> [B, T, D].
        folder: The shards.
        split: Split whose clips are computed.
        directory: Folder of the cache.
        batch_size: Clips in a global batch.
        num_views: Differently augmented views of each clip; without augmentation one is
            all there is.
        augment: Augmentation in the input; None for none at all.
        seed: Seed of the augmentation.
        prepare: Changes frames on the device.
        progress: Called with the view's name, finished clips and clips in all.
        max_bad_records: Damaged records to skip; they are never trained on.
        data_service: What makes the batches; see `dataset.input_fn`.
        stopped: Signals received so far; with one in it, this ends between two batches.

    Returns:
        The file of each view.

    Raises:
        OutputError: If the features do not fit on the disk.
        ShardFolderError: If the clips cannot be read.
        TrainingError: If the process is asked to stop.
    """
    num_views = num_views if augment is not None else 1
    row_shape, dtype = backbone.output_shape[1:], feature_dtype(backbone)
    shape = (folder.num_clips(split), *row_shape)
    fingerprint = _fingerprint(backbone, folder, split, augment, seed)
    paths = [
        directory / f"{split}-{view}-{fingerprint}{_SUFFIX}"
        for view in range(num_views)
    ]
    # A view that any worker lacks is computed by all, because they compute together.
    storage = _storage_dtype(dtype)
    lacking = [not is_whole(path, shape, storage) for path in paths]
    absent = sum_over_replicas(strategy, lacking)
    missing = [(view, path) for view, path in enumerate(paths) if absent[view]]
    view_bytes = int(np.prod(shape)) * storage.itemsize
    _check_disk(directory, len(missing) * view_bytes)
    compute = _compiled(strategy, backbone, prepare)
    for view, path in missing:
        batches = _view_batches(
            folder,
            split,
            batch_size,
            view,
            input_names(backbone),
            augment=augment or False,
            seed=seed,
            max_bad_records=max_bad_records,
            data_service=data_service,
        )
        computed = map(compute, distribution.distributed(strategy, batches))
        show = partial(progress, path.stem.rsplit("-", 1)[0])
        _write_view(path, shape, dtype, computed, show, stopped)
    return paths


def frame_features(
    backbone: keras.Model,
    prepare: Prepare | None,
    inputs: Any,
    seeds: tf.Tensor,
) -> tf.Tensor:
    """Runs a frozen backbone on a batch, a few clips at a time.

    Args:
        backbone: Its inputs, [b, ...] -> [b, T, D].
        prepare: Changes inputs before.
        inputs: uint8 [B, T, H, W, 3] frames, or frames and landmarks by name.
        seeds: int64 [B, 2].

    Returns:
        [B, T, D] in the backbone's compute dtype.
    """

    def compute(part: Any, part_seeds: tf.Tensor) -> tf.Tensor:
        if prepare is not None:
            part = prepare(part, part_seeds)
        return backbone(part, training=False)

    row = tf.TensorSpec(backbone.output_shape[1:], feature_dtype(backbone))
    return few_at_once(compute, (inputs, seeds), row)


def cached_batches(
    folder: ShardFolder,
    split: str,
    batch_size: int,
    paths: Sequence[Path],
    dtype: str,
    *,
    training: bool,
    seed: int = 0,
    num_epochs: int = 1,
    start_step: int = 0,
    input_context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Returns the batches of `input_fn` with cached features in place of frames.

    Args:
        folder: The shards.
        split: Split that the clips are in.
        batch_size: Clips in a global batch.
        paths: Files that `fill_cache` returned.
        dtype: The backbone's compute dtype.
        training: As for `input_fn`, like all arguments that follow.
        seed: Seed of the order.
        num_epochs: Number of epochs to stop after.
        start_step: Global step to start at.
        input_context: Describes this worker.
    """
    views = [np.load(path, mmap_mode="r") for path in paths]
    shape = views[0].shape[1:]
    numpy_dtype = tf.as_dtype(dtype).as_numpy_dtype

    def read(epochs: np.ndarray, records: np.ndarray) -> np.ndarray:
        rows = [views[e % len(views)][r] for e, r in zip(epochs, records)]
        return np.stack(rows).view(numpy_dtype)

    def look_up(clip: dict[str, tf.Tensor]) -> Batch:
        inputs = tf.numpy_function(read, [clip["epoch"], clip["record"]], dtype)
        inputs = tf.ensure_shape(inputs, [*clip["record"].shape, *shape])
        # A record that was too damaged to be read counts for nothing.
        whole = inputs[:, 0, 0] != _DAMAGED
        inputs = tf.where(whole[:, tf.newaxis, tf.newaxis], inputs, 0)
        weights = clip["weight"] * tf.cast(whole, tf.float32)
        return Batch(inputs, clip["label"], weights, clip["seed"], clip["record"])

    keys = dataset.input_fn(
        folder,
        split,
        batch_size,
        training=training,
        seed=seed,
        num_epochs=num_epochs,
        start_step=start_step,
        augment=False,
        input_context=input_context,
        element="keys",
    )
    return keys.map(look_up, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def feature_dtype(backbone: keras.Model) -> str:
    """Returns a backbone's compute dtype; the model's own policy may be another one."""
    output: Any = backbone.output
    return output.dtype


def _fingerprint(
    backbone: keras.Model,
    folder: ShardFolder,
    split: str,
    augment: AugmentConfig | None,
    seed: int,
) -> str:
    """Returns a hash of all that features depend on; it is part of their file names."""
    digest = hashlib.sha256()
    facts = (folder.table_sha256[split], augment, seed if augment else None)
    digest.update(repr((facts, feature_dtype(backbone))).encode())
    for weight in backbone.weights:
        digest.update(read_variable(weight).tobytes())
    return digest.hexdigest()[:16]


def _check_disk(directory: Path, num_bytes: int) -> None:
    """Refuses early what cannot fit."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        free = free_bytes(directory)
    except OSError as error:
        raise OutputError(
            f"cannot write to {directory} ({error.strerror}); choose another folder "
            "with --out"
        ) from error
    if num_bytes > free:
        raise OutputError(
            f"{directory} has {size_text(free)} free, the feature cache needs "
            f"{size_text(num_bytes)}; take fewer --feature-views, or train with "
            "--no-feature-cache"
        )


def _storage_dtype(compute_dtype: str) -> np.dtype:
    return np.dtype("uint16" if compute_dtype == "bfloat16" else compute_dtype)


def _compiled(
    strategy: tf.distribute.Strategy, backbone: keras.Model, prepare: Prepare | None
) -> Callable[[Batch], list[tf.Tensor]]:
    """Compiles a function from a global batch to its features, records and weights."""

    def replica_features(batch: Batch) -> list[tf.Tensor]:
        values = frame_features(backbone, prepare, batch.inputs, batch.seeds)
        return [values, batch.records, batch.weights]

    @tf.function(reduce_retracing=True)
    def run(batch: Batch) -> list[tf.Tensor]:
        values = strategy.run(replica_features, args=(batch,))
        return [strategy.gather(value, axis=0) for value in values]

    return run


def _view_batches(
    folder: ShardFolder,
    split: str,
    batch_size: int,
    view: int,
    inputs: Sequence[str],
    **options: Any,
) -> MakeBatches:
    """Makes the clips of a view: in file order, augmented as in that epoch.

    The options are others of `dataset.input_fn`.
    """
    steps = dataset.steps_per_epoch(folder, split, batch_size, training=False)
    return lambda context: batches_of_clips(
        dataset.input_fn(
            folder,
            split,
            batch_size,
            training=False,
            num_epochs=view + 1,
            start_step=view * steps,
            input_context=context,
            element=clip_element(inputs),
            **options,
        ),
        inputs,
    )


def _write_view(
    path: Path,
    shape: tuple[int, ...],
    dtype: str,
    computed: Iterable[Sequence[tf.Tensor]],
    progress: Callable[[int, int], None],
    stopped: Sequence[int],
) -> None:
    """Writes the file of a view, [N, T, D], from what the backbone computes."""
    storage = _storage_dtype(dtype)
    damaged = np.array(_DAMAGED, tf.as_dtype(dtype).as_numpy_dtype)
    seen = np.zeros(shape[0], bool)
    with new_array(path, shape, storage) as write:
        for batch in computed:
            features, records, weights = (value.numpy() for value in batch)
            real = weights > 0
            write(records[real], features[real].view(storage))
            seen[records[real]] = True
            progress(int(seen.sum()), shape[0])
            if stopped:
                run_dir = path.parent.parent
                stop(stopped[0], f"; resume with bin/train --resume {run_dir}")
        unread = np.flatnonzero(~seen)
        write(unread, np.full((len(unread), *shape[1:]), damaged).view(storage))
        if unread.size:
            progress(shape[0], shape[0])

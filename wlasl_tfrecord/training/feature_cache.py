"""What a frozen backbone makes of every clip, computed once and kept on disk.

The head alone then trains tens of times faster. Epoch e of the training sees the clips
as epoch e % V of the input would augment them: so the first V epochs are exactly those
of a training without the cache, and without augmentation all of them are.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.files import free_bytes
from wlasl_tfrecord.input_pipeline import dataset, distribution
from wlasl_tfrecord.input_pipeline.augment import AugmentConfig
from wlasl_tfrecord.input_pipeline.elements import Batch, batches_of_clips
from wlasl_tfrecord.network.micro_batches import few_at_once
from wlasl_tfrecord.network.saving import read_variable
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.text import size_text
from wlasl_tfrecord.training.cluster import sum_over_replicas
from wlasl_tfrecord.training.feature_files import is_whole, new_array
from wlasl_tfrecord.training.stop_signals import stop

__all__ = ["cache_features", "cached_batches", "feature_dtype", "frame_features"]

# One file a view: float [N, T, D] as numpy writes it. Two bytes a value where the
# backbone computes in 16 bits; bfloat16, which numpy does not know, as uint16.
_SUFFIX = ".npy"

# Stands for the features of a damaged record. Not NaN: a backbone that makes one of a
# clip is to be noticed.
_DAMAGED = -np.inf


def cache_features(
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
    prepare: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None,
    progress: Callable[[str, int, int], None],
    max_bad_records: int = 0,
    stopped: Sequence[int] = (),
) -> list[Path]:
    """Computes the features of every clip of a split, where they are not there yet.

    Args:
        strategy: Where the backbone was made.
        backbone: uint8 [B, T, H, W, 3] -> [B, T, D].
        folder: The shards.
        split: Which clips.
        directory: Where to keep the features.
        batch_size: Clips in a global batch.
        num_views: How many differently augmented views of each clip; without
            augmentation one is all there is.
        augment: How to augment; None for not at all.
        seed: Of the augmentation.
        prepare: What to do to frames on the device, given their seeds.
        progress: Told the view's name, clips done and clips in all.
        max_bad_records: Damaged records to pass over, which are then never trained on.
        stopped: The signals received; with one in it, this ends between two batches.

    Returns:
        The file of each view.

    Raises:
        OutputError: If they do not fit on the disk.
        ShardFolderError: If the clips cannot be read.
        TrainingError: If somebody asks the process to stop.
    """
    num_views = num_views if augment is not None else 1
    num_clips = folder.num_clips(split)
    shape = (num_clips, *backbone.output_shape[1:])
    storage = _storage_dtype(feature_dtype(backbone))
    fingerprint = _fingerprint(backbone, folder, split, augment, seed)
    paths = [
        directory / f"{split}-{view}-{fingerprint}{_SUFFIX}"
        for view in range(num_views)
    ]
    # A view that any worker lacks is computed by all, because they compute together.
    absent = sum_over_replicas(strategy, [not is_whole(path) for path in paths])
    missing = [path for path, number in zip(paths, absent) if number]
    _check_disk(directory, len(missing) * int(np.prod(shape)) * storage.itemsize)

    def replica_features(batch: Batch) -> list[tf.Tensor]:
        values = frame_features(backbone, prepare, batch.inputs, batch.seeds)
        return [values, batch.records, batch.weights]

    @tf.function(reduce_retracing=True)
    def run(batch: Batch) -> list[tf.Tensor]:
        values = strategy.run(replica_features, args=(batch,))
        return [strategy.gather(value, axis=0) for value in values]

    damaged = np.array(_DAMAGED, tf.as_dtype(feature_dtype(backbone)).as_numpy_dtype)
    steps = dataset.steps_per_epoch(folder, split, batch_size, training=False)
    for view, path in enumerate(paths):
        if path not in missing:
            continue
        name = path.stem.rsplit("-", 1)[0]

        def batches(
            context: tf.distribute.InputContext | None, view: int = view
        ) -> tf.data.Dataset:
            # In file order, but with the seeds of that epoch of the training.
            clips = dataset.input_fn(
                folder,
                split,
                batch_size,
                training=False,
                seed=seed,
                num_epochs=view + 1,
                start_step=view * steps,
                augment=augment or False,
                input_context=context,
                element="dict",
                max_bad_records=max_bad_records,
            )
            return batches_of_clips(clips)

        seen = np.zeros(num_clips, bool)
        with new_array(path, shape, storage) as write:
            for batch in distribution.distributed(strategy, batches):
                features, records, weights = (value.numpy() for value in run(batch))
                real = weights > 0
                write(records[real], features[real].view(storage))
                seen[records[real]] = True
                progress(name, int(seen.sum()), num_clips)
                if stopped:
                    where = f"; go on with bin/train --resume {directory.parent}"
                    stop(stopped[0], where)
            unread = np.flatnonzero(~seen)
            write(unread, np.full((len(unread), *shape[1:]), damaged).view(storage))
            if unread.size:
                progress(name, num_clips, num_clips)
    return paths


def frame_features(
    backbone: keras.Model,
    prepare: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None,
    frames: tf.Tensor,
    seeds: tf.Tensor,
) -> tf.Tensor:
    """Runs a frozen backbone on a batch, a few clips at a time.

    Args:
        backbone: uint8 [b, T, H, W, 3] -> [b, T, D].
        prepare: What to do to frames before, given their seeds.
        frames: uint8 [B, T, H, W, 3].
        seeds: int64 [B, 2].

    Returns:
        [B, T, D] in what the backbone computes in.
    """

    def compute(part: tf.Tensor, part_seeds: tf.Tensor) -> tf.Tensor:
        if prepare is not None:
            part = prepare(part, part_seeds)
        return backbone(part, training=False)

    row = tf.TensorSpec(backbone.output_shape[1:], feature_dtype(backbone))
    return few_at_once(compute, (frames, seeds), row)


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
    """Gives the batches of `input_fn` with features for frames.

    Args:
        folder: The shards.
        split: Which clips.
        batch_size: Clips in a global batch.
        paths: What `cache_features` gave.
        dtype: What the backbone computes in.
        training: As for `input_fn`, like all that follows.
        seed: Of the order.
        num_epochs: Where to stop.
        start_step: The global step to start at.
        input_context: Which worker this is.
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
    """Gives what a backbone computes in; the model's own policy may be another one."""
    output: Any = backbone.output
    return output.dtype


def _storage_dtype(compute_dtype: str) -> np.dtype:
    return np.dtype("uint16" if compute_dtype == "bfloat16" else compute_dtype)


def _fingerprint(
    backbone: keras.Model,
    folder: ShardFolder,
    split: str,
    augment: AugmentConfig | None,
    seed: int,
) -> str:
    """Names what features depend on, so that others are never taken for them."""
    digest = hashlib.sha256()
    facts = (folder.index_sha256[split], augment, seed if augment else None)
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
            f"{directory} has {size_text(free)} free, the features need "
            f"{size_text(num_bytes)}; take fewer --feature-views, or train with "
            "--no-feature-cache"
        )

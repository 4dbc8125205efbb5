"""Teaches a backbone to find hands: from shards with landmarks to a file of weights.

No gloss is used, so clips without one would do as well. The train split is learned
from; the val split tells how well points are found.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.files import output_errors, written_whole
from wlasl_tfrecord.input_pipeline import dataset
from wlasl_tfrecord.input_pipeline.damaged_records import damaged_records_by_name
from wlasl_tfrecord.network.pose_finder import GROUP_OF_POINT
from wlasl_tfrecord.network.pretrained_finder import build_finder
from wlasl_tfrecord.shard_format.landmarks import (
    LANDMARK_GROUPS,
    MIRROR_ORDER,
    group_slice,
)
from wlasl_tfrecord.shard_format.shard_folder import (
    ShardFolder,
    check_landmarks,
    load_folder,
)

__all__ = ["FinderReport", "change_frames", "train_finder"]

# Frames of a clip in a batch: neighbours are alike, and reading a clip reads them all.
_FRAMES_A_CLIP = 4
# Of BatchNorm: a training has some thousand steps.
_MOMENTUM = 0.95
_EMA_MOMENTUM = 0.995
# Distances are hundredths of a frame, logits are not.
_PLACE_WEIGHT, _SEEN_WEIGHT = 10.0, 0.2
# Hands are what signs are told apart by.
_HAND_WEIGHT = 1.5
_MAX_FRAMES_SCORED = 4096


@dataclass(frozen=True, kw_only=True)
class FinderReport:
    """How well points are found in frames that were not learned from.

    Attributes:
        split: The split of these frames.
        distances: By group of points: the median distance to the point of the shards,
            as a share of the frame's side, over the points that they have.
        seen: By group: the share of frames in which the finder agrees whether the group
            is seen.
    """

    split: str
    distances: dict[str, float]
    seen: dict[str, float]

    def __str__(self) -> str:
        """Writes a line for each group."""
        return "\n".join(
            f"{self.split}: {group.replace('_', ' ')}: points are off by "
            f"{self.distances[group]:.1%} of the frame (median); seen or not: right in "
            f"{self.seen[group]:.1%} of the frames"
            for group in self.distances
        )


def train_finder(
    data: str | os.PathLike[str],
    out_path: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] = "imagenet",
    alpha: float = 0.35,
    frame_size: int = 128,
    num_steps: int = 3000,
    batch_size: int = 16,
    learning_rate: float = 1.5e-3,
    seed: int = 0,
    on_step: Callable[[int, float], object] | None = None,
) -> FinderReport:
    """Trains the finder of `mobilenetv2_pose_lstm` on the frames of a train split.

    Args:
        data: Shards of `bin/shard --landmarks`.
        out_path: The weights file to write, `….weights.h5`; nothing is written before
            the end.
        weights: Of the backbone, to begin with; see `mobilenetv2_lstm`.
        alpha: Width of the backbone.
        frame_size: Side in pixels that frames are scaled to; a multiple of 32.
        num_steps: Batches to train on.
        batch_size: Clips in a batch; four frames of each are used.
        learning_rate: The peak of AdamW's rate, which warms up and then falls as a
            cosine.
        seed: The seed of the order of clips, of frames and of their changes.
        on_step: Called after each step with its number, from 0, and its mean loss.

    Raises:
        OutputError: If the file cannot be written.
        RecipeError: If weights or sizes do not fit.
        ShardFolderError: If the shards cannot be read, or have no landmarks.
        TrainingError: If the loss is not a number.
        ValueError: If the name is not one of a weights file, or a number is below 1.
    """
    path = Path(out_path)
    if not path.name.endswith(".weights.h5"):
        raise ValueError(f"--out must end with .weights.h5, got {path}")
    if num_steps < 1:
        raise ValueError(f"--steps must be at least 1, got {num_steps}")
    if not 0 < learning_rate < 1:
        raise ValueError(
            f"--learning-rate must be between 0 and 1, got {learning_rate}"
        )
    way_out = "free some space, or choose another place with --out"
    with output_errors(path, way_out):
        path.parent.mkdir(parents=True, exist_ok=True)
    folder = load_folder(data)
    check_landmarks(folder)
    # Made before the training: a folder that cannot be written to is an error at once.
    with (
        written_whole(path, way_out=way_out) as aside,
        damaged_records_by_name(),
    ):
        keras.utils.set_random_seed(seed)
        finder = build_finder(weights, alpha=alpha, frame_size=frame_size)
        _thaw(finder)
        _compile(finder, num_steps, learning_rate)
        batches = _training_batches(folder, batch_size, frame_size, num_steps, seed)

        def report(step: int, logs: Any) -> None:
            if not np.isfinite(logs["loss"]):
                raise TrainingError(
                    f"the loss is not a number in step {step}; lower --learning-rate"
                )
            if on_step is not None:
                on_step(step, logs["loss"])

        finder.fit(
            batches,
            steps_per_epoch=num_steps,
            shuffle=False,
            verbose=0,  # pyright: ignore[reportArgumentType]
            callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=report)],
        )
        finder.save_weights(aside)
    return _score(finder, folder, batch_size, frame_size)


def _thaw(finder: keras.Model) -> None:
    """Lets BatchNorm measure these frames, in place of ImageNet's."""
    for layer in finder.layers:
        layer.trainable = True
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _MOMENTUM


def _compile(finder: keras.Model, num_steps: int, learning_rate: float) -> None:
    warm_up = max(1, num_steps // 15)
    schedule: Any = keras.optimizers.schedules.CosineDecay(
        learning_rate / 100,
        max(1, num_steps - warm_up),
        warmup_target=learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=0.01,
        clipnorm=1.0,
        use_ema=True,
        ema_momentum=_EMA_MOMENTUM,
    )
    finder.compile(
        optimizer,
        [_place_loss, keras.losses.BinaryCrossentropy(from_logits=True)],
        loss_weights=[_PLACE_WEIGHT, _SEEN_WEIGHT],
        # On a CPU XLA takes a minute to compile this, and no step is faster.
        jit_compile=False,  # pyright: ignore[reportArgumentType]
    )


def _place_loss(landmarks: Any, places: Any) -> tf.Tensor:
    """Returns the mean distance in x and y of the points that are there."""
    is_hand = GROUP_OF_POINT < 2
    weights = tf.constant(np.where(is_hand, _HAND_WEIGHT, 1.0), tf.float32)
    weights *= tf.cast(landmarks[..., 2] > 0, tf.float32)
    away = tf.reduce_sum(tf.abs(places - landmarks[..., :2]), axis=-1)
    return tf.reduce_sum(away * weights) / (tf.reduce_sum(weights) + 1e-6)


def _training_batches(
    folder: ShardFolder, batch_size: int, frame_size: int, num_steps: int, seed: int
) -> tf.data.Dataset:
    """Makes frames and what is to be found in them."""
    batch_size = min(batch_size, folder.num_clips("train"))
    clips = dataset.input_fn(
        folder,
        "train",
        batch_size,
        training=True,
        augment=False,
        seed=seed,
        num_epochs=None,
        element="dict",
    )

    def prepare(clip: Any) -> Any:
        frames, landmarks = clip["frames"], clip["landmarks"]
        batch_seed = clip["seed"][0]
        num_clips, num_frames = frames.shape[:2]
        count = min(_FRAMES_A_CLIP, num_frames)
        draws = tf.random.stateless_uniform([num_clips, num_frames], batch_seed)
        chosen = tf.math.top_k(draws, count).indices  # different ones
        frames, landmarks = (
            tf.reshape(tf.gather(one, chosen, batch_dims=1), [-1, *one.shape[2:]])
            for one in (frames, landmarks)
        )
        frames = tf.image.resize(frames, [frame_size, frame_size])
        return _targets(*change_frames(frames, landmarks, batch_seed + 1))

    return clips.map(prepare, num_parallel_calls=2).take(num_steps).prefetch(2)


def _targets(frames: Any, landmarks: Any) -> Any:
    """Returns frames as the finder takes them, and what it is compared with."""
    is_there = landmarks[..., 2] > 0
    seen = tf.stack(
        [
            tf.reduce_any(is_there[:, group_slice(group)], axis=1)
            for group in LANDMARK_GROUPS
        ],
        axis=1,
    )
    return frames / 127.5 - 1, (landmarks, tf.cast(seen, tf.float32))


def change_frames(
    frames: Any, landmarks: Any, seed: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    """Moves, scales, rotates, mirrors and recolours frames, and their points as much.

    Args:
        frames: float32 [N, S, S, 3], 0 to 255.
        landmarks: float32 [N, K, 3]; see `shard_format.landmarks`.
        seed: int64 [2].

    Returns:
        Both, changed. What comes into the frame from outside repeats its edge.
    """
    num_frames: Any = tf.shape(frames)[0]
    side = frames.shape[1]
    draws = tf.random.stateless_uniform([7, num_frames], seed, -1.0, 1.0)
    scale = tf.exp(draws[0] * 0.2 - 0.05)
    stretch, angle = tf.exp(draws[1] * 0.1), draws[2] * 0.2
    # From a place in the new frame to that in the old one, both from the middle.
    cosine, sine = scale * tf.cos(angle), scale * tf.sin(angle)
    matrix = tf.stack(
        [
            tf.stack([cosine * stretch, -sine], axis=-1),
            tf.stack([sine, cosine / stretch], axis=-1),
        ],
        axis=1,
    )  # [N, 2, 2]
    shift = tf.transpose(draws[3:5]) * 0.1  # [N, 2]
    middle = tf.constant([0.5, 0.5])
    offset = middle + shift - tf.linalg.matvec(matrix, tf.ones_like(shift) * middle)
    # In pixels, whose middles are at halves.
    pixel_offset = offset * side + (tf.reduce_sum(matrix, axis=2) - 1) * 0.5
    zeros = tf.zeros([num_frames])
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=frames,
        transforms=tf.stack(
            [
                *(matrix[:, 0, 0], matrix[:, 0, 1], pixel_offset[:, 0]),
                *(matrix[:, 1, 0], matrix[:, 1, 1], pixel_offset[:, 1]),
                *(zeros, zeros),
            ],
            axis=1,
        ),
        output_shape=[side, side],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    frames = tf.ensure_shape(moved, frames.shape)
    inverse = tf.linalg.inv(matrix)
    places = tf.einsum("nij,nkj->nki", inverse, landmarks[..., :2] - offset[:, None])

    mirrored = draws[5] < 0
    frames = tf.where(mirrored[:, None, None, None], frames[:, :, ::-1], frames)
    other_way = tf.concat([1 - places[..., :1], places[..., 1:]], axis=-1)
    places = tf.where(mirrored[:, None, None], other_way, places)
    landmarks = tf.concat([places, landmarks[..., 2:]], axis=-1)
    swapped = tf.gather(landmarks, tf.constant(MIRROR_ORDER), axis=1)
    landmarks = tf.where(mirrored[:, None, None], swapped, landmarks)

    gain = tf.exp(draws[6] * 0.3)[:, None, None, None]
    colours = tf.random.stateless_uniform([num_frames, 1, 1, 3], seed + 1, -25.0, 25.0)
    return tf.clip_by_value(frames * gain + colours, 0, 255), landmarks


def _score(
    finder: keras.Model, folder: ShardFolder, batch_size: int, frame_size: int
) -> FinderReport:
    """Compares what is found with the shards, in frames of val if there is one."""
    split = "val" if "val" in folder.splits else "train"
    clips = dataset.input_fn(folder, split, batch_size, training=False, element="dict")
    found: list[tuple[Any, ...]] = []
    num_frames = 0
    for clip in clips:
        whole = clip["weight"] > 0
        frames = tf.boolean_mask(clip["frames"], whole)
        landmarks = tf.boolean_mask(clip["landmarks"], whole)
        # Not all: neighbours are alike.
        apart = max(1, frames.shape[1] // 6)
        frames = tf.reshape(frames[:, ::apart], [-1, *frames.shape[2:]])
        landmarks = tf.reshape(landmarks[:, ::apart], [-1, *landmarks.shape[2:]])
        resized = tf.image.resize(frames, [frame_size, frame_size])
        inputs, (truth, seen) = _targets(resized, landmarks)
        places, logits = finder(inputs, training=False)
        away = tf.norm(places - truth[..., :2], axis=-1)
        away = tf.where(truth[..., 2] > 0, away, np.nan)
        found.append((away.numpy(), ((logits > 0) == (seen > 0)).numpy()))
        num_frames += len(inputs)
        if num_frames >= _MAX_FRAMES_SCORED:
            break
    away, right = (np.concatenate(values) for values in zip(*found))
    distances = {}
    for group in LANDMARK_GROUPS:
        there = away[:, group_slice(group)]
        there = there[~np.isnan(there)]
        distances[group] = float(np.median(there)) if there.size else float("nan")
    shares = dict(zip(LANDMARK_GROUPS, right.mean(axis=0).tolist()))
    return FinderReport(split=split, distances=distances, seen=shares)

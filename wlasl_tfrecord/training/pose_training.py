"""Teaches a backbone to find hands: from shards with landmarks to a file of weights.

No gloss is used, so clips without one would do as well. The train split is learned
from; the val split tells how well points are found.
"""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from wlasl_tfrecord.errors import OutputError, TrainingError
from wlasl_tfrecord.files import (
    output_errors,
    real_folder,
    remove_folder,
    written_whole,
)
from wlasl_tfrecord.input_pipeline import dataset
from wlasl_tfrecord.input_pipeline.damaged_records import damaged_records_by_name
from wlasl_tfrecord.network.pose_finder import GROUP_OF_POINT
from wlasl_tfrecord.network.pretrained_finder import build_finder
from wlasl_tfrecord.shard_format.landmarks import (
    LANDMARK_GROUPS,
    NUM_LANDMARKS,
    group_slice,
)
from wlasl_tfrecord.shard_format.shard_folder import (
    ShardFolder,
    check_landmarks,
    load_folder,
)
from wlasl_tfrecord.training.checkpoints import (
    Checkpoint,
    load_newest,
    save_checkpoint,
)
from wlasl_tfrecord.training.config import weights_identity
from wlasl_tfrecord.training.pose_frames import targets, training_batches
from wlasl_tfrecord.training.progress import Progress
from wlasl_tfrecord.training.stop_signals import stop

__all__ = ["FinderReport", "progress_lines", "train_finder"]

# Of BatchNorm: a training has some thousand steps.
_MOMENTUM = 0.95
_EMA_MOMENTUM = 0.995
# Distances are hundredths of a frame, logits are not.
_PLACE_WEIGHT, _SEEN_WEIGHT = 10.0, 0.2
# Hands are what signs are told apart by.
_HAND_WEIGHT = 1.5
_MAX_FRAMES_SCORED = 4096
_SECONDS_BETWEEN_CHECKPOINTS = 120.0
_STEPS_BETWEEN_LINES = 100


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


def progress_lines(say: Callable[[str], None]) -> Callable[[int, int, float], None]:
    """Returns an `on_step` that says something now and then."""

    def on_step(done: int, num_steps: int, loss: float) -> None:
        if done % _STEPS_BETWEEN_LINES == 0 or done == num_steps:
            say(f"finding hands: step {done}/{num_steps} | loss {loss:.3f}")

    return on_step


def train_finder(
    data: str | os.PathLike[str] | ShardFolder,
    out_path: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] = "imagenet",
    alpha: float = 0.35,
    frame_size: int = 128,
    num_steps: int = 3000,
    batch_size: int = 16,
    learning_rate: float = 1.5e-3,
    seed: int = 0,
    max_bad_records: int = 0,
    stopped: Sequence[int] = (),
    say: Callable[[str], None] = lambda _: None,
    on_step: Callable[[int, int, float], object] | None = None,
) -> FinderReport:
    """Trains the finder of `mobilenetv2_pose_lstm` on the frames of a train split.

    A training that was stopped, or killed, goes on where it was: beside the file there
    is a hidden folder of checkpoints meanwhile.

    Args:
        data: Shards of `bin/shard --landmarks`.
        out_path: The weights file to write, `….weights.h5`, at the end.
        weights: Of the backbone, to begin with; see `mobilenetv2_lstm`.
        alpha: Width of the backbone.
        frame_size: Side in pixels that frames are scaled to; a multiple of 32.
        num_steps: Batches to train on.
        batch_size: Clips in a batch; four frames of each are used.
        learning_rate: The peak of AdamW's rate, which warms up and then falls as a
            cosine.
        seed: The seed of the order of clips, of frames and of their changes.
        max_bad_records: Damaged records to skip.
        stopped: Signals received; see `stop_signals`.
        say: Takes a line when it goes on from a checkpoint.
        on_step: Called after each step with the number of finished steps, that of all
            steps, and the mean loss since it began, or went on.

    Raises:
        OutputError: If the file cannot be written, or the hidden folder is a link.
        RecipeError: If weights or sizes do not fit.
        ShardFolderError: If the shards cannot be read, or have no landmarks.
        TrainingError: If the loss is not a number, the process is asked to stop, or the
            hidden folder holds checkpoints of something else.
        ValueError: If the name is not one of a weights file, or a number is below 1.
    """
    path = Path(out_path)
    _check(path, num_steps, learning_rate, seed)
    way_out = "free some space, or choose another place with --out"
    with output_errors(path, way_out):
        path.parent.mkdir(parents=True, exist_ok=True)
    folder = data
    if not isinstance(folder, ShardFolder):
        folder = load_folder(folder, check_shards=max_bad_records == 0)
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
        facts = (alpha, frame_size, num_steps, batch_size, learning_rate, seed)
        of_files = (weights_identity(weights), folder.table_sha256["train"])
        unfinished = _Unfinished(path, finder, (*facts, *of_files))
        start_step = unfinished.restore(num_steps, say)
        batches = training_batches(
            folder,
            batch_size,
            frame_size,
            seed=seed,
            start_step=start_step,
            max_bad_records=max_bad_records,
        )
        _fit(finder, batches, start_step, num_steps, unfinished, stopped, on_step)
        finder.save_weights(aside)
    unfinished.remove()
    return _score(finder, folder, batch_size, frame_size, max_bad_records)


def _check(path: Path, num_steps: int, learning_rate: float, seed: int) -> None:
    if not path.name.endswith(".weights.h5"):
        raise ValueError(f"--out must end with .weights.h5, got {path}")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; remove it, or choose another --out")
    if not 0 <= seed < 2**31 - 1:
        raise ValueError(f"--seed must be in [0, 2**31 - 1), got {seed}")
    if num_steps < 1:
        raise ValueError(f"--steps must be at least 1, got {num_steps}")
    if not 0 < learning_rate < 1:
        raise ValueError(
            f"--learning-rate must be between 0 and 1, got {learning_rate}"
        )


def _fit(
    finder: keras.Model,
    batches: tf.data.Dataset,
    start_step: int,
    num_steps: int,
    unfinished: "_Unfinished",
    stopped: Sequence[int],
    on_step: Callable[[int, int, float], object] | None,
) -> None:
    """Takes the steps that are left, with a checkpoint now and then."""

    def report(step: int, logs: Any) -> None:
        done = start_step + step + 1
        if not np.isfinite(logs["loss"]):
            raise TrainingError(
                f"the loss is not a number in step {done}; lower --learning-rate"
            )
        if on_step is not None:
            on_step(done, num_steps, logs["loss"])
        if done == num_steps:
            return  # Keras has yet to put the average of the weights in their place
        if stopped or unfinished.is_due:
            unfinished.save(done)
        if stopped:
            where = f" at step {done}; the same command goes on from there"
            stop(stopped[0], where)

    num_left = num_steps - start_step
    finder.fit(
        batches.take(num_left),
        steps_per_epoch=num_left,
        shuffle=False,
        verbose=0,  # pyright: ignore[reportArgumentType]
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=report)],
    )


class _Unfinished:
    """The checkpoints of a training of a finder, in a hidden folder beside its file.

    Attributes:
        is_due: Whether it is time to save one.
    """

    def __init__(self, path: Path, finder: keras.Model, facts: Sequence[Any]) -> None:
        """Does not touch the disk; `facts` are what the weights depend on."""
        digest = hashlib.sha256(repr(tuple(map(str, facts))).encode()).hexdigest()
        self._directory = path.with_name(f".{path.name}-{digest[:16]}.unfinished")
        optimizer: Any = finder.optimizer
        optimizer.build(finder.trainable_variables)
        self._variables = [*finder.variables, *optimizer.variables]
        self._saved_at = time.monotonic()

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._saved_at > _SECONDS_BETWEEN_CHECKPOINTS

    def restore(self, num_steps: int, say: Callable[[str], None]) -> int:
        """Returns how many of the steps are done, and assigns what they gave."""
        if self._directory.is_symlink():
            raise OutputError(
                f"{self._directory} is a link, and may lead to somebody else's files; "
                "remove it, or choose another --out"
            )
        checkpoint = load_newest(self._directory, say)
        if checkpoint is None:
            return 0
        arrays = [array for _, array in sorted(checkpoint.arrays.items())]
        shapes = [tuple(variable.shape) for variable in self._variables]
        if [array.shape for array in arrays] != shapes or checkpoint.step >= num_steps:
            raise TrainingError(
                f"{self._directory} holds checkpoints of another training; remove it"
            )
        for variable, array in zip(self._variables, arrays):
            variable.assign(array)
        say(f"finding hands: resuming from step {checkpoint.step}")
        return checkpoint.step

    def save(self, step: int) -> None:
        way_out = "free some space"
        with output_errors(self._directory, way_out):
            real_folder(self._directory)
        arrays = {
            f"{index:05d}": np.asarray(keras.ops.convert_to_numpy(variable))
            for index, variable in enumerate(self._variables)
        }
        progress = Progress(total_steps=step)
        save_checkpoint(self._directory, Checkpoint(step, progress, arrays))
        self._saved_at = time.monotonic()

    def remove(self) -> None:
        remove_folder(self._directory)


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
    # Keras makes variables for the two losses when it first has them. Made within the
    # first step, they would have TensorFlow trace it twice, which takes 12 s more.
    places, seen = (tf.zeros([1, *one.shape[1:]]) for one in finder.outputs)
    landmarks = tf.zeros([1, NUM_LANDMARKS, 3])
    finder.compute_loss(y=(landmarks, seen), y_pred=[places, seen])


def _place_loss(landmarks: Any, places: Any) -> tf.Tensor:
    """Returns the mean distance in x and y of the points that are there."""
    is_hand = GROUP_OF_POINT < 2
    weights = tf.constant(np.where(is_hand, _HAND_WEIGHT, 1.0), tf.float32)
    weights *= tf.cast(landmarks[..., 2] > 0, tf.float32)
    away = tf.reduce_sum(tf.abs(places - landmarks[..., :2]), axis=-1)
    return tf.reduce_sum(away * weights) / (tf.reduce_sum(weights) + 1e-6)


@damaged_records_by_name()
def _score(
    finder: keras.Model,
    folder: ShardFolder,
    batch_size: int,
    frame_size: int,
    max_bad_records: int,
) -> FinderReport:
    """Compares what is found with the shards, in frames of val if there is one."""
    has_val = "val" in folder.splits and folder.num_clips("val") > 0
    split = "val" if has_val else "train"
    clips = dataset.input_fn(
        folder,
        split,
        batch_size,
        training=False,
        max_bad_records=max_bad_records,
        element="dict",
    )
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
        inputs, (truth, seen) = targets(resized, landmarks)
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

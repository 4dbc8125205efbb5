"""MobileNetV2 that has learned to find hands, an LSTM over time, softmax over glosses.

It sees frames alone. MobileNetV2 finds the points of hands and upper body in each of
them (`pretrain` has taught it to, with shards of `bin/shard --landmarks`), and
convolutions and an LSTM read how they move: with some clips a gloss to learn from,
that is far more than an ImageNet backbone has to say (docs/accuracy.md). Only Keras's
own layers and `keras.ops` are used: a saved model loads in plain Keras.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from wlasl_tfrecord.errors import RecipeError
from wlasl_tfrecord.input_pipeline.augment_landmarks import (
    LandmarkAugmentConfig,
    augment_landmarks,
)
from wlasl_tfrecord.network.landmark_head import landmark_head
from wlasl_tfrecord.network.pose_finder import found_landmarks
from wlasl_tfrecord.network.pretrained_finder import load_finder
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.landmarks import NUM_LANDMARKS
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder

__all__ = ["TRAINING", "augment_features", "build_model", "pretrain"]

# The options that docs/accuracy.md was measured with.
TRAINING = {
    "epochs": 150,
    "patience": 150,
    "batch_size": 32,
    "learning_rate": 2e-3,
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "weight_average": 0.995,
    "fine_tune_epochs": 0,
}


def build_model(
    clip: ClipSpec,
    num_classes: int,
    *,
    weights: str | os.PathLike[str] = "imagenet",
    alpha: float = 0.35,
    frame_size: int = 128,
    width: int = 160,
    num_blocks: int = 3,
    kernel_size: int = 7,
    lstm_units: int = 96,
    dropout: float = 0.5,
    block_dropout: float = 0.2,
) -> keras.Model:
    """Builds the network in the current dtype policy of Keras.

    The layer `features` has the points that were found in each frame.

    Args:
        clip: The shape of one clip.
        num_classes: How many glosses there are.
        weights: What `pretrain` or `bin/pretrain` wrote, with the same `alpha`; or
            "none", for random ones.
        alpha: Width of the backbone.
        frame_size: Side in pixels that frames are scaled to; a multiple of 32.
        width: Values that a block returns for each frame.
        num_blocks: Number of blocks of convolutions over time.
        kernel_size: Frames that a convolution sees.
        lstm_units: Size of the state over time, in each direction.
        dropout: Share of what the LSTM makes of a clip that a training step leaves out.
        block_dropout: The same, of what a block adds.

    Returns:
        uint8 [B, T, H, W, 3] `frames` -> float32 [B, num_classes] probabilities.

    Raises:
        RecipeError: If the weights are ImageNet's or do not fit, or an option is out of
            its range.
    """
    if weights == "imagenet":
        raise RecipeError(
            "mobilenetv2_pose_lstm needs a backbone that finds hands; make one with "
            "bin/pretrain, and give its file with --weights"
        )
    finder = load_finder(weights, alpha=alpha, frame_size=frame_size)
    frames = keras.Input(clip.shape, dtype="uint8", name="frames")  # [B, T, H, W, 3]
    x: Any = keras.ops.reshape(frames, (-1, *clip.shape[1:]))  # [B * T, H, W, 3]
    x = keras.layers.Resizing(frame_size, frame_size, name="resizing")(x)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling")(x)
    x = found_landmarks(*finder(x))  # [B * T, K, 3]
    x = keras.ops.reshape(x, (-1, clip.num_frames, NUM_LANDMARKS * 3))
    x = keras.layers.Identity(dtype="float32", name="features")(x)  # [B, T, 3 * K]
    x = landmark_head(
        keras.ops.reshape(x, (-1, clip.num_frames, NUM_LANDMARKS, 3)),
        clip,
        num_classes,
        width=width,
        num_blocks=num_blocks,
        kernel_size=kernel_size,
        lstm_units=lstm_units,
        dropout=dropout,
        block_dropout=block_dropout,
    )
    return keras.Model(frames, x, name="mobilenetv2_pose_lstm")


def pretrain(
    folder: ShardFolder,
    path: Path,
    *,
    alpha: float = 0.35,
    frame_size: int = 128,
    say: Callable[[str], None],
    **options: Any,
) -> None:
    """Teaches the backbone to find hands.

    Args:
        folder: Shards of `bin/shard --landmarks`.
        path: The weights file to write.
        alpha: Width of the backbone.
        frame_size: Side in pixels that frames are scaled to; a multiple of 32.
        say: Takes lines of progress.
        options: Further ones of `training.pose_training.train_finder`.
    """
    # Only here: a model that is used needs nothing of training.
    from wlasl_tfrecord.training.pose_training import progress_lines, train_finder

    report = train_finder(
        folder,
        path,
        alpha=alpha,
        frame_size=frame_size,
        say=say,
        on_step=progress_lines(say),
        **options,
    )
    say(str(report))


def augment_features(features: Any, seeds: Any) -> Any:
    """Changes the points of a batch at random, as `landmarks_lstm` does.

    Args:
        features: float32 [B, T, 3 * K].
        seeds: int64 [B, 2].

    Returns:
        float32 [B, T, 3 * K].
    """
    _, num_frames, num_values = features.shape
    landmarks: Any = keras.ops.reshape(features, (-1, num_frames, NUM_LANDMARKS, 3))
    changed: Any = augment_landmarks(landmarks, seeds, LandmarkAugmentConfig())
    return keras.ops.reshape(changed, (-1, num_frames, num_values))

"""Landmarks of hands and upper body, convolutions and an LSTM over time.

For shards of `bin/shard --landmarks`. It sees no pixel, so it cannot learn faces,
clothes or rooms by heart, and it is small enough for any CPU or phone. Only Keras's own
layers and `keras.ops` are used: a saved model loads in plain Keras, without this file.

References:
    The blocks, and most of the augmentation (`input_pipeline/augment_landmarks.py`),
    follow the first place of Google's "Isolated Sign Language Recognition" challenge,
    Kaggle, 2023.
    Selvaraj et al., "OpenHands: Making Sign Language Recognition Accessible with
    Pose-based Pretrained Models across Languages", 2022.
"""

import os

import keras

from wlasl_tfrecord.errors import RecipeError
from wlasl_tfrecord.network.landmark_head import landmark_head
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.landmarks import NUM_LANDMARKS

__all__ = ["TRAINING", "build_model"]

# The options that docs/accuracy.md was measured with.
TRAINING = {
    "weights": "none",
    "epochs": 150,
    "patience": 150,
    "batch_size": 32,
    "learning_rate": 2e-3,
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "weight_average": 0.995,
    "flip_probability": 0.5,
    "train_frames": 0,
    "fine_tune_epochs": 0,
}


def build_model(
    clip: ClipSpec,
    num_classes: int,
    *,
    weights: str | os.PathLike[str] = "none",
    width: int = 160,
    num_blocks: int = 3,
    kernel_size: int = 7,
    lstm_units: int = 96,
    dropout: float = 0.5,
    block_dropout: float = 0.2,
) -> keras.Model:
    """Builds the network in the current dtype policy of Keras.

    Args:
        clip: The shape of one clip.
        num_classes: How many glosses there are.
        weights: "none" or "imagenet", which make no difference: there is no backbone.
        width: Values that a block returns for each frame.
        num_blocks: Number of blocks of convolutions over time.
        kernel_size: Frames that a convolution sees.
        lstm_units: Size of the state over time, in each direction.
        dropout: Share of what the LSTM makes of a clip that a training step leaves out.
        block_dropout: The same, of what a block adds.

    Returns:
        float32 [B, T, K, 3] `landmarks` -> float32 [B, num_classes] probabilities.

    Raises:
        RecipeError: If weights of a backbone are given, or an option is out of its
            range.
    """
    if weights not in ("none", "imagenet"):
        raise RecipeError(
            f"landmarks_lstm has no backbone for the weights {os.fspath(weights)}; "
            "leave out --weights"
        )
    shape = (clip.num_frames, NUM_LANDMARKS, 3)
    landmarks = keras.Input(shape, dtype="float32", name="landmarks")
    x = landmark_head(
        landmarks,
        clip,
        num_classes,
        width=width,
        num_blocks=num_blocks,
        kernel_size=kernel_size,
        lstm_units=lstm_units,
        dropout=dropout,
        block_dropout=block_dropout,
    )
    return keras.Model(landmarks, x, name="landmarks_lstm")

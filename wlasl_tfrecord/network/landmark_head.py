"""From the landmarks of a clip to glosses: what recipes of landmarks have in common."""

from typing import Any

import keras

from wlasl_tfrecord.network.landmark_features import landmark_features
from wlasl_tfrecord.network.recipe_options import (
    MAX_BLOCKS,
    MAX_KERNEL_SIZE,
    MAX_UNITS,
    check_shares,
    check_whole_numbers,
)
from wlasl_tfrecord.network.temporal_blocks import MOMENTUM, temporal_block
from wlasl_tfrecord.shard_format.clips import ClipSpec

__all__ = ["landmark_head"]


def landmark_head(
    landmarks: Any,
    clip: ClipSpec,
    num_classes: int,
    *,
    width: int,
    num_blocks: int,
    kernel_size: int,
    lstm_units: int,
    dropout: float,
    block_dropout: float,
) -> Any:
    """Adds convolutions and an LSTM over time, and a softmax over glosses.

    Args:
        landmarks: Keras tensor, float32 [B, T, K, 3]; see `shard_format.landmarks`.
        clip: The shape of one clip.
        num_classes: How many glosses there are.
        width: Values that a block returns for each frame.
        num_blocks: Number of blocks of convolutions over time.
        kernel_size: Frames that a convolution sees.
        lstm_units: Size of the state over time, in each direction.
        dropout: Share of what the LSTM makes of a clip that a training step leaves out.
        block_dropout: The same, of what a block adds.

    Returns:
        float32 [B, num_classes] probabilities.

    Raises:
        RecipeError: If an option is out of its range.
    """
    check_shares(dropout=dropout, block_dropout=block_dropout)
    check_whole_numbers(
        width=(width, 1, MAX_UNITS),
        num_blocks=(num_blocks, 0, MAX_BLOCKS),
        kernel_size=(kernel_size, 1, MAX_KERNEL_SIZE),
        lstm_units=(lstm_units, 1, MAX_UNITS),
    )
    x = landmark_features(landmarks, clip)  # [B, T, D]
    x = keras.layers.BatchNormalization(momentum=MOMENTUM, name="input_norm")(x)
    x = keras.layers.Dense(width, use_bias=False, name="stem")(x)  # [B, T, width]
    x = keras.layers.BatchNormalization(momentum=MOMENTUM, name="stem_norm")(x)
    for number in range(1, num_blocks + 1):
        x = temporal_block(  # [B, T, width]
            x, f"temporal_{number}", kernel_size=kernel_size, dropout=block_dropout
        )
    # Default activations and no recurrent dropout, or cuDNN's LSTM is lost.
    lstm = keras.layers.LSTM(lstm_units, return_sequences=True)
    x = keras.layers.Bidirectional(lstm, name="temporal")(x)  # [B, T, 2 * lstm_units]
    x = keras.layers.GlobalAveragePooling1D(name="temporal_mean")(x)
    x = keras.layers.Dropout(dropout, name="temporal_dropout")(x)
    x = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.layers.Softmax(dtype="float32", name="probabilities")(x)

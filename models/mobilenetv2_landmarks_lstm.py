"""MobileNetV2 on each frame, beside landmarks, an LSTM over both.

For shards of `bin/shard --landmarks`. The frames show what landmarks do not, and the
landmarks where to look. The frames go through the backbone of the recipe
`mobilenetv2_lstm`, the landmarks through the convolutions of `landmarks_lstm`. Only
Keras's own layers and `keras.ops` are used: a saved model loads in plain Keras.
"""

import os

import keras

from wlasl_tfrecord.network.landmark_features import landmark_features
from wlasl_tfrecord.network.recipe_options import (
    MAX_BLOCKS,
    MAX_UNITS,
    check_shares,
    check_whole_numbers,
)
from wlasl_tfrecord.network.recipes import load_recipe
from wlasl_tfrecord.network.temporal_blocks import MOMENTUM, temporal_block
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.landmarks import NUM_LANDMARKS

__all__ = ["TRAINING", "backbone_blocks", "build_model"]

# Those of `landmarks_lstm`, over fewer epochs: more gave no more on WLASL100.
TRAINING = {
    "epochs": 60,
    "patience": 60,
    "batch_size": 32,
    "learning_rate": 2e-3,
    "weight_decay": 0.05,
    "weight_average": 0.99,
    "freeze_backbone": True,
    "train_frames": 0,
    "fine_tune_epochs": 0,
}

_FRAMES_RECIPE = "mobilenetv2_lstm"


def build_model(
    clip: ClipSpec,
    num_classes: int,
    *,
    weights: str | os.PathLike[str] = "imagenet",
    alpha: float = 1.0,
    frame_size: int = 0,
    temporal_shift: bool = False,
    train_batch_norm: bool = False,
    fixed_blocks: int = 0,
    frames_width: int = 64,
    landmarks_width: int = 160,
    num_blocks: int = 3,
    lstm_units: int = 96,
    dropout: float = 0.5,
    block_dropout: float = 0.2,
) -> keras.Model:
    """Builds the network in the current dtype policy of Keras.

    The layer `features` has what the backbone makes of each frame, followed by the
    features of its landmarks, which take no weights: so both are in the feature cache
    of a frozen backbone.

    Args:
        clip: The shape of one clip.
        num_classes: How many glosses there are.
        weights: Of the backbone; see `mobilenetv2_lstm`, as the five that follow.
        alpha: Width of the backbone.
        frame_size: Side in pixels that frames are scaled to; 0 for as they are.
        temporal_shift: Whether inverted residuals see the frames before and after.
        train_batch_norm: Whether BatchNorm of a pretrained backbone learns too.
        fixed_blocks: Number of first blocks of the backbone that are not trained.
        frames_width: Values that are left of each frame's features.
        landmarks_width: Values that a block returns for each frame's landmarks.
        num_blocks: Number of blocks of convolutions over time.
        lstm_units: Size of the state over time, in each direction.
        dropout: Share of the frames' features, and of what the LSTM makes of a clip,
            that a training step leaves out.
        block_dropout: The same, of what a block adds.

    Returns:
        A dict of uint8 [B, T, H, W, 3] `frames` and float32 [B, T, K, 3] `landmarks`
        -> float32 [B, num_classes] probabilities.

    Raises:
        RecipeError: As of `mobilenetv2_lstm`.
    """
    check_shares(dropout=dropout, block_dropout=block_dropout)
    check_whole_numbers(
        frames_width=(frames_width, 1, MAX_UNITS),
        landmarks_width=(landmarks_width, 1, MAX_UNITS),
        num_blocks=(num_blocks, 0, MAX_BLOCKS),
        lstm_units=(lstm_units, 1, MAX_UNITS),
    )
    frames_model = load_recipe(_FRAMES_RECIPE).build_model(
        clip,
        num_classes,
        weights=weights,
        alpha=alpha,
        frame_size=frame_size,
        temporal_shift=temporal_shift,
        train_batch_norm=train_batch_norm,
        fixed_blocks=fixed_blocks,
    )
    frames = frames_model.input
    shape = (clip.num_frames, NUM_LANDMARKS, 3)
    landmarks = keras.Input(shape, dtype="float32", name="landmarks")
    seen = frames_model.get_layer("features").input  # [B, T, D]
    x = keras.layers.Concatenate(name="features")(
        [seen, landmark_features(landmarks, clip)]
    )  # [B, T, D + E]

    num_seen = seen.shape[-1]
    y = keras.layers.Dropout(dropout, name="frames_dropout")(x[:, :, :num_seen])
    y = keras.layers.Dense(frames_width, activation="relu", name="frames_stem")(y)
    x = keras.layers.BatchNormalization(momentum=MOMENTUM, name="input_norm")(
        x[:, :, num_seen:]
    )
    x = keras.layers.Dense(landmarks_width, use_bias=False, name="stem")(x)
    x = keras.layers.BatchNormalization(momentum=MOMENTUM, name="stem_norm")(x)
    for number in range(1, num_blocks + 1):
        x = temporal_block(
            x, f"temporal_{number}", kernel_size=7, dropout=block_dropout
        )
    x = keras.layers.Concatenate(name="both")([x, y])
    # Default activations and no recurrent dropout, or cuDNN's LSTM is lost.
    lstm = keras.layers.LSTM(lstm_units, return_sequences=True)
    x = keras.layers.Bidirectional(lstm, name="temporal")(x)  # [B, T, 2 * lstm_units]
    x = keras.layers.GlobalAveragePooling1D(name="temporal_mean")(x)
    x = keras.layers.Dropout(dropout, name="temporal_dropout")(x)
    x = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    x = keras.layers.Softmax(dtype="float32", name="probabilities")(x)
    inputs = {"frames": frames, "landmarks": landmarks}
    return keras.Model(inputs, x, name="mobilenetv2_landmarks_lstm")


def backbone_blocks(model: keras.Model) -> list[list[keras.layers.Layer]]:
    """Groups the layers of the backbone into blocks, for fine-tuning the last of them.

    Args:
        model: What `build_model` gave.

    Returns:
        The blocks of `mobilenetv2_lstm`, first to last.
    """
    blocks = load_recipe(_FRAMES_RECIPE).backbone_blocks
    assert blocks is not None  # that recipe has some
    return blocks(model)

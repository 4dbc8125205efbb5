"""MobileNetV2 on each frame, an LSTM over time, softmax over glosses.

One model for both kinds of sign: the frames tell a held pose, their order a
movement. Only `keras` and `keras.ops` are used, so it runs on every backend of Keras 3,
and a saved model loads in plain Keras, without this file.

References:
    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018.
    Donahue et al., "Long-term Recurrent Convolutional Networks for Visual Recognition
    and Description", 2015.
    Lin et al., "TSM: Temporal Shift Module for Efficient Video Understanding", 2019.
"""

import contextlib
import math
import os
import re
import warnings
from typing import Any

import keras

from wlasl_tfrecord.errors import RecipeError, WlaslError
from wlasl_tfrecord.network.model_file import opened_weights
from wlasl_tfrecord.network.recipe_options import (
    MAX_BLOCKS,
    MAX_UNITS,
    check_shares,
    check_whole_numbers,
)
from wlasl_tfrecord.shard_format.clips import ClipSpec

__all__ = ["backbone_blocks", "build_model"]

# The widths for which keras.applications has ImageNet weights.
_IMAGENET_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)

# Five halvings of the frame; less than one last pixel cannot be pooled.
_MIN_SIZE_PIXELS = 32
_MAX_FRAME_SIZE_PIXELS = 1024

# The network has as many times the square of it as many weights; 1.4 is the widest that
# was published.
_MAX_ALPHA = 4

# An eighth of the channels comes from the next frame and one from the frame before: the
# share that was best in the paper.
_SHIFT_SHARE = 8

# Keras's 0.999 suits ImageNet's million steps. A run of some hundred would end with
# averages that are still those of the first step, and recognise nothing.
_MOMENTUM = 0.9


def build_model(
    clip: ClipSpec,
    num_classes: int,
    *,
    weights: str | os.PathLike[str] = "imagenet",
    alpha: float = 1.0,
    lstm_units: int = 256,
    dropout: float = 0.5,
    fold_time: bool = True,
    temporal_shift: bool = False,
    sequence_frames: int = 0,
    frame_size: int = 0,
    train_batch_norm: bool = False,
    fixed_blocks: int = 0,
) -> keras.Model:
    """Builds the network in the current dtype policy of Keras.

    The layer `features` marks where the backbone ends, `logits` where the loss is
    taken. A pretrained backbone keeps BatchNorm in inference mode, unless asked for
    something else: a batch of a few clips holds few different scenes, and a frozen
    backbone is computed once.

    Args:
        clip: The shape of one clip.
        num_classes: How many glosses there are.
        weights: Of the backbone: "imagenet" (downloads them once), "none" (random), or
            the path of a Keras weights file made with the same `alpha`.
        alpha: Width of the backbone.
        lstm_units: Size of the state over time.
        dropout: Share of the features, and of what the LSTM makes of them, that a
            training step leaves out.
        fold_time: False uses Keras's TimeDistributed, which copies the backbone for
            each frame: the same function, many times slower to start, but made of
            layers alone, which is all that an `.h5` file can hold.
        temporal_shift: Whether each inverted residual sees some channels of the frame
            before and of the frame after. It has no weights, and the backbone must be
            trained with it.
        sequence_frames: Number of frames, S, that backbone and LSTM see as one
            sequence; it divides T, and 0 is all of them. A longer clip is T / S
            sequences of every (T / S)-th frame, whose logits are averaged: a network
            trained on S frames of a clip sees them at the same pace.
        frame_size: Side in pixels that frames are scaled to; 0 for as they are.
        train_batch_norm: Whether BatchNorm of a pretrained backbone learns too. A
            backbone that is trained whole, at the rate of the head, needs it.
        fixed_blocks: Number of first blocks of the backbone that are not trained: their
            edges and colours fit any picture, and they take most of the time.

    Returns:
        uint8 [B, T, H, W, 3] `frames` -> float32 [B, num_classes] probabilities.

    Raises:
        RecipeError: If the frames are too small, an option is out of its range, the
            weights cannot be had or do not fit, `sequence_frames` does not divide T, or
            an option needs `fold_time`.
    """
    check_shares(dropout=dropout)
    check_whole_numbers(
        lstm_units=(lstm_units, 1, MAX_UNITS),
        sequence_frames=(sequence_frames, 0, clip.num_frames),
        frame_size=(frame_size, 0, _MAX_FRAME_SIZE_PIXELS),
        fixed_blocks=(fixed_blocks, 0, MAX_BLOCKS),
    )
    height, width = (frame_size,) * 2 if frame_size else (clip.height, clip.width)
    if min(height, width) < _MIN_SIZE_PIXELS:
        raise RecipeError(
            f"frames of {width} x {height} pixels are too small for "
            f"MobileNetV2; shard with --size {_MIN_SIZE_PIXELS} or more"
        )
    length = sequence_frames or clip.num_frames
    num_sequences, rest = divmod(clip.num_frames, length)
    if rest:
        raise RecipeError(
            f"sequence_frames {length} does not divide the {clip.num_frames} frames of "
            "a clip; give a divisor of them, or 0"
        )
    if not fold_time and (temporal_shift or num_sequences > 1 or frame_size):
        raise RecipeError(
            "temporal_shift, sequence_frames and frame_size need fold_time: an h5 file "
            "cannot hold them"
        )
    backbone = _backbone((height, width, 3), os.fspath(weights), alpha)
    if train_batch_norm:
        _train_batch_norm(backbone)
    for block in _blocks(backbone)[:fixed_blocks]:
        for layer in block:
            layer.trainable = False
    num_features = backbone.output_shape[-1]
    if temporal_shift:
        backbone = _with_temporal_shift(backbone, length)

    frames = keras.Input(clip.shape, dtype="uint8", name="frames")  # [B, T, H, W, 3]
    x = frames
    if num_sequences > 1 and temporal_shift:
        # The backbone sees neighbours in them; else their features are reordered.
        x = _split_sequences(x, num_sequences)  # [B, T, H, W, 3]
    if fold_time:
        # Time goes into the batch: the backbone is traced once, not T times.
        x = keras.ops.reshape(x, (-1, *clip.shape[1:]))  # [B * T, H, W, 3]
    if frame_size:
        x = keras.layers.Resizing(height, width, name="resizing")(x)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling")(x)
    if fold_time:
        x = backbone(x)  # [B * T, D]
        x = keras.ops.reshape(x, (-1, clip.num_frames, num_features))
    else:
        x = keras.layers.TimeDistributed(backbone)(x)  # [B, T, D]
    x = keras.layers.Identity(name="features")(x)  # [B, T, D]
    x = keras.layers.Dropout(dropout, name="features_dropout")(x)
    if num_sequences > 1:
        if not temporal_shift:
            x = _split_sequences(x, num_sequences)  # [B, T, D]
        x = keras.ops.reshape(x, (-1, length, num_features))  # [B * T / S, S, D]
    # Default activations and no recurrent dropout, or cuDNN's LSTM is lost.
    x = keras.layers.LSTM(lstm_units, return_sequences=True, name="temporal")(x)
    # The mean over time, not the last state: what was seen in the middle of the sign
    # need not survive until its end. Measured, see docs/accuracy.md.
    x = keras.layers.GlobalAveragePooling1D(name="temporal_mean")(x)
    if num_sequences > 1:
        x = keras.ops.reshape(x, (-1, num_sequences, lstm_units))
        # Of the states, which is that of the logits: the last layer is linear.
        x = keras.layers.GlobalAveragePooling1D(name="sequence_mean")(x)
    x = keras.layers.Dropout(dropout, name="temporal_dropout")(x)  # [B, lstm_units]
    # The loss wants float32 even where the rest computes in 16 bits:
    # https://www.tensorflow.org/guide/mixed_precision
    x = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    x = keras.layers.Softmax(dtype="float32", name="probabilities")(x)
    return keras.Model(frames, x, name="mobilenetv2_lstm")


def backbone_blocks(model: keras.Model) -> list[list[keras.layers.Layer]]:
    """Groups the layers of the backbone into blocks, for fine-tuning the last of them.

    Args:
        model: What `build_model` gave.

    Returns:
        The stem, sixteen inverted residuals and the last convolution, first to last.
    """
    return _blocks(model.get_layer("backbone"))


def _blocks(backbone: keras.Model) -> list[list[keras.layers.Layer]]:
    """Groups the layers of MobileNetV2 by the blocks in their names."""
    blocks: dict[str, list[keras.layers.Layer]] = {}
    name = "stem"
    for layer in backbone.layers:
        match = re.match(r"(block_\d+)_|(Conv_1)", layer.name)
        if match:
            name = match[0]
        blocks.setdefault(name, []).append(layer)
    return list(blocks.values())


def _train_batch_norm(backbone: keras.Model) -> None:
    """Lets BatchNorm measure the clips, fast enough for a run of some hundred steps."""
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = True
            layer.momentum = _MOMENTUM


def _split_sequences(frames: Any, num_sequences: int) -> Any:
    """Puts every `num_sequences`-th frame together, [B, T, ...] -> the same."""
    _, num_frames, *shape = frames.shape
    length = num_frames // num_sequences
    x = keras.ops.reshape(frames, (-1, length, num_sequences, math.prod(shape)))
    x = keras.ops.transpose(x, (0, 2, 1, 3))
    return keras.ops.reshape(x, (-1, num_frames, *shape))


def _with_temporal_shift(backbone: keras.Model, num_frames: int) -> keras.Model:
    """Copies a backbone, with a shift along time in its residual branches.

    Only there: what is shifted away from a frame still reaches it by the shortcut.
    """
    residual = {
        name.removesuffix("add") + "expand"
        for name in (layer.name for layer in backbone.layers)
        if name.endswith("_add")
    }

    def call(layer: keras.layers.Layer, x: Any, **kwargs: Any) -> Any:
        if layer.name in residual:
            x = _shift(x, num_frames)
        return layer(x, **kwargs)

    shifted = keras.models.clone_model(backbone, call_function=call)
    shifted.set_weights(backbone.get_weights())
    return shifted


def _shift(x: Any, num_frames: int) -> Any:
    """Shifts channels of folded frames by one frame, [B * T, h, w, C] -> the same."""
    _, height, width, num_channels = x.shape
    count = max(1, num_channels // _SHIFT_SHARE)
    x = keras.ops.reshape(x, (-1, num_frames, height, width, num_channels))
    none = keras.ops.zeros_like(x[:, :1, :, :, :count])
    after = keras.ops.concatenate([x[:, 1:, :, :, :count], none], axis=1)
    before = keras.ops.concatenate([none, x[:, :-1, :, :, count : 2 * count]], axis=1)
    kept = x[:, :, :, :, 2 * count :]
    x = keras.ops.concatenate([after, before, kept], axis=-1)
    return keras.ops.reshape(x, (-1, height, width, num_channels))


def _backbone(
    frame_shape: tuple[int, int, int], weights: str, alpha: float
) -> keras.Model:
    """Builds MobileNetV2 up to its pooled features, [N, H, W, 3] -> [N, D]."""
    if not 0 < alpha <= _MAX_ALPHA:
        raise RecipeError(
            f"alpha must be above 0 and at most {_MAX_ALPHA}, got {alpha}"
        )
    if weights == "imagenet" and alpha not in _IMAGENET_ALPHAS:
        raise RecipeError(
            f"no imagenet weights for alpha {alpha}; there are some for "
            f"{', '.join(map(str, _IMAGENET_ALPHAS))}, or use --weights none"
        )
    if weights not in ("imagenet", "none") and not os.path.isfile(weights):
        raise RecipeError(
            f"no weights file {weights}; give --weights imagenet, none or the path of "
            "a Keras weights file"
        )
    try:
        with warnings.catch_warnings(), contextlib.ExitStack() as held:
            source = None if weights == "none" else weights
            if weights not in ("imagenet", "none"):
                source = held.enter_context(opened_weights(weights))
            # It would warn that it takes the weights made at 224 pixels, as it should.
            warnings.simplefilter("ignore")
            backbone = keras.applications.MobileNetV2(
                input_shape=frame_shape,
                alpha=alpha,
                include_top=False,
                weights=source,  # pyright: ignore
                pooling="avg",
                name="backbone",
            )
    except WlaslError:
        raise
    except Exception as error:  # a download fails in many ways: URLError, OSError …
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if weights == "imagenet":
            raise RecipeError(
                f"cannot download the imagenet weights ({reason}); give a copy with "
                "--weights PATH, or train from scratch with --weights none"
            ) from error
        raise RecipeError(
            f"the weights {weights} do not fit MobileNetV2 with alpha {alpha} "
            f"({reason}); give the --alpha they were made with"
        ) from error
    for layer in backbone.layers:
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        if weights == "none":
            layer.momentum = _MOMENTUM
        else:
            # Calling the backbone with training=False would not do: Keras 3 replaces
            # it by the `training` that the whole model is called with.
            layer.trainable = False
    return backbone

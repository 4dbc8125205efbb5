"""MobileNetV2 on each frame, an LSTM over time, softmax over glosses.

One model for both kinds of sign: the frames tell a held pose, their order a
movement. Only `keras` and `keras.ops` are used, so it runs on every backend of Keras 3,
and a saved model loads in plain Keras, without this file.

References:
    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018.
    Donahue et al., "Long-term Recurrent Convolutional Networks for Visual Recognition
    and Description", 2015.
"""

import os
import re
import warnings

import keras

from wlasl_tfrecord.errors import RecipeError
from wlasl_tfrecord.shard_format.clips import ClipSpec

__all__ = ["backbone_blocks", "build_model"]

# The widths for which keras.applications has ImageNet weights.
_IMAGENET_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)

# Five halvings of the frame; less than one last pixel cannot be pooled.
_MIN_SIZE_PIXELS = 32


def build_model(
    clip: ClipSpec,
    num_classes: int,
    *,
    weights: str | os.PathLike[str] = "imagenet",
    alpha: float = 1.0,
    lstm_units: int = 256,
    dropout: float = 0.5,
    fold_time: bool = True,
) -> keras.Model:
    """Builds the network in the current dtype policy of Keras.

    The layer `features` marks where the backbone ends, `logits` where the loss is
    taken. A pretrained backbone keeps BatchNorm in inference mode for good: a batch of
    a few clips holds too few scenes to measure anew what ImageNet has measured.

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

    Returns:
        uint8 [B, T, H, W, 3] `frames` -> float32 [B, num_classes] probabilities.

    Raises:
        RecipeError: If the frames are too small, `alpha` is not positive, or the
            weights cannot be had or do not fit.
    """
    if min(clip.height, clip.width) < _MIN_SIZE_PIXELS:
        raise RecipeError(
            f"frames of {clip.width} x {clip.height} pixels are too small for "
            f"MobileNetV2; shard with --size {_MIN_SIZE_PIXELS} or more"
        )
    backbone = _backbone(clip, os.fspath(weights), alpha)

    frames = keras.Input(clip.shape, dtype="uint8", name="frames")  # [B, T, H, W, 3]
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling")(frames)
    if fold_time:
        # Time goes into the batch: the backbone is traced once, not T times.
        x = keras.ops.reshape(x, (-1, *clip.shape[1:]))  # [B * T, H, W, 3]
        x = backbone(x)  # [B * T, D]
        x = keras.ops.reshape(x, (-1, clip.num_frames, backbone.output_shape[-1]))
    else:
        x = keras.layers.TimeDistributed(backbone)(x)  # [B, T, D]
    x = keras.layers.Identity(name="features")(x)  # [B, T, D]
    x = keras.layers.Dropout(dropout, name="features_dropout")(x)
    # Default activations and no recurrent dropout, or cuDNN's LSTM is lost.
    x = keras.layers.LSTM(lstm_units, return_sequences=True, name="temporal")(x)
    # The mean over time, not the last state: what was seen in the middle of the sign
    # need not survive until its end. Measured, see docs/accuracy.md.
    x = keras.layers.GlobalAveragePooling1D(name="temporal_mean")(x)  # [B, lstm_units]
    x = keras.layers.Dropout(dropout, name="temporal_dropout")(x)
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
    blocks: dict[str, list[keras.layers.Layer]] = {}
    name = "stem"
    for layer in model.get_layer("backbone").layers:
        match = re.match(r"(block_\d+)_|(Conv_1)", layer.name)
        if match:
            name = match[0]
        blocks.setdefault(name, []).append(layer)
    return list(blocks.values())


def _backbone(clip: ClipSpec, weights: str, alpha: float) -> keras.Model:
    """Builds MobileNetV2 up to its pooled features, [N, H, W, 3] -> [N, D]."""
    if not alpha > 0:
        raise RecipeError(f"alpha must be above 0, got {alpha}")
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
        with warnings.catch_warnings():
            # It would warn that it takes the weights made at 224 pixels, as it should.
            warnings.simplefilter("ignore")
            backbone = keras.applications.MobileNetV2(
                input_shape=clip.shape[1:],
                alpha=alpha,
                include_top=False,
                weights=None if weights == "none" else weights,  # pyright: ignore
                pooling="avg",
                name="backbone",
            )
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
            # 0.999 suits ImageNet's million steps. A run of some hundred would end with
            # averages that are still those of the first step, and recognise nothing.
            layer.momentum = 0.9
        else:
            # Calling the backbone with training=False would not do: Keras 3 replaces
            # it by the `training` that the whole model is called with.
            layer.trainable = False
    return backbone

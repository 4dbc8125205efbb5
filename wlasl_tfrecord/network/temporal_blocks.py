"""Blocks of convolutions over time, for recipes that read landmarks."""

from typing import Any

import keras

__all__ = ["MOMENTUM", "temporal_block"]

# Of BatchNorm. Keras's 0.99 is for longer trainings: these have some thousand steps.
MOMENTUM = 0.95


def temporal_block(x: Any, name: str, *, kernel_size: int, dropout: float) -> Any:
    """Adds an inverted residual over time.

    Args:
        x: Keras tensor, [B, T, D].
        name: Prefix of the names of its layers.
        kernel_size: Frames that the convolution sees.
        dropout: Share of the values that it adds, each in all frames of a clip, that a
            training step leaves out.

    Returns:
        [B, T, D].

    Reference:
        The blocks of the first place of Google's "Isolated Sign Language Recognition"
        challenge, Kaggle, 2023.
    """
    width = x.shape[-1]
    y = keras.layers.Dense(2 * width, activation="swish", name=f"{name}_expand")(x)
    y = keras.layers.DepthwiseConv1D(
        kernel_size, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(y)
    y = keras.layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(y)
    y = keras.layers.Dense(width, name=f"{name}_project")(y)
    y = keras.layers.SpatialDropout1D(dropout, name=f"{name}_dropout")(y)
    return keras.layers.Add(name=f"{name}_add")([x, y])

"""A network of frames, run on all frames of a clip by plain layers alone.

An `.h5` file holds layers, and so no reshape that turns [B, T, …] into [B * T, …].
Keras's TimeDistributed is a layer, but it runs the network once for each frame: 30
copies of it in the graph, and a minute until the first prediction. Here the frames of a
clip lie below each other, as one tall picture [B, T * H, W, C]. Layers that look at one
pixel run on it as they are; one that looks at its neighbours gets every frame with a
border of its own, and what it computes across two frames is cut away.
"""

from typing import Any

import keras

__all__ = ["without_copies"]

# They compute each pixel by itself.
_POINTWISE = (
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.BatchNormalization,
    keras.layers.Dense,
    keras.layers.Dropout,
    keras.layers.Identity,
    keras.layers.LeakyReLU,
    keras.layers.ReLU,
    keras.layers.Rescaling,
)
_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


class _UnknownLayerError(Exception):
    """A layer that cannot be run on frames that lie below each other."""


def without_copies(model: keras.Model) -> keras.Model:
    """Replaces networks in TimeDistributed by layers that run on all frames at once.

    Args:
        model: A model; it is not changed, though layers are shared.

    Returns:
        A model with the same weights and, but for rounding, the same outputs. Where a
        network is no functional model, or has a layer of another kind, its
        TimeDistributed is kept.
    """

    def call(layer: Any, *args: Any, **options: Any) -> Any:
        is_copied = isinstance(layer, keras.layers.TimeDistributed)
        if is_copied and isinstance(layer.layer, keras.Model):
            try:
                return _run_stacked(layer.layer, args[0])
            except _UnknownLayerError:
                pass
        return layer(*args, **options)

    if isinstance(model, keras.Sequential):
        return model
    return keras.models.clone_model(
        model, clone_function=lambda layer: layer, call_function=call
    )


def _run_stacked(network: keras.Model, frames: Any) -> Any:
    """Runs a network [N, H, W, C] -> [N, D] on [B, T, H, W, C]; returns [B, T, D]."""
    if isinstance(network, keras.Sequential):
        raise _UnknownLayerError
    num_frames, height, *rest = frames.shape[1:]

    def call(layer: Any, *args: Any, **options: Any) -> Any:
        if isinstance(layer, _CONVOLUTIONS):
            return _convolve(layer, args[0], num_frames)
        if isinstance(layer, keras.layers.ZeroPadding2D):
            return _pad(args[0], num_frames, layer.padding)
        if isinstance(layer, keras.layers.GlobalAveragePooling2D):
            return _pool(args[0], num_frames)
        if isinstance(layer, _POINTWISE):
            return layer(*args, **options)
        raise _UnknownLayerError

    stacked = keras.models.clone_model(
        network,
        input_tensors=keras.Input((num_frames * height, *rest), dtype=frames.dtype),
        clone_function=lambda layer: layer,
        call_function=call,
    )
    if stacked.output_shape != (None, num_frames, *network.output_shape[1:]):
        raise _UnknownLayerError  # it does not end in one vector for each frame
    return stacked(keras.layers.Reshape((num_frames * height, *rest))(frames))


def _convolve(layer: Any, x: Any, num_frames: int) -> Any:
    """Runs a convolution on each frame, [B, T * h, w, c] -> [B, T * h', w', c']."""
    (kernel, _), (stride, _) = layer.kernel_size, layer.strides
    if layer.data_format != "channels_last" or set(layer.dilation_rate) != {1}:
        raise _UnknownLayerError
    if layer.kernel_size == layer.strides == (1, 1):
        return layer(x)
    height, width = x.shape[1] // num_frames, x.shape[2]
    borders = [
        _border(size, *sizes) if layer.padding == "same" else (0, 0)
        for size, *sizes in zip((height, width), layer.kernel_size, layer.strides)
    ]
    padded_height = height + sum(borders[0])
    out_height = (padded_height - kernel) // stride + 1
    # Every frame begins at a row that the convolution stops at.
    rest = -padded_height % stride
    top, bottom = borders[0]
    x = _pad(x, num_frames, ((top, bottom + rest), borders[1]))
    period = (padded_height + rest) // stride
    whole = type(layer).from_config({**layer.get_config(), "padding": "valid"})
    x = whole(x)
    whole.set_weights(layer.get_weights())
    # The last frame lacks the rows that would be computed across its end.
    missing = num_frames * period - x.shape[1]
    x = keras.layers.ZeroPadding2D(((0, missing), (0, 0)))(x)
    x = keras.layers.Reshape((num_frames, period, *x.shape[2:]))(x)
    x = keras.layers.Cropping3D(((0, 0), (0, period - out_height), (0, 0)))(x)
    return _stack(x)


def _border(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Returns what `padding="same"` adds before and after, as TensorFlow does."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _pad(x: Any, num_frames: int, borders: Any) -> Any:
    """Adds zeros around each frame."""
    if not any(map(any, borders)):
        return x
    height, *rest = x.shape[1:]
    x = keras.layers.Reshape((num_frames, height // num_frames, *rest))(x)
    return _stack(keras.layers.ZeroPadding3D(((0, 0), *borders))(x))


def _pool(x: Any, num_frames: int) -> Any:
    """Returns the mean of each frame, [B, T * h, w, c] -> [B, T, c]."""
    num_pixels = x.shape[1] // num_frames * x.shape[2]
    x = keras.layers.Reshape((num_frames, num_pixels, x.shape[3]))(x)
    x = keras.layers.AveragePooling2D((1, num_pixels))(x)
    return keras.layers.Reshape((num_frames, x.shape[3]))(x)


def _stack(x: Any) -> Any:
    """Lays the frames below each other, [B, T, h, w, c] -> [B, T * h, w, c]."""
    num_frames, height, *rest = x.shape[1:]
    return keras.layers.Reshape((num_frames * height, *rest))(x)

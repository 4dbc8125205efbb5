"""A network in two parts: what it computes of each frame, and of all of them together.

The first part is nearly all of the work. Alone it can be computed for a few frames at a
time, whose intermediate results stay in the caches of a CPU, and once for a frame that
is in many windows. Both parts are made for that: their weights are constants, and batch
normalisation is multiplied into the convolutions before it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.network.backbone import backbone_model
from wlasl_tfrecord.network.inputs import FRAMES, input_names

__all__ = ["SplitNetwork", "split_network"]

Array = NDArray[Any]

# What may stand between the frames and the backbone.
_OF_SINGLE_FRAMES = (keras.layers.Rescaling, keras.layers.Resizing)

# Frames that a CPU computes at once, and a GPU. On 2 cores, at alpha 1.0, a clip of 30
# takes 179 ms with 30, 164 with 15, 172 with 10 and 228 with 3; at alpha 0.35 it takes
# 54, 71, 63 and 104.
_CPU_FRAMES = 30
_GPU_FRAMES = 240


@dataclass(frozen=True, kw_only=True)
class SplitNetwork:
    """The two parts of a network.

    Attributes:
        is_split: Whether the network has two parts. If not, the features of a frame are
            the frame, and the head is the whole network.
        features: uint8 [N, H, W, 3] -> [N, ...], what is computed of each frame.
        head: [B, T, ...] features of clips -> float32 [B, num_classes]. If it is not
            split, it takes what the network takes of clips.
    """

    is_split: bool
    features: Callable[[Array], Array]
    head: Callable[[Any], NDArray[np.float32]]


def split_network(network: keras.Model) -> SplitNetwork:
    """Cuts a network after its layer `features`, if that is computed frame by frame.

    It is, if there is nothing before it but one model that takes single frames, scaling
    and reshaping, and that model is made of layers. Any other network stays whole.

    Args:
        network: Clips -> float32 [B, num_classes], in float32.
    """
    frame_model = _frame_model(network)
    if frame_model is None:
        return SplitNetwork(
            is_split=False,
            features=lambda frames: frames,
            head=lambda clips: np.asarray(network.predict_on_batch(clips)),
        )
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    frames_at_once = _GPU_FRAMES if has_gpu else _CPU_FRAMES
    backbone = _compiled(frame_model, tf.uint8)
    features = network.get_layer("features").output
    head = _compiled(keras.Model(features, network.output), tf.float32)

    def compute(frames: Array) -> Array:
        parts = [
            backbone(frames[start : start + frames_at_once])
            for start in range(0, len(frames), frames_at_once)
        ]
        return np.concatenate(parts)

    return SplitNetwork(is_split=True, features=compute, head=head)


def _frame_model(network: keras.Model) -> keras.Model | None:
    """Returns what the layer `features` is of one frame, as a model; None if no such.

    Returns:
        uint8 [N, H, W, 3] -> [N, D].
    """
    if input_names(network) != (FRAMES,) or all(
        layer.name != "features" for layer in network.layers
    ):
        return None
    scaling: list[keras.layers.Layer] = []
    backbone: keras.Model | None = None
    for operation in _operations(backbone_model(network)):
        if isinstance(operation, keras.layers.TimeDistributed):
            operation = operation.layer
        if backbone is None and isinstance(operation, _OF_SINGLE_FRAMES):
            scaling.append(operation)
        elif backbone is None and isinstance(operation, keras.Model):
            backbone = operation
        elif type(operation).__name__ not in ("InputLayer", "Reshape", "Identity"):
            return None
    if backbone is None:
        return None
    frames = keras.Input(network.input_shape[2:], dtype="uint8")
    x: Any = frames
    for layer in scaling:
        x = layer(x)
    features_shape = _shape_of(network)
    if (backbone.input_shape, backbone.output_shape) != (
        tuple(x.shape),
        (None, *features_shape[2:]),
    ):
        return None
    # A backbone of layers alone sees one frame at a time; an operation, such as the
    # reshape of a shift along time, may mix them.
    if not all(isinstance(one, keras.layers.Layer) for one in _operations(backbone)):
        return None
    return keras.Model(frames, _folded(backbone)(x))


def _operations(model: keras.Model) -> list[Any]:
    """Lists what a model computes, in order; not what the models in it compute."""
    return list(getattr(model, "operations", ()))


def _shape_of(network: keras.Model) -> tuple[int | None, ...]:
    return tuple(network.get_layer("features").output.shape)


def _folded(model: keras.Model) -> keras.Model:
    """Copies a model, its batch normalisation multiplied into convolutions.

    Only normalisation right after a convolution, whose output nothing else uses.
    """
    norms = _norms_to_fold(model)
    if not norms:
        return model
    folded = {norm.name for norm in norms.values()}

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name in norms:
            config["use_bias"] = True
        return type(layer).from_config(config)

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        if layer.name in folded:
            return arguments[0]
        return layer(*arguments, **options)

    copy: Any = keras.models.clone_model(
        model, clone_function=clone, call_function=call
    )
    for layer in copy.layers:
        # The copy of an input has another name.
        if not layer.weights:
            continue
        source = model.get_layer(layer.name)
        weights = source.get_weights()
        if layer.name in norms:
            weights = _folded_weights(source, norms[layer.name], weights)
        layer.set_weights(weights)
    return copy


def _norms_to_fold(model: keras.Model) -> dict[str, keras.layers.BatchNormalization]:
    """Maps names of convolutions to the normalisation that alone uses their output."""
    reads = {
        layer["name"]: list(_read_by(layer.get("inbound_nodes", [])))
        for layer in model.get_config().get("layers", [])
    }
    num_readers = Counter(name for names in reads.values() for name in names)
    norms = {}
    for norm in model.layers:
        names = reads.get(norm.name, [])
        if not isinstance(norm, keras.layers.BatchNormalization) or len(names) != 1:
            continue
        source: Any = model.get_layer(names[0])
        if (
            type(source) in (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
            and source.activation is keras.activations.linear
            and num_readers[source.name] == 1
        ):
            norms[source.name] = norm
    return norms


def _read_by(nodes: Any) -> Iterator[str]:
    """Yields the names of the layers whose outputs a serialized layer reads."""
    if isinstance(nodes, list | tuple):
        for node in nodes:
            yield from _read_by(node)
    elif isinstance(nodes, dict) and nodes.get("class_name") == "__keras_tensor__":
        yield nodes["config"]["keras_history"][0]
    elif isinstance(nodes, dict):
        yield from _read_by(list(nodes.values()))


def _folded_weights(convolution: Any, norm: Any, weights: list[Array]) -> list[Array]:
    """Returns kernel and bias of a convolution that normalises its output, too."""
    kernel = weights[0]
    bias = weights[1] if len(weights) > 1 else 0.0
    gain = 1 / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        gain = gain * np.asarray(norm.gamma)
    shift = (bias - np.asarray(norm.moving_mean)) * gain
    if norm.center:
        shift = shift + np.asarray(norm.beta)
    if isinstance(convolution, keras.layers.DepthwiseConv2D):
        return [kernel * gain.reshape(kernel.shape[2:]), shift]
    return [kernel * gain, shift]


def _compiled(model: keras.Model, dtype: Any) -> Callable[[Array], Array]:
    """Compiles a model of one input for inference, with its weights as constants.

    TensorFlow then joins a convolution with its bias and activation.
    """
    weights = [
        [tf.constant(np.asarray(variable)) for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    signature = tf.TensorSpec(model.input_shape, dtype)

    @tf.function(input_signature=[signature])
    def run(inputs: Any) -> Any:
        return model.stateless_call(*weights, inputs, training=False)[0]

    return lambda inputs: run(inputs).numpy()

"""The outputs of a network: probabilities or logits, always in float32.

A recipe may return either. What is saved, evaluated and exported always returns
probabilities; what is trained ends in logits.
"""

from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from wlasl_tfrecord.errors import RecipeError
from wlasl_tfrecord.network.inputs import input_names, noise_inputs, pick_inputs

__all__ = ["OutputKind", "logits_model", "output_kind", "probability_model"]

OutputKind = Literal["logits", "probabilities"]

_NUM_CLIPS = 2
# Probabilities of 16 bits sum to 1 with an error of this size at most.
_SUM_TOLERANCE = 0.02


def output_kind(model: keras.Model) -> OutputKind:
    """Finds out whether a network returns logits or probabilities.

    The names and activations of its last layers tell in most networks; else it is run
    on two clips of noise.

    Args:
        model: A network from clips to classes.

    Raises:
        RecipeError: If it returns neither.
    """
    last: Any = model.layers[-1]
    # An operation may follow the last layer, and a model as the last layer has many.
    ends_the_model = not isinstance(last, keras.Model) and last.output is model.output
    activation = getattr(last, "activation", None) if ends_the_model else None
    if ends_the_model and last.name == "logits":
        return "logits"
    if activation is keras.activations.softmax or (
        ends_the_model and isinstance(last, keras.layers.Softmax)
    ):
        return "probabilities"
    if activation is keras.activations.sigmoid:
        raise RecipeError(
            f"the layer {last.name!r} of {model.name} has a sigmoid for each gloss; "
            "end it in softmax, or without activation in a layer named 'logits'"
        )
    return _kind_of_values(model)


def probability_model(model: keras.Model, kind: OutputKind) -> keras.Model:
    """Returns a network on the same weights that ends in float32 probabilities.

    Args:
        model: Network that a recipe built.
        kind: From `output_kind`.

    Returns:
        The network itself where it is one already. Otherwise one with a layer more: a
        softmax after logits, or a cast to float32.
    """
    if kind == "probabilities":
        if _dtype(model.output) == "float32":
            return model
        x = _cast(model.output, "probabilities_float32")
    else:
        x = model.output
        if _dtype(x) != "float32":
            x = _cast(x, "logits_float32")
        if not any(layer.name == "logits" for layer in model.layers):
            x = keras.layers.Identity(dtype="float32", name="logits")(x)
        x = keras.layers.Softmax(dtype="float32", name="probabilities")(x)
    return keras.Model(model.input, x, name=model.name)


def logits_model(model: keras.Model, layer: str | None = None) -> keras.Model:
    """Returns the part of a network that ends in its logits, in float32.

    Args:
        model: Network that ends in probabilities.
        layer: Name of the layer to begin after; by default the input.

    Returns:
        A model on the same weights. Without a layer `logits`, the logarithm of the
        probabilities, which softmax turns back into them.
    """
    names = {one.name for one in model.layers}
    start = model.input if layer is None else model.get_layer(layer).output
    if "logits" in names:
        output: Any = model.get_layer("logits").output
        if _dtype(output) != "float32":
            output = keras.ops.cast(output, "float32")
        return keras.Model(start, output)
    # `probability_model` has seen to it that they are float32.
    floor = keras.config.epsilon()
    return keras.Model(start, keras.ops.log(keras.ops.maximum(model.output, floor)))


def _kind_of_values(model: keras.Model) -> OutputKind:
    """Runs a network on clips of noise: rows of probabilities sum to 1."""
    clips = pick_inputs(input_names(model), noise_inputs(model, _NUM_CLIPS))
    rows = np.asarray(tf.cast(model(clips, training=False), tf.float64))
    sums_to_one = np.abs(rows.sum(axis=-1) - 1) < _SUM_TOLERANCE
    is_probable = (rows >= 0).all() and sums_to_one.all()
    return "probabilities" if is_probable else "logits"


def _dtype(tensor: Any) -> str:
    return keras.backend.standardize_dtype(tensor.dtype)


def _cast(x: Any, name: str) -> Any:
    """Casts to float32 by a layer, which a saved model can hold in any format."""
    return keras.layers.Activation("linear", dtype="float32", name=name)(x)

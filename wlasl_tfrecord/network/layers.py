"""The layers of a network, at any depth."""

from typing import Any

import keras

__all__ = ["layers_within"]


def layers_within(layer: Any) -> list[keras.layers.Layer]:
    """Lists a layer or model and all layers in it, at any depth, each once.

    The public `layers` of a model ends at a wrapper, such as TimeDistributed, and at a
    layer that holds others. No public function of Keras looks into them, so this is the
    one place that calls a private one.
    """
    return layer._flatten_layers()

"""How large the network of a model file is, found before it takes any memory.

A description of a few lines can ask for more weights than a machine has memory. So the
network is first built without its weights, and their number compared with those in the
file, which has been checked.
"""

import math
import threading
from pathlib import Path
from typing import Any

import keras

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.network.model_file import ModelContent

__all__ = ["check_network_size"]

# A network may have weights that its file leaves out, such as seeds. Few.
_MAX_RATIO, _MORE_WEIGHTS = 2, 100_000
# The largest networks take a minute. A layer for each of a billion frames takes for
# ever.
_BUILD_SECONDS = 300.0


def check_network_size(
    path: Path, content: ModelContent, seconds: float = _BUILD_SECONDS
) -> None:
    """Compares the weights that a network asks for with those that its file has.

    Args:
        path: The model file, for messages.
        content: What `check_model_file` returned for it.
        seconds: How long building the network may take.

    Raises:
        TrainingError: If it asks for far more weights, or cannot be built in time.
        Exception: Whatever Keras raises for a network that cannot be built.
    """
    found: list[int | Exception] = []

    def build() -> None:
        try:
            found.append(_count_weights(content.config))
        except Exception as error:
            found.append(error)

    # In a thread of its own: Keras keeps a list of the weights that are still to be
    # made, by thread, and would make them all in the end. A daemon, which nobody has to
    # wait for.
    thread = threading.Thread(target=build, daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        raise TrainingError(
            f"{path} describes a network that is not built within {seconds:g} seconds"
        )
    (num_weights,) = found
    if isinstance(num_weights, Exception):
        raise num_weights
    if num_weights > _MAX_RATIO * content.num_weights + _MORE_WEIGHTS:
        raise TrainingError(
            f"{path} describes a network of {num_weights:,} weights, and holds "
            f"{content.num_weights:,}"
        )


def _count_weights(config: Any) -> int:
    """Builds a network without its weights, and returns their number."""
    with keras.StatelessScope(initialize_variables=False):
        if "module" in config:
            network: Any = keras.saving.deserialize_keras_object(config, safe_mode=True)
        else:  # as the older format has it
            is_sequential = config["class_name"] == "Sequential"
            kind = keras.Sequential if is_sequential else keras.Model
            network = kind.from_config(config["config"])
        return sum(math.prod(one.shape) for one in network.variables)

"""What a network takes of a clip: its frames, its landmarks, or both, by name."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FRAMES", "LANDMARKS", "input_names", "noise_inputs", "pick_inputs"]

FRAMES = "frames"
LANDMARKS = "landmarks"


def input_names(model: Any) -> tuple[str, ...]:
    """Names what a network takes; an input of any other name takes frames.

    Args:
        model: A Keras model from clips to classes.

    Returns:
        ("frames",), ("landmarks",), or both in this order.
    """
    names = {
        LANDMARKS if one.name == LANDMARKS else FRAMES
        # Of a network that has not been called there is none.
        for one in getattr(model, "inputs", None) or ()
    }
    return tuple(sorted(names)) or (FRAMES,)


def pick_inputs(names: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    """Returns what a network with these inputs is called with.

    Args:
        names: From `input_names`.
        values: Frames and landmarks by name; more than are taken may be there.

    Returns:
        One value, or a dict of two.
    """
    chosen = {name: values[name] for name in names}
    return chosen if len(chosen) > 1 else chosen[names[0]]


def noise_inputs(model: Any, num_clips: int) -> dict[str, NDArray[Any]]:
    """Draws clips of noise for a network, always the same ones.

    Returns:
        Frames, landmarks or both, by name; see `pick_inputs`.
    """
    rng = np.random.default_rng(0)
    values: dict[str, NDArray[Any]] = {}
    for one in model.inputs:
        shape = (num_clips, *one.shape[1:])
        if one.name == LANDMARKS:
            values[LANDMARKS] = rng.random(shape, np.float32)
        else:
            values[FRAMES] = rng.integers(0, 256, shape, dtype=np.uint8)
    return values

"""A network that finds the points of hands and upper body in a frame, on MobileNetV2.

It learns from shards of `bin/shard --landmarks` what the networks that made them know
(`training/pose_training.py`). Then a recipe that sees frames alone knows where the
hands are. Only Keras's own layers and `keras.ops` are used.

References:
    Lin et al., "Feature Pyramid Networks for Object Detection", 2017, for the maps.
    Sun et al., "Integral Human Pose Regression", 2018, for the places in them.
"""

from typing import Any

import keras
import numpy as np

from wlasl_tfrecord.errors import RecipeError
from wlasl_tfrecord.shard_format.landmarks import LANDMARK_GROUPS, NUM_LANDMARKS

__all__ = ["GROUP_OF_POINT", "found_landmarks", "pose_finder"]

# Some of its functions have types that say they return nothing.
ops: Any = keras.ops

# The layers of MobileNetV2 that the maps are made of: 1/32, 1/16 and 1/8 of the frame.
_LEVELS = ("out_relu", "block_13_expand_relu", "block_6_expand_relu")
_STRIDE = 32
_WIDTH = 96
# A point may lie outside of the frame by so much of its sides.
_MARGIN = 0.2
# int [K]: which of the groups left hand, right hand and pose a point belongs to.
GROUP_OF_POINT = np.repeat(
    np.arange(len(LANDMARK_GROUPS)), list(LANDMARK_GROUPS.values())
)


def pose_finder(backbone: keras.Model) -> keras.Model:
    """Adds maps of the points to a backbone.

    Args:
        backbone: MobileNetV2 with pooled features, [N, S, S, 3] -> [N, D].

    Returns:
        [N, S, S, 3] in [-1, 1] -> float32 [N, K, 2], x and y as of landmarks, and
        float32 [N, 3], the logits of whether each group of points is seen.

    Raises:
        RecipeError: If S is no multiple of 32.
    """
    side = backbone.input_shape[1]
    if side % _STRIDE:
        raise RecipeError(f"frame_size must be a multiple of {_STRIDE}, got {side}")
    coarse, middle, fine = (backbone.get_layer(name).output for name in _LEVELS)
    x: Any = keras.layers.Conv2D(_WIDTH, 1, name="maps_32")(coarse)
    for stride, level in ((16, middle), (8, fine)):
        lateral = keras.layers.Conv2D(_WIDTH, 1, name=f"lateral_{stride}")(level)
        x = keras.layers.UpSampling2D(name=f"upsampling_{stride}")(x)
        x = keras.layers.Add(name=f"add_{stride}")([x, lateral])
        x = keras.layers.DepthwiseConv2D(3, padding="same", name=f"maps_{stride}")(x)
        x = _normed(x, f"maps_{stride}")
    x = keras.layers.SeparableConv2D(_WIDTH, 3, padding="same", name="maps")(x)
    x = _normed(x, "maps")
    # Places are sums over a map, which 16 bits would round.
    x = keras.layers.Conv2D(NUM_LANDMARKS, 1, dtype="float32", name="heat")(x)
    shares = ops.softmax(ops.reshape(x, (-1, (side // 8) ** 2, NUM_LANDMARKS)), axis=1)
    places = ops.matmul(ops.transpose(shares, (0, 2, 1)), _grid(side // 8))
    seen = keras.layers.Dense(len(LANDMARK_GROUPS), dtype="float32", name="seen")(
        backbone.output
    )
    return keras.Model(backbone.input, [places, seen], name="pose_finder")


def found_landmarks(places: Any, seen: Any) -> Any:
    """Puts places and groups together, as records store landmarks.

    Args:
        places: float32 [N, K, 2], from the finder.
        seen: float32 [N, 3], from the finder.

    Returns:
        float32 [N, K, 3]; zeros for the points of a group that is not seen.
    """
    # Not their probabilities: what follows asks only whether a point is there.
    is_seen = ops.cast(seen > 0, "float32")
    # By one matrix and not by indices, which some runtimes of exports do not have.
    groups = np.eye(len(LANDMARK_GROUPS), dtype=np.float32)[:, GROUP_OF_POINT]
    is_seen = ops.expand_dims(ops.matmul(is_seen, groups), -1)  # [N, K, 1]
    return ops.concatenate([places * is_seen, is_seen], axis=-1)


def _normed(x: Any, name: str) -> Any:
    x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _grid(num_cells: int) -> Any:
    """Returns x and y of the cells of a map: float32 [num_cells ** 2, 2]."""
    middles = (np.arange(num_cells) + 0.5) / num_cells
    middles = middles * (1 + 2 * _MARGIN) - _MARGIN
    x, y = np.meshgrid(middles, middles)
    return np.stack([x.ravel(), y.ravel()], axis=-1).astype(np.float32)

"""A trained model that runs on any device: in float32, without cuDNN.

A model that was trained in 16 bits has float32 weights all the same; only its layers
compute in 16 bits, which is slow on a CPU and impossible in TFLite. So the same layers
are loaded with the same weights, computing in float32.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.decoder_pool.decoded_frames import DecodedFrames
from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.inference.split_network import SplitNetwork, split_network
from wlasl_tfrecord.landmarks.network_files import find_networks
from wlasl_tfrecord.network import model_info, saving
from wlasl_tfrecord.network.inputs import (
    noise_inputs,
    pick_inputs,
)
from wlasl_tfrecord.network.model_info import ModelInfo
from wlasl_tfrecord.network.out_of_memory import (
    one_line_out_of_memory,
    out_of_memory_line,
)

__all__ = [
    "Clips",
    "TrainedModel",
    "load_model",
    "most_clips_at_once",
    "noise",
    "probabilities",
    "rebuild",
    "recognise",
]

# What a model takes of clips: one array, or frames and landmarks by name.
Clips = NDArray[Any] | Mapping[str, NDArray[Any]]

# Clips that a CPU computes at once. More gain nothing, and wait for more videos to be
# decoded: what matters is how many frames are computed at once (benchmarks/predict.py).
_CPU_CLIPS = 1


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A network and the meaning of its inputs and outputs.

    Attributes:
        network: Clips -> float32 [B, num_classes]; `info.inputs` says what it takes of
            a clip.
        info: Glosses, clip and framing.
        path: The file that it was loaded from.
        recipe: Recipe that the user named; None for the copy beside the file.
        landmark_models: Folder with the networks that find landmarks; None for the
            user's cache.
    """

    network: keras.Model
    info: ModelInfo
    path: Path
    recipe: Path | None = None
    landmark_models: str | None = None

    @cached_property
    def landmark_networks(self) -> str | None:
        """Folder with the networks that find landmarks; None if it takes none.

        Raises:
            LandmarkError: If they are not there and cannot be fetched.
        """
        if not self.info.takes_landmarks:
            return None
        return find_networks(self.landmark_models, say=_print_to_stderr)

    @cached_property
    def split(self) -> SplitNetwork:
        """The same network in two parts, which is the fastest way to run it."""
        return split_network(self.network)

    def warm_up(self) -> None:
        """Runs the network once, so that no video waits until it is compiled.

        Raises:
            TrainingError: If it cannot be computed, or gives no numbers.
            OutOfMemoryError: If a clip does not fit in memory.
        """
        with saving.one_line_model_errors(self.path):
            found = probabilities(self, noise(self, 1))
        # JSON, for one, has nothing to say them by.
        if not np.isfinite(found).all():
            raise TrainingError(
                f"{self.path} gives probabilities that are no numbers; train again"
            )


def load_model(
    run: str | os.PathLike[str],
    recipe: str | os.PathLike[str] | None = None,
    *,
    landmark_models: str | os.PathLike[str] | None = None,
) -> TrainedModel:
    """Loads the model of a run, computing in float32 whatever it was trained in.

    Args:
        run: A run folder, or a `.keras` or `.h5` file with its `model.json` beside it.
        recipe: Recipe to execute for layers of its own; see `saving.load_network`.
        landmark_models: Folder with the networks that find landmarks, for a model that
            takes some; by default the user's cache.

    Raises:
        TrainingError: If there is no model, it cannot be loaded, or its `model.json`
            describes another.
    """
    info = model_info.read_model_info(run)
    path = model_info.model_path(run)
    network = saving.load_network(path, recipe=recipe)
    model_info.check_network(network, info, path)
    with saving.one_line_model_errors(path):
        network = rebuild(network)
    return TrainedModel(
        network=network,
        info=info,
        path=path,
        recipe=None if recipe is None else Path(recipe),
        landmark_models=None if landmark_models is None else os.fspath(landmark_models),
    )


def noise(model: TrainedModel, num_clips: int) -> Clips:
    """Draws clips of noise as the model takes them, always the same ones."""
    return pick_inputs(model.info.inputs, noise_inputs(model.network, num_clips))


def rebuild(network: keras.Model) -> keras.Model:
    """Builds the same network with the same weights, computing in float32.

    Its LSTMs do not use cuDNN, so that an export runs on a CPU.

    Args:
        network: A network of any dtype policy, which is not changed.
    """
    config = _portable(keras.saving.serialize_keras_object(network))
    policy = keras.config.dtype_policy()
    # The model itself takes the policy of the process, not that of its config.
    keras.config.set_dtype_policy("float32")
    try:
        copy: Any = keras.saving.deserialize_keras_object(config)
    finally:
        keras.config.set_dtype_policy(policy)
    copy.set_weights(network.get_weights())
    _without_cudnn(copy)
    return copy


def probabilities(model: TrainedModel, clips: Clips) -> NDArray[np.float32]:
    """Runs a model on clips.

    Args:
        model: A trained model.
        clips: What it takes of them: frames, uint8 [B, T, H, W, 3], RGB; landmarks,
            float32 [B, T, K, 3]; or both by name.

    Returns:
        float32 [B, num_classes]; each row sums to 1.

    Raises:
        OutOfMemoryError: If they do not fit in memory.
    """
    num_clips = len(tf.nest.flatten(clips)[0])
    size = min(most_clips_at_once(), num_clips)

    def advice() -> str:
        options = [f"--batch-size {max(1, size // 4)}"] if size > 1 else []
        return out_of_memory_line("prediction", model.info.clip, size, options)

    with one_line_out_of_memory(advice):
        rows = []
        for start in range(0, num_clips, size):
            place = slice(start, start + size)
            rows.append(
                _rows(model.split, tf.nest.map_structure(itemgetter(place), clips))
            )
        return np.concatenate(rows)


def recognise(
    model: TrainedModel, clips: Sequence[DecodedFrames]
) -> NDArray[np.float32]:
    """Runs a model on clips that were just decoded, with what it takes of them.

    Returns:
        float32 [B, num_classes]; each row sums to 1.
    """
    values = {
        name: np.stack([getattr(clip, name) for clip in clips])
        for name in model.info.inputs
    }
    return probabilities(model, pick_inputs(model.info.inputs, values))


def _rows(network: SplitNetwork, clips: Clips) -> NDArray[np.float32]:
    if not network.is_split or not isinstance(clips, np.ndarray):
        return network.head(clips)
    num_clips, num_frames, *frame_shape = clips.shape
    features = network.features(clips.reshape(-1, *frame_shape))
    return network.head(features.reshape(num_clips, num_frames, *features.shape[1:]))


def _print_to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def most_clips_at_once() -> int:
    """Returns how many clips to compute at once, at most, for the least time a clip."""
    return sys.maxsize if tf.config.list_physical_devices("GPU") else _CPU_CLIPS


def _portable(config: Any) -> Any:
    """Replaces 16-bit dtypes in a serialised network, at any depth."""
    if isinstance(config, Mapping):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {"name": "float32"}}
        changed = {key: _portable(value) for key, value in config.items()}
        if changed.get("dtype") in ("float16", "bfloat16"):
            changed["dtype"] = "float32"
        return changed
    if isinstance(config, list | tuple):
        return type(config)(_portable(value) for value in config)
    return config


def _without_cudnn(network: keras.Model) -> None:
    """Switches cuDNN off in every LSTM, at any depth; the config does not store it."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            _without_cudnn(layer)
        elif hasattr(layer, "use_cudnn"):
            layer.use_cudnn = False

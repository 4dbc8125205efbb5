"""A run: what stays the same while a network is trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from wlasl_tfrecord.network.recipes import Recipe
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.training import strategies, tensorboard
from wlasl_tfrecord.training.config import TrainConfig

__all__ = ["Run"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What stays the same through all phases.

    Attributes:
        directory: The run folder.
        folder: The shards.
        config: Choices that decide the weights.
        recipe: The file that built the network.
        strategy: Devices that share a batch.
        model: The whole network, in the precision it is trained in.
        scored_model: The network for whole clips, where it is trained on fewer frames:
            it gets the weights of `model` before it is scored. Else `model` itself.
        checkpoint_seconds: Time between two checkpoints.
        save_best: Writes the model as it is now.
        events: Writes TensorBoard's files; None in workers that write nothing.
        callbacks: Keras callbacks of the caller.
        callback_model: The network as callbacks have it, with the optimizer of the
            phase; a model of its own, so that no optimizer is saved with the network.
        say: Prints a line.
        stopped: Signals received so far; with one in it, the run stops where it can.
        data_service: grpc://host:port of the tf.data service that makes the batches of
            frames; None for this process.
    """

    directory: Path
    folder: ShardFolder
    config: TrainConfig
    recipe: Recipe
    strategy: tf.distribute.Strategy
    model: keras.Model
    scored_model: keras.Model
    checkpoint_seconds: float
    save_best: Callable[[], None]
    events: tensorboard.EventLog | None
    callbacks: keras.callbacks.CallbackList
    callback_model: keras.Model
    say: Callable[[str], None]
    stopped: Sequence[int] = ()
    data_service: str | None = None

    @property
    def chief(self) -> bool:
        """Whether this process writes the run folder."""
        return strategies.is_chief(self.strategy)

    @property
    def stop_training(self) -> bool:
        """Whether a callback has asked to end the run."""
        return getattr(self.callback_model, "stop_training", False)

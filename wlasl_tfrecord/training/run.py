"""A run and its phases: what stays the same while a network is trained."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import tensorflow as tf

from wlasl_tfrecord.input_pipeline.distribution import MakeBatches
from wlasl_tfrecord.training import strategies, tensorboard
from wlasl_tfrecord.training.config import TrainConfig

__all__ = [
    "Phase",
    "Run",
]


class Phase(NamedTuple):
    """A stretch of training with its own trainable part, input and learning rate.

    Attributes:
        name: "head", "fine-tune" or "all".
        model: What is trained: inputs -> logits.
        scored_model: What is validated: inputs of the validation -> logits.
        num_epochs: At most so many.
        steps_per_epoch: Global batches.
        learning_rate: The peak.
        training_batches: Makes the input from a given step of the phase on.
        validation_batches: Makes the input of the validation; None without one.
        prepare: What to do to inputs on the device.
        class_weights: What a clip of each class counts; None for 1.
        describe_step: Names the clips of a step of the phase, for messages.
    """

    name: str
    model: keras.Model
    scored_model: keras.Model
    num_epochs: int
    steps_per_epoch: int
    learning_rate: float
    training_batches: Callable[[int], MakeBatches]
    validation_batches: MakeBatches | None
    prepare: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None
    class_weights: Sequence[float] | None
    describe_step: Callable[[int], str]


class Run(NamedTuple):
    """What stays the same through all phases.

    Attributes:
        directory: The run folder.
        config: The choices.
        strategy: Where it runs.
        model: The whole network.
        glosses: The words.
        checkpoint_seconds: How often to write a checkpoint.
        save_best: Writes the model as it is now.
        events: Where TensorBoard's curves go; None off the chief.
        callbacks: The caller's own.
        say: Prints a line.
        stopped: The signals received; with one in it, the run stops where it can.
    """

    directory: Path
    config: TrainConfig
    strategy: tf.distribute.Strategy
    model: keras.Model
    glosses: tuple[str, ...]
    checkpoint_seconds: float
    save_best: Callable[[], None]
    events: tensorboard.EventLog | None
    callbacks: keras.callbacks.CallbackList
    say: Callable[[str], None]
    stopped: Sequence[int] = ()

    @property
    def chief(self) -> bool:
        """Whether this process writes files."""
        return strategies.is_chief(self.strategy)

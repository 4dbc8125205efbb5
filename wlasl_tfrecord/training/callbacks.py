"""Keras callbacks in a loop that is not Keras's: which work, and which are refused."""

from collections.abc import Sequence

import keras

from wlasl_tfrecord.training.config import TrainConfig

__all__ = ["check_callbacks"]

_SET_THE_RATE = (
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ReduceLROnPlateau,
)
# Callback -> why it is not taken, and what replaces it.
_REPLACED = {
    keras.callbacks.BackupAndRestore: (
        "checkpoints are written anyway, and hold more; use checkpoint_minutes"
    ),
    keras.callbacks.SwapEMAWeights: (
        "the optimizer keeps no moving average of the weights"
    ),
    keras.callbacks.TensorBoard: (
        "TensorBoard's files are written anyway, into the folder tensorboard of the run"
    ),
}


def check_callbacks(
    callbacks: Sequence[keras.callbacks.Callback], config: TrainConfig
) -> None:
    """Refuses callbacks that could not do their work, before anything is trained.

    Raises:
        ValueError: If there is one; it names what replaces it.
    """
    for callback in callbacks:
        name = type(callback).__name__
        for kind, reason in _REPLACED.items():
            if isinstance(callback, kind):
                raise ValueError(f"leave the callback {name} out: {reason}")
        if isinstance(callback, _SET_THE_RATE) and config.schedule != "constant":
            raise ValueError(
                f"the callback {name} sets the learning rate, and so does "
                f"schedule={config.schedule!r}; use schedule='plateau' in its place, "
                "or schedule='constant' with it"
            )

"""How a training changes clips at random: in its input, and on the device."""

import dataclasses
from typing import Any

import tensorflow as tf

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.input_pipeline import augment
from wlasl_tfrecord.input_pipeline.augment import AugmentConfig
from wlasl_tfrecord.input_pipeline.augment_landmarks import (
    LandmarkAugmentConfig,
    augment_landmarks,
)
from wlasl_tfrecord.network.inputs import FRAMES, LANDMARKS
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.training.config import TrainConfig
from wlasl_tfrecord.training.step import Prepare

__all__ = ["make_augmentation"]

# Of landmarks beside frames, which do not take part: nothing that moves a whole body in
# space or in time. A hand may be found a little beside its pixels, or not at all.
_BESIDE_FRAMES = LandmarkAugmentConfig(
    flip_probability=0.0,
    rotation_degrees=0.0,
    stretch=0.0,
    shear=0.0,
    min_duration=1.0,
    overhang=0.0,
    time_warp=0.0,
)


def make_augmentation(
    config: TrainConfig, clip: ClipSpec, inputs: tuple[str, ...]
) -> tuple[AugmentConfig | None, Prepare | None]:
    """Returns what the input changes, and a function for what the device changes.

    Args:
        config: Choices of the run.
        clip: The shape of the stored clips.
        inputs: What the network takes; see `network.inputs`.

    Raises:
        TrainingError: If landmarks were to be mixed.
    """
    if config.mixup and LANDMARKS in inputs:
        raise TrainingError(
            "--mixup mixes the frames of two clips, and this network takes landmarks; "
            "leave it out"
        )
    if inputs == (LANDMARKS,):
        return None, _changed_landmarks(config)
    if not config.augment:
        return None, _frame_picker(config)
    whole = AugmentConfig(
        min_scale=config.min_scale, flip_probability=config.flip_probability
    )
    # A CPU crops in half the time where the input does it, clip by clip in uint8; a
    # GPU is faster than all the cores beside it.
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    in_input = config.crop == "input" or (config.crop == "auto" and not on_gpu)

    def change(clips: Any, seeds: tf.Tensor) -> Any:
        if not isinstance(clips, dict):
            frames = clips
            if not in_input:
                frames = augment.crop_clips(frames, seeds, whole)
            return augment.jitter_colours(_picked(frames, seeds, config), seeds, whole)
        frames, landmarks = clips[FRAMES], clips[LANDMARKS]
        if not in_input:
            landmarks = augment.crop_landmarks(landmarks, seeds, clip.shape[:3], whole)
        return {
            FRAMES: change(frames, seeds),
            LANDMARKS: augment_landmarks(
                _picked(landmarks, seeds, config), seeds, _BESIDE_FRAMES
            ),
        }

    if in_input:
        return whole, change
    return dataclasses.replace(whole, min_scale=1.0, max_stretch=1.0), change


def _changed_landmarks(config: TrainConfig) -> Prepare | None:
    """Returns a function that changes landmarks alone."""
    if not config.augment:
        return _frame_picker(config)
    limits = LandmarkAugmentConfig(flip_probability=config.flip_probability)

    def change(landmarks: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        changed = augment_landmarks(landmarks, seeds, limits)
        return _picked(changed, seeds, config)

    return change


def _frame_picker(config: TrainConfig) -> Prepare | None:
    """Returns a function that picks the frames of a step that changes nothing else."""
    if not config.train_frames:
        return None
    return lambda clips, _: tf.nest.map_structure(
        lambda one: augment.pick_frames(one, None, config.train_frames), clips
    )


def _picked(values: tf.Tensor, seeds: tf.Tensor, config: TrainConfig) -> tf.Tensor:
    """Picks the frames that a step sees, [B, T, ...] -> [B, S, ...]."""
    if not config.train_frames:
        return values
    return augment.pick_frames(values, seeds, config.train_frames)

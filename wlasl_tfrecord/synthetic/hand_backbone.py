"""A backbone that has learnt to see hands, for machines without ImageNet's weights.

`bin/train` wants a backbone that can see already, as everyone does who has a few
videos a sign. ImageNet's weights must be downloaded; the demo must run without a
network. So it lets a backbone guess where the hands of the drawn signers are, frame by
frame: what a drawing knows of itself. It sees the signers of the train split alone, and
no gloss.

The weights file is one for `bin/train --weights`.
"""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.files import output_errors, written_whole
from wlasl_tfrecord.input_pipeline import dataset
from wlasl_tfrecord.network import recipes
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_folder
from wlasl_tfrecord.synthetic import poses
from wlasl_tfrecord.synthetic.poses import Hand, Pose
from wlasl_tfrecord.synthetic.video import SyntheticVideo
from wlasl_tfrecord.video.sampling import evenly_spaced

__all__ = ["hand_targets", "train_backbone"]

# What is guessed of each hand, and its range: heads from the neck outwards, heads down,
# degrees (the left hand's as in a mirror), and how far the forefinger and the ring
# finger are stretched (which tell palm, fist and pointing).
_RANGES = np.array([(-0.4, 2.0), (-1.1, 2.6), (-70.0, 150.0), (0.0, 1.0), (0.0, 1.0)])

# Each is guessed as one of these many steps of its range, not as a number: so a step
# of training says more.
_NUM_BINS = 16
_BIN_WIDTH = 0.06


def train_backbone(
    data: str | os.PathLike[str],
    videos: Sequence[SyntheticVideo],
    out_path: str | os.PathLike[str],
    *,
    alpha: float = 0.35,
    num_steps: int = 300,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    seed: int = 0,
    on_step: Callable[[int, float], object] | None = None,
) -> None:
    """Trains the backbone of the default recipe on the frames of a train split.

    Args:
        data: Shards of drawn videos.
        videos: The plan they were drawn from; it knows the poses.
        out_path: The weights file to write, `….weights.h5`.
        alpha: Width of the backbone; `bin/train` wants the same.
        num_steps: Batches to train on.
        batch_size: Frames in each.
        learning_rate: The peak; it warms up and falls as a cosine.
        seed: Of the first weights and the order of frames.
        on_step: Called after each step with its number and its loss.

    Raises:
        OutputError: If the file cannot be written.
        ShardFolderError: If the shards cannot be read.
    """
    path = Path(out_path)
    way_out = "free some space, or choose another folder with --out"
    with output_errors(path, way_out), written_whole(path) as aside:
        # Now, not after minutes of training, it shows that nothing can be written.
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.touch()
        keras.utils.set_random_seed(seed)
        folder = load_folder(data)
        frames, targets = _frames_and_targets(folder, videos)
        options = {"weights": "none", "alpha": alpha}
        network = recipes.load_recipe().build(folder.clip, folder.num_classes, options)
        backbone: Any = network.get_layer("backbone")
        trainee = _trainee(backbone, targets.shape[1:], num_steps, learning_rate)
        rng = np.random.default_rng(seed)
        for step in range(num_steps):
            chosen = rng.integers(0, len(frames), batch_size)
            inputs = _recoloured(frames[chosen], rng)
            loss = float(trainee.train_on_batch(inputs, targets[chosen]))
            if on_step is not None:
                on_step(step, loss)
        backbone.save_weights(aside)


def hand_targets(pose: Pose) -> NDArray[np.float32]:
    """Says where the hands of a pose are, as shares of steps.

    Args:
        pose: Both hands.

    Returns:
        float32 [10, 16]: five facts of the right hand and five of the left; each row
        sums to 1 and peaks where the fact is in its range.
    """
    facts = np.array([*_facts(pose.right, -1), *_facts(pose.left, 1)])
    low, high = np.tile(_RANGES, (2, 1)).T
    shares = (facts - low) / (high - low)
    centres = np.linspace(0, 1, _NUM_BINS)
    peaks = np.exp(-((shares[:, None] - centres) ** 2) / (2 * _BIN_WIDTH**2))
    return (peaks / peaks.sum(-1, keepdims=True)).astype(np.float32)


def _facts(hand: Hand, side: int) -> tuple[float, ...]:
    """Gives what is to be guessed, alike for both sides of the body."""
    inwards = hand.angle if side < 0 else 180 - hand.angle
    return side * hand.x, hand.y, inwards, hand.fingers[0], hand.fingers[2]


def _trainee(
    backbone: Any, shape: tuple[int, ...], num_steps: int, learning_rate: float
) -> Any:
    """Adds guesses of a shape to a backbone, and says how they are learnt."""
    guesses = keras.layers.Dense(math.prod(shape))(backbone.output)
    guesses = keras.layers.Reshape(shape)(guesses)
    trainee = keras.Model(backbone.input, guesses)
    warm_up = max(1, num_steps // 12)
    schedule: Any = keras.optimizers.schedules.CosineDecay(
        learning_rate / 10,
        max(1, num_steps - warm_up),
        warmup_target=learning_rate,
        warmup_steps=warm_up,
    )
    trainee.compile(
        keras.optimizers.Adam(schedule),
        keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    return trainee


def _frames_and_targets(
    folder: ShardFolder, videos: Sequence[SyntheticVideo]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Reads all frames of the train split: uint8 [N, H, W, 3], float32 [N, 10, 12]."""
    plan = {video.video_id: video for video in videos}
    frames: list[NDArray[np.uint8]] = []
    targets: list[NDArray[np.float32]] = []
    batches = dataset.input_fn(
        folder, "train", batch_size=16, training=False, element="dict"
    )
    for batch in batches.as_numpy_iterator():
        for clip, video_id, weight in zip(
            batch["frames"], batch["video_id"], batch["weight"]
        ):
            if not weight:  # only fills the batch
                continue
            video = plan[video_id.decode()]
            frames.append(clip)
            for index in evenly_spaced(video.num_frames, len(clip)):
                time = index / (video.num_frames - 1)
                pose = poses.pose_at(video.gloss, time, video.motion)
                targets.append(hand_targets(pose))
    return np.concatenate(frames), np.stack(targets)


def _recoloured(
    frames: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Changes light and colours of each frame: few signers must stand for many.

    Args:
        frames: uint8 [N, H, W, 3].
        rng: Where the changes come from.

    Returns:
        float32 [N, H, W, 3] in [-1, 1], as the recipe feeds its backbone.
    """
    gain = rng.uniform(0.8, 1.2, (len(frames), 1, 1, 3))
    offset = rng.uniform(-20, 20, (len(frames), 1, 1, 1))
    changed = np.clip(frames * gain + offset, 0, 255)
    return (changed / 127.5 - 1).astype(np.float32)

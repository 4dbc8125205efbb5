"""A backbone pretrained on drawn hands, in place of ImageNet's weights.

With a few videos per sign `bin/train` needs a pretrained backbone. ImageNet's weights
must be downloaded, but the demo must run without a network. So the demo trains a
backbone to predict where the hands are in single frames, which is known for a drawing.
It uses the signers of the train split only, and no gloss.

The weights file is for `bin/train --weights`.
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

# The facts that are predicted for each hand, with their ranges: heads from the neck
# outwards, heads down, degrees (mirrored for the left hand), and how far the forefinger
# and the ring finger are stretched (they distinguish palm, fist and pointing).
_RANGES = np.array([(-0.4, 2.0), (-1.1, 2.6), (-70.0, 150.0), (0.0, 1.0), (0.0, 1.0)])

# Each is predicted as one of this many bins of its range, not as a number: a training
# step then learns more.
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
        videos: The plan that they were drawn from, which has the poses.
        out_path: The weights file to write, `….weights.h5`.
        alpha: Width of the backbone; `bin/train` needs the same.
        num_steps: Batches to train on.
        batch_size: Frames in a batch.
        learning_rate: The peak of the rate, which warms up and then falls as a cosine.
        seed: The seed of the initial weights and of the choice of frames.
        on_step: Called after each step with its number and its loss.

    Raises:
        OutputError: If the file cannot be written.
        ShardFolderError: If the shards cannot be read.
    """
    path = Path(out_path)
    way_out = "free some space, or choose another folder with --out"
    with output_errors(path, way_out):
        path.parent.mkdir(parents=True, exist_ok=True)
    # Made before the training: a folder that cannot be written to is an error at once.
    with written_whole(path, way_out=way_out) as aside:
        keras.utils.set_random_seed(seed)
        folder = load_folder(data)
        frames, targets = _frames_and_targets(folder, videos)
        options = {"weights": "none", "alpha": alpha}
        network = recipes.load_recipe().build(folder.clip, folder.num_classes, options)
        backbone: Any = network.get_layer("backbone")
        predictor = _predictor(backbone, targets.shape[1:], num_steps, learning_rate)
        rng = np.random.default_rng(seed)
        for step in range(num_steps):
            chosen = rng.integers(0, len(frames), batch_size)
            inputs = _recoloured(frames[chosen], rng)
            loss = float(predictor.train_on_batch(inputs, targets[chosen]))
            if on_step is not None:
                on_step(step, loss)
        backbone.save_weights(aside)


def hand_targets(pose: Pose) -> NDArray[np.float32]:
    """Returns what the backbone has to predict for a pose.

    Args:
        pose: Both hands.

    Returns:
        float32 [10, 16]: a row for each of five facts of the right hand and five of the
        left. A row is a distribution over bins, with its peak at the fact's value.
    """
    facts = np.array([*_facts(pose.right, -1), *_facts(pose.left, 1)])
    low, high = np.tile(_RANGES, (2, 1)).T
    shares = (facts - low) / (high - low)
    centres = np.linspace(0, 1, _NUM_BINS)
    peaks = np.exp(-((shares[:, None] - centres) ** 2) / (2 * _BIN_WIDTH**2))
    return (peaks / peaks.sum(-1, keepdims=True)).astype(np.float32)


def _facts(hand: Hand, side: int) -> tuple[float, ...]:
    """Returns the facts of a hand; mirrored hands have equal ones."""
    mirrored_angle = hand.angle if side < 0 else 180 - hand.angle
    return side * hand.x, hand.y, mirrored_angle, hand.fingers[0], hand.fingers[2]


def _predictor(
    backbone: Any, shape: tuple[int, ...], num_steps: int, learning_rate: float
) -> Any:
    """Adds a head that predicts targets of a shape, and compiles it for training."""
    predicted = keras.layers.Dense(math.prod(shape))(backbone.output)
    predicted = keras.layers.Reshape(shape)(predicted)
    predictor = keras.Model(backbone.input, predicted)
    warm_up = max(1, num_steps // 12)
    schedule: Any = keras.optimizers.schedules.CosineDecay(
        learning_rate / 10,
        max(1, num_steps - warm_up),
        warmup_target=learning_rate,
        warmup_steps=warm_up,
    )
    predictor.compile(
        keras.optimizers.Adam(schedule),
        keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    return predictor


def _frames_and_targets(
    folder: ShardFolder, videos: Sequence[SyntheticVideo]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Reads all frames of the train split: uint8 [N, H, W, 3], float32 [N, 10, 16]."""
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
            if not weight:  # padding of the last batch
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
    """Changes light and colours of each frame, as there are only a few signers.

    Args:
        frames: uint8 [N, H, W, 3].
        rng: The source of the changes.

    Returns:
        float32 [N, H, W, 3] in [-1, 1], the range that the recipe's backbone takes.
    """
    gain = rng.uniform(0.8, 1.2, (len(frames), 1, 1, 3))
    offset = rng.uniform(-20, 20, (len(frames), 1, 1, 1))
    changed = np.clip(frames * gain + offset, 0, 255)
    return (changed / 127.5 - 1).astype(np.float32)

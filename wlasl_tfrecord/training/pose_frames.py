"""The frames that teach a finder of hands: drawn from clips, and changed at random."""

from typing import Any

import tensorflow as tf

from wlasl_tfrecord.input_pipeline import dataset
from wlasl_tfrecord.shard_format.landmarks import (
    LANDMARK_GROUPS,
    MIRROR_ORDER,
    group_slice,
)
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder

__all__ = ["change_frames", "targets", "training_batches"]

# Of a clip in a batch: neighbours are alike, and reading a clip reads them all.
_FRAMES_A_CLIP = 4


def training_batches(
    folder: ShardFolder,
    batch_size: int,
    frame_size: int,
    *,
    seed: int,
    start_step: int,
    max_bad_records: int,
) -> tf.data.Dataset:
    """Makes frames and what is to be found in them, without end.

    Args:
        folder: Shards with landmarks.
        batch_size: Clips in a batch; four frames of each are used.
        frame_size: Side in pixels that frames are scaled to.
        seed: The seed of the order of clips, of frames and of their changes.
        start_step: Batches to leave out at the start.
        max_bad_records: Damaged records to skip.

    Returns:
        Batches of what `targets` returns.
    """
    batch_size = min(batch_size, folder.num_clips("train"))
    clips = dataset.input_fn(
        folder,
        "train",
        batch_size,
        training=True,
        augment=False,
        seed=seed,
        num_epochs=None,
        start_step=start_step,
        max_bad_records=max_bad_records,
        element="dict",
    )

    def prepare(clip: Any) -> Any:
        frames, landmarks = clip["frames"], clip["landmarks"]
        batch_seed = clip["seed"][0]
        num_clips, num_frames = frames.shape[:2]
        count = min(_FRAMES_A_CLIP, num_frames)
        draws = tf.random.stateless_uniform([num_clips, num_frames], batch_seed)
        chosen = tf.math.top_k(draws, count).indices  # different ones
        frames, landmarks = (
            tf.reshape(tf.gather(one, chosen, batch_dims=1), [-1, *one.shape[2:]])
            for one in (frames, landmarks)
        )
        frames = tf.image.resize(frames, [frame_size, frame_size])
        return targets(*change_frames(frames, landmarks, batch_seed + 1))

    return clips.map(prepare, num_parallel_calls=2).prefetch(2)


def targets(frames: Any, landmarks: Any) -> Any:
    """Returns frames as the finder takes them, and what it is compared with.

    Args:
        frames: float32 [N, S, S, 3], 0 to 255.
        landmarks: float32 [N, K, 3]; see `shard_format.landmarks`.

    Returns:
        float32 [N, S, S, 3], -1 to 1; and the landmarks, and whether each of their
        groups is seen, float32 [N, 3].
    """
    is_there = landmarks[..., 2] > 0
    seen = tf.stack(
        [
            tf.reduce_any(is_there[:, group_slice(group)], axis=1)
            for group in LANDMARK_GROUPS
        ],
        axis=1,
    )
    return frames / 127.5 - 1, (landmarks, tf.cast(seen, tf.float32))


def change_frames(
    frames: Any, landmarks: Any, seed: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    """Moves, scales, rotates, mirrors and recolours frames, and their points as much.

    Args:
        frames: float32 [N, S, S, 3], 0 to 255.
        landmarks: float32 [N, K, 3]; see `shard_format.landmarks`.
        seed: int64 [2].

    Returns:
        Both, changed. What comes into the frame from outside repeats its edge.
    """
    num_frames: Any = tf.shape(frames)[0]
    side = frames.shape[1]
    draws = tf.random.stateless_uniform([7, num_frames], seed, -1.0, 1.0)
    scale = tf.exp(draws[0] * 0.2 - 0.05)
    stretch, angle = tf.exp(draws[1] * 0.1), draws[2] * 0.2
    # From a place in the new frame to that in the old one, both from the middle.
    cosine, sine = scale * tf.cos(angle), scale * tf.sin(angle)
    matrix = tf.stack(
        [
            tf.stack([cosine * stretch, -sine], axis=-1),
            tf.stack([sine, cosine / stretch], axis=-1),
        ],
        axis=1,
    )  # [N, 2, 2]
    shift = tf.transpose(draws[3:5]) * 0.1  # [N, 2]
    middle = tf.constant([0.5, 0.5])
    offset = middle + shift - tf.linalg.matvec(matrix, tf.ones_like(shift) * middle)
    # In pixels, whose middles are at halves.
    pixel_offset = offset * side + (tf.reduce_sum(matrix, axis=2) - 1) * 0.5
    zeros = tf.zeros([num_frames])
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=frames,
        transforms=tf.stack(
            [
                *(matrix[:, 0, 0], matrix[:, 0, 1], pixel_offset[:, 0]),
                *(matrix[:, 1, 0], matrix[:, 1, 1], pixel_offset[:, 1]),
                *(zeros, zeros),
            ],
            axis=1,
        ),
        output_shape=[side, side],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    frames = tf.ensure_shape(moved, frames.shape)
    inverse = tf.linalg.inv(matrix)
    places = tf.einsum("nij,nkj->nki", inverse, landmarks[..., :2] - offset[:, None])

    mirrored = draws[5] < 0
    frames = tf.where(mirrored[:, None, None, None], frames[:, :, ::-1], frames)
    other_way = tf.concat([1 - places[..., :1], places[..., 1:]], axis=-1)
    places = tf.where(mirrored[:, None, None], other_way, places)
    landmarks = tf.concat([places, landmarks[..., 2:]], axis=-1)
    swapped = tf.gather(landmarks, tf.constant(MIRROR_ORDER), axis=1)
    landmarks = tf.where(mirrored[:, None, None], swapped, landmarks)

    gain = tf.exp(draws[6] * 0.3)[:, None, None, None]
    colours = tf.random.stateless_uniform([num_frames, 1, 1, 3], seed + 1, -25.0, 25.0)
    return tf.clip_by_value(frames * gain + colours, 0, 255), landmarks

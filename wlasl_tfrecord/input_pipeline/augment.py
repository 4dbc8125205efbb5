"""Random changes to a clip: the same for all its frames, and the same every time.

Nothing here has a state. A clip's changes depend on its seed alone (see
`order.clip_seed`), so that a resumed run, another number of workers or a second read of
the same clip gets the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import tensorflow as tf

from wlasl_tfrecord.input_pipeline.augment_landmarks import mirrored

__all__ = [
    "AugmentConfig",
    "augment_clip",
    "change_landmarks",
    "crop_clips",
    "crop_landmarks",
    "draw_changes",
    "jitter_colours",
    "pick_frames",
]


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """The limits of the random changes to a clip.

    Attributes:
        min_scale: The smallest crop, as a share of the frame's sides; the crop is
            resized to the whole frame. 1 for no crop.
        max_stretch: How much more than its height the width of a crop may be scaled, as
            a factor; 1 for none.
        time_jitter: How far a stored frame may stand in for another, in frame steps;
            0 for none. The order of frames stays.
        min_duration: The shortest part of the clip that is played, as a share of its
            frames; 1 for all of it.
        flip_probability: How often to mirror a clip left to right. 0 unless asked for:
            a mirrored right-handed signer is a left-handed one, and a sign that points
            or moves sideways becomes another sign.
        brightness: The largest offset, as a share of the full range (on the device).
        contrast: The largest relative change of contrast (on the device).
        saturation: The largest relative change of saturation (on the device).

    Raises:
        ValueError: If a value is out of its range.
    """

    min_scale: float = 0.8
    max_stretch: float = 1.1
    time_jitter: float = 0.5
    min_duration: float = 0.9
    flip_probability: float = 0.0
    brightness: float = 0.1
    contrast: float = 0.2
    saturation: float = 0.2

    def __post_init__(self) -> None:
        """Reject limits that no change can have."""
        for name in ("min_scale", "min_duration"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, got {value}")
        if self.max_stretch < 1:
            raise ValueError(f"max_stretch must be at least 1, got {self.max_stretch}")
        if self.time_jitter < 0:
            raise ValueError(f"time_jitter must be at least 0, got {self.time_jitter}")
        for name in ("flip_probability", "brightness", "contrast", "saturation"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {value}")


def augment_clip(
    frames: tf.Tensor, seed: tf.Tensor, config: AugmentConfig
) -> tf.Tensor:
    """Crops, stretches and re-times one clip; works eagerly and inside `Dataset.map`.

    Args:
        frames: uint8 [T, H, W, 3].
        seed: int64 [2], from `order.clip_seed`.
        config: The limits of the changes.

    Returns:
        uint8 [T, H, W, 3].
    """
    num_frames, height, width, _ = cast(tuple[int, ...], tuple(frames.shape))
    shape = (num_frames, height, width)
    picked, box, flip = draw_changes(seed, shape, config)
    if config.time_jitter or config.min_duration < 1:
        frames = tf.gather(frames, picked)
    if config.min_scale < 1 or config.max_stretch > 1:
        top, left, crop_height, crop_width = tf.unstack(box)
        crop = frames[:, top : top + crop_height, left : left + crop_width]
        resized = tf.image.resize(crop, (height, width), "bilinear")
        frames = tf.cast(resized + 0.5, tf.uint8)
    if config.flip_probability:
        frames = tf.cond(flip, lambda: tf.reverse(frames, [2]), lambda: frames)
    return tf.ensure_shape(frames, [num_frames, height, width, 3])


def draw_changes(
    seed: tf.Tensor, shape: Sequence[int], config: AugmentConfig
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Draws how to change one clip.

    Args:
        seed: int64 [2], from `order.clip_seed`.
        shape: T, H and W.
        config: The limits of the changes.

    Returns:
        int32 [T] stored frames to show, never decreasing; int32 [4] top, left, height
        and width of the part that is scaled to the whole frame; bool [] whether to
        mirror it.
    """
    num_frames, height, width = shape
    draws = tf.unstack(tf.random.stateless_uniform([7], _salted(seed, 0)))
    if config.time_jitter or config.min_duration < 1:
        picked = _frame_order(num_frames, draws[0], draws[1], seed, config)
    else:
        picked = tf.range(num_frames)
    if config.min_scale < 1 or config.max_stretch > 1:
        box = _crop_box(draws, height, width, config)
    else:
        box = tf.constant([0, 0, height, width])
    return picked, box, draws[6] < config.flip_probability


def change_landmarks(
    landmarks: tf.Tensor, changes: Sequence[tf.Tensor], shape: Sequence[int]
) -> tf.Tensor:
    """Changes landmarks as the frames that they were found in were changed.

    Args:
        landmarks: float32 [B, T, K, 3]; see `shard_format.landmarks`.
        changes: What `draw_changes` returned for each clip, [B, ...] each.
        shape: T, H and W.

    Returns:
        float32 [B, T, K, 3]. A point that a crop leaves out lies outside of [0, 1].
    """
    picked, boxes, flips = changes
    landmarks = tf.gather(landmarks, picked, batch_dims=1)
    landmarks = _cropped_landmarks(landmarks, boxes, shape)
    return tf.where(flips[:, None, None, None], mirrored(landmarks), landmarks)


def crop_landmarks(
    landmarks: tf.Tensor, seeds: tf.Tensor, shape: Sequence[int], config: AugmentConfig
) -> tf.Tensor:
    """Crops and stretches landmarks as `crop_clips` does frames.

    Args:
        landmarks: float32 [B, T, K, 3].
        seeds: int64 [B, 2].
        shape: T, H and W of the frames.
        config: The limits of the changes.

    Returns:
        float32 [B, T, K, 3].
    """
    boxes = _crop_boxes(seeds, shape[1], shape[2], config)
    return _cropped_landmarks(landmarks, boxes, shape)


def crop_clips(frames: tf.Tensor, seeds: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Crops and stretches a batch as `augment_clip` does, on the device.

    For GPUs that train faster than the CPU can crop: resizing is the most expensive
    stage of the input. Leave it out there with `AugmentConfig(min_scale=1.0,
    max_stretch=1.0)` and `element="dict"`, and call this in the training step. The
    crops are the same; pixels differ by rounding, and at the frame's edge by up to a
    quarter of a pixel.

    Args:
        frames: uint8 [B, T, H, W, 3].
        seeds: int64 [B, 2], from `input_fn(..., element="dict")`.
        config: The limits of the changes; only `min_scale` and `max_stretch` are used.

    Returns:
        uint8 [B, T, H, W, 3].
    """
    _, num_frames, height, width, _ = cast(tuple[int, ...], tuple(frames.shape))
    boxes = _crop_boxes(seeds, height, width, config)
    corner, side = tf.split(tf.cast(boxes, tf.float32), 2, axis=1)
    size = tf.constant([height, width], tf.float32)
    # From the centres of the outermost pixels, as a share of the way between those of
    # the whole frame: crop_and_resize counts so.
    first = corner + side / size / 2 - 0.5
    last = first + side * (size - 1) / size
    way = tf.maximum(size - 1, 1)
    shares = tf.clip_by_value(tf.concat([first / way, last / way], axis=1), 0, 1)
    cropped = tf.image.crop_and_resize(
        tf.reshape(frames, [-1, height, width, 3]),
        tf.repeat(shares, num_frames, axis=0),
        tf.range(tf.size(seeds) // 2 * num_frames),
        [height, width],
    )
    return tf.reshape(tf.cast(cropped + 0.5, tf.uint8), tf.shape(frames))


def jitter_colours(
    frames: tf.Tensor, seeds: tf.Tensor, config: AugmentConfig
) -> tf.Tensor:
    """Changes brightness, contrast and saturation of a batch, per clip.

    This belongs into the training step, on the device: it is arithmetic on every value
    of every frame, which a GPU does at the speed of its memory and a CPU does not. The
    seeds are in `input_fn(..., element="dict")` under "seed".

    Args:
        frames: uint8 [B, T, H, W, 3].
        seeds: int64 [B, 2].
        config: The limits of the changes.

    Returns:
        uint8 [B, T, H, W, 3].
    """
    draws = tf.map_fn(
        lambda seed: tf.random.stateless_uniform([3], _salted(seed, 1), -1.0, 1.0),
        seeds,
        fn_output_signature=tf.TensorSpec([3], tf.float32),
    )
    offset, contrast, saturation = tf.unstack(
        draws[:, tf.newaxis, tf.newaxis, tf.newaxis, :], axis=-1
    )
    offset = (offset * config.brightness * 255)[..., tf.newaxis]
    contrast = (1 + contrast * config.contrast)[..., tf.newaxis]
    saturation = (1 + saturation * config.saturation)[..., tf.newaxis]
    values = tf.cast(frames, tf.float32)
    # Rec. 601 luma, as in JPEG and in tf.image.rgb_to_grayscale.
    grey = tf.reduce_sum(values * [0.299, 0.587, 0.114], axis=-1, keepdims=True)
    values = grey + (values - grey) * saturation
    # Around mid-grey, not the clip's mean: no reduction over the whole clip.
    values = (values - 127.5) * contrast + 127.5 + offset
    return tf.cast(tf.clip_by_value(values, 0, 255) + 0.5, tf.uint8)


def pick_frames(
    frames: tf.Tensor, seeds: tf.Tensor | None, num_frames: int
) -> tf.Tensor:
    """Picks one frame of each of `num_frames` equal segments of every clip.

    A training step on 10 of 30 frames takes a third of the time, and each epoch sees
    other ones. This belongs into the training step, as `jitter_colours` does.

    Args:
        frames: uint8 [B, T, H, W, 3], or their landmarks, float32 [B, T, K, 3].
        seeds: int64 [B, 2], to draw the frames from their segments; None for those in
            the middle.
        num_frames: Number of frames to pick, S, at most T.

    Returns:
        [B, S, ...], of the same dtype.

    Raises:
        ValueError: If the clips have fewer frames.

    Reference:
        Wang et al., "Temporal Segment Networks", 2016, section 3.1.
    """
    num_stored = cast(tuple[int, ...], tuple(frames.shape))[1]
    if num_frames > num_stored:
        raise ValueError(f"cannot pick {num_frames} frames of a clip of {num_stored}")
    if seeds is None:
        shares = tf.fill([tf.shape(frames)[0], num_frames], 0.5)
    else:
        shares = tf.map_fn(
            lambda seed: tf.random.stateless_uniform([num_frames], _salted(seed, 3)),
            seeds,
            fn_output_signature=tf.TensorSpec([num_frames], tf.float32),
        )
    segments = tf.range(num_frames, dtype=tf.float32)
    times = (segments + shares) * (num_stored / num_frames)
    picked = tf.minimum(tf.cast(times, tf.int32), num_stored - 1)
    return tf.gather(frames, picked, batch_dims=1)


def _salted(seed: tf.Tensor, purpose: int) -> tf.Tensor:
    """Returns the seed of one purpose, so that no two share their random numbers."""
    return tf.bitwise.bitwise_xor(seed, tf.constant([0, purpose << 24], tf.int64))


def _frame_order(
    num_frames: int,
    length: tf.Tensor,
    place: tf.Tensor,
    seed: tf.Tensor,
    config: AugmentConfig,
) -> tf.Tensor:
    """Draws which stored frames to play: int32 [T], never decreasing."""
    span = (num_frames - 1) * (config.min_duration + (1 - config.min_duration) * length)
    start = place * (num_frames - 1 - span)
    steps = tf.range(num_frames, dtype=tf.float32) / max(num_frames - 1, 1)
    jitter = tf.random.stateless_uniform(
        [num_frames], _salted(seed, 2), -config.time_jitter, config.time_jitter
    )
    # Sorted, because a large jitter must not play a sign backwards.
    times = tf.sort(tf.round(start + steps * span + jitter))
    return tf.cast(tf.clip_by_value(times, 0, num_frames - 1), tf.int32)


def _crop_boxes(
    seeds: tf.Tensor, height: int, width: int, config: AugmentConfig
) -> tf.Tensor:
    """Draws the crops of a batch: int32 [B, 4]."""

    def box(seed: tf.Tensor) -> tf.Tensor:
        draws = tf.unstack(tf.random.stateless_uniform([7], _salted(seed, 0)))
        return _crop_box(draws, height, width, config)

    return tf.map_fn(box, seeds, fn_output_signature=tf.TensorSpec([4], tf.int32))


def _cropped_landmarks(
    landmarks: tf.Tensor, boxes: tf.Tensor, shape: Sequence[int]
) -> tf.Tensor:
    """Moves points [B, T, K, 3] to where they lie in parts of the frame, [B, 4]."""
    size = tf.constant(shape[1:3], tf.float32)
    # From top, left to x, y.
    corner, side = (
        tf.reverse(one / size, [1])[:, None, None]
        for one in tf.split(tf.cast(boxes, tf.float32), 2, axis=1)
    )
    points, confidence = tf.split(landmarks, [2, 1], axis=-1)
    moved = tf.where(confidence > 0, (points - corner) / side, 0.0)
    return tf.concat([moved, confidence], axis=-1)


def _crop_box(
    draws: list[tf.Tensor], height: int, width: int, config: AugmentConfig
) -> tf.Tensor:
    """Draws a crop: int32 [4], its top, left, height and width in pixels."""
    scale = config.min_scale + (1 - config.min_scale) * draws[2]
    # Symmetric in the logarithm: as often wider as narrower by the same factor.
    stretch = tf.pow(config.max_stretch, draws[3] - 0.5)
    crop_height = _side(height, scale / stretch)
    crop_width = _side(width, scale * stretch)
    top = _below(draws[4], height - crop_height + 1)
    left = _below(draws[5], width - crop_width + 1)
    return tf.stack([top, left, crop_height, crop_width])


def _side(full: int, share: tf.Tensor) -> tf.Tensor:
    """Returns the side of a crop in pixels: int32 [], in [1, full]."""
    pixels = tf.cast(tf.round(full * share), tf.int32)
    return tf.clip_by_value(pixels, 1, full)


def _below(draw: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Turns a draw in [0, 1) into an int32 in [0, count)."""
    scaled = tf.cast(draw * tf.cast(count, tf.float32), tf.int32)
    return tf.minimum(scaled, count - 1)

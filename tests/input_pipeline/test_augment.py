import numpy as np
import pytest
import tensorflow as tf

from wlasl_tfrecord.input_pipeline.augment import (
    AugmentConfig,
    augment_clip,
    crop_clips,
    jitter_colours,
    pick_frames,
)

SHAPE = (6, 20, 24, 3)
SEED = tf.constant([3, 4], tf.int64)
STILL = AugmentConfig(min_scale=1.0, max_stretch=1.0, time_jitter=0.0, min_duration=1.0)


def clip():
    return tf.constant(np.random.default_rng(0).integers(0, 256, SHAPE), tf.uint8)


def numbered_clip(num_frames=30):
    """Gives frames whose every value is the frame's number."""
    frames = np.arange(num_frames, dtype=np.uint8)[:, None, None, None]
    return tf.constant(np.broadcast_to(frames, (num_frames, 8, 8, 3)))


def test_the_same_seed_gives_the_same_bytes_eagerly_and_in_a_map():
    config = AugmentConfig(flip_probability=0.5)
    mapped = tf.data.Dataset.from_tensors(clip()).map(
        lambda frames: augment_clip(frames, SEED, config)
    )
    eager = augment_clip(clip(), SEED, config)
    assert eager.dtype == tf.uint8
    assert eager.shape == SHAPE
    np.testing.assert_array_equal(eager, next(iter(mapped)))
    np.testing.assert_array_equal(eager, augment_clip(clip(), SEED, config))
    other = augment_clip(clip(), tf.constant([3, 5], tf.int64), config)
    assert (eager.numpy() != other.numpy()).any()


def test_no_augmentation_changes_nothing():
    np.testing.assert_array_equal(augment_clip(clip(), SEED, STILL), clip())


def test_all_frames_are_cropped_alike():
    still_video = tf.tile(clip()[:1], [6, 1, 1, 1])
    for seed in range(5):
        seeds = tf.constant([0, seed], tf.int64)
        frames = augment_clip(still_video, seeds, AugmentConfig()).numpy()
        assert (frames == frames[:1]).all()
        assert (frames[0] != still_video[0].numpy()).any()


def test_a_crop_keeps_the_range_of_values():
    white = tf.fill(SHAPE, tf.constant(255, tf.uint8))
    assert augment_clip(white, SEED, AugmentConfig()).numpy().min() == 255


def test_time_jitter_never_plays_backwards():
    config = AugmentConfig(
        min_scale=1.0, max_stretch=1.0, time_jitter=3.0, min_duration=0.5
    )
    seen = set()
    for seed in range(20):
        frames = augment_clip(numbered_clip(), tf.constant([0, seed], tf.int64), config)
        numbers = frames[:, 0, 0, 0].numpy().astype(int)
        assert (np.diff(numbers) >= 0).all()
        assert numbers[0] >= 0
        assert numbers[-1] <= 29
        seen.add(tuple(numbers))
    assert len(seen) == 20


def test_a_shorter_duration_plays_a_part_of_the_clip():
    config = AugmentConfig(
        min_scale=1.0, max_stretch=1.0, time_jitter=0.0, min_duration=0.5
    )
    spans = []
    for seed in range(30):
        frames = augment_clip(numbered_clip(), tf.constant([0, seed], tf.int64), config)
        spans.append(int(frames[-1, 0, 0, 0]) - int(frames[0, 0, 0, 0]))
    assert min(spans) < 20
    assert min(spans) >= 14
    assert max(spans) > 25


def test_clips_are_mirrored_only_when_asked_for():
    for seed in range(20):
        seeds = tf.constant([seed, 1], tf.int64)
        np.testing.assert_array_equal(augment_clip(clip(), seeds, STILL), clip())
    always = AugmentConfig(
        min_scale=1.0,
        max_stretch=1.0,
        time_jitter=0.0,
        min_duration=1.0,
        flip_probability=1.0,
    )
    mirrored = augment_clip(clip(), SEED, always)
    np.testing.assert_array_equal(mirrored, clip()[:, :, ::-1])


def test_a_frame_of_every_segment_is_picked_eagerly_and_in_a_compiled_step():
    clips = tf.stack([numbered_clip(12)] * 64)
    seeds = tf.constant([[5, n] for n in range(64)], tf.int64)
    picked = pick_frames(clips, seeds, 4)
    assert picked.shape == (64, 4, 8, 8, 3)
    numbers = picked.numpy()[:, :, 0, 0, 0]
    for segment in range(4):
        found = set(numbers[:, segment].tolist())
        assert found == set(range(3 * segment, 3 * segment + 3))
    compiled = tf.function(lambda x, s: pick_frames(x, s, 4))(clips, seeds)
    np.testing.assert_array_equal(compiled, picked)


def test_without_seeds_the_middle_of_every_segment_is_picked():
    middle = pick_frames(numbered_clip(12)[tf.newaxis], None, 4)
    assert middle.numpy()[0, :, 0, 0, 0].tolist() == [1, 4, 7, 10]


def test_more_frames_than_a_clip_has_are_refused():
    with pytest.raises(ValueError, match="cannot pick 13 frames of a clip of 12"):
        pick_frames(numbered_clip(12)[tf.newaxis], None, 13)


def test_a_crop_on_the_device_is_the_crop_of_the_input():
    config = AugmentConfig(
        min_scale=0.5, max_stretch=1.3, time_jitter=0.0, min_duration=1.0
    )
    # Smooth, so that a shift by a part of a pixel shows as little more than rounding.
    y, x = np.meshgrid(np.arange(40), np.arange(48), indexing="ij")
    frame = np.stack([5 * y, 5 * x, 2 * y + 2 * x], axis=-1)
    one = np.stack([frame, frame[::-1], frame[:, ::-1]]).astype(np.uint8)
    frames = tf.stack([one] * 8)
    seeds = tf.constant([[1, k] for k in range(8)], tf.int64)
    on_device = tf.function(crop_clips)(frames, seeds, config).numpy().astype(int)
    assert on_device.shape == frames.shape
    for clip_on_device, clip_frames, seed in zip(on_device, frames, seeds):
        in_input = augment_clip(clip_frames, seed, config).numpy().astype(int)
        difference = np.abs(clip_on_device - in_input)
        assert difference.max() <= 3
        assert (difference > 1).mean() < 0.05
        assert (np.abs(in_input - clip_frames.numpy().astype(int)) > 3).any()


def batch():
    return tf.stack([clip(), clip(), clip()])


def test_colours_change_per_clip_and_alike_in_all_frames():
    still = tf.tile(batch()[:, :1], [1, 6, 1, 1, 1])
    seeds = tf.constant([[0, 1], [0, 2], [0, 1]], tf.int64)
    changed = jitter_colours(still, seeds, AugmentConfig()).numpy()
    assert changed.dtype == np.uint8
    assert (changed == changed[:, :1]).all()
    assert (changed[0] == changed[2]).all()
    assert (changed[0] != changed[1]).any()
    assert (changed[0] != still[0].numpy()).any()


def test_colours_are_the_same_in_a_compiled_step():
    seeds = tf.constant([[0, 1], [0, 2], [0, 3]], tf.int64)
    step = tf.function(lambda x, s: jitter_colours(x, s, AugmentConfig()))
    eager = jitter_colours(batch(), seeds, AugmentConfig()).numpy().astype(int)
    difference = np.abs(step(batch(), seeds).numpy().astype(int) - eager)
    assert difference.max() <= 1  # a fused multiply-add may round the other way


def test_brightness_alone_shifts_every_value_alike():
    grey = tf.fill((1, *SHAPE), tf.constant(100, tf.uint8))
    config = AugmentConfig(brightness=0.1, contrast=0.0, saturation=0.0)
    changed = jitter_colours(grey, tf.constant([[1, 2]], tf.int64), config).numpy()
    assert len(np.unique(changed)) == 1
    assert 0 < abs(int(changed.flat[0]) - 100) <= 26


def test_no_colour_jitter_changes_nothing():
    config = AugmentConfig(brightness=0.0, contrast=0.0, saturation=0.0)
    seeds = tf.zeros([3, 2], tf.int64)
    np.testing.assert_array_equal(jitter_colours(batch(), seeds, config), batch())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_scale": 0.0}, "min_scale must be above 0 and at most 1, got 0.0"),
        ({"min_duration": 1.5}, "min_duration must be above 0 and at most 1, got 1.5"),
        ({"max_stretch": 0.9}, "max_stretch must be at least 1, got 0.9"),
        ({"time_jitter": -1.0}, "time_jitter must be at least 0, got -1.0"),
        ({"flip_probability": 2.0}, "flip_probability must be between 0 and 1, got 2"),
        ({"brightness": -0.1}, "brightness must be between 0 and 1, got -0.1"),
        ({"contrast": 1.1}, "contrast must be between 0 and 1, got 1.1"),
        ({"saturation": 1.1}, "saturation must be between 0 and 1, got 1.1"),
    ],
)
def test_impossible_augmentation_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AugmentConfig(**options)

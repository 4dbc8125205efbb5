import numpy as np
import pytest
import tensorflow as tf

from wlasl_tfrecord.input_pipeline.augment import (
    AugmentConfig,
    augment_clip,
    change_landmarks,
    crop_clips,
    crop_landmarks,
    draw_changes,
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


def dots(num_frames=6, height=60, width=80):
    """Gives frames with a dot that moves, and landmarks whose first is the dot."""
    frames = np.zeros((num_frames, height, width, 3), np.uint8)
    landmarks = np.zeros((num_frames, 67, 3), np.float32)
    for t in range(num_frames):
        x, y = 30 + 3 * t, 35 - 2 * t
        frames[t, y - 1 : y + 2, x - 1 : x + 2] = 255
        landmarks[t, 0] = ((x + 0.5) / width, (y + 0.5) / height, 1)
    return frames, landmarks


def places(frames):
    """Returns where the dots are, [T, 2], as shares of the frame's sides."""
    _, height, width, _ = frames.shape
    weights = frames[..., 0].astype(float)
    ys, xs = np.mgrid[:height, :width]
    total = weights.sum(axis=(1, 2))
    x, y = ((weights * one).sum(axis=(1, 2)) / total + 0.5 for one in (xs, ys))
    return np.stack([x / width, y / height], axis=1)


def test_landmarks_follow_the_pixels_through_all_changes():
    frames, landmarks = dots()
    config = AugmentConfig(flip_probability=0.5, min_duration=0.5, time_jitter=1.0)
    for number in range(12):
        seed = tf.constant([number, 7], tf.int64)
        changed = augment_clip(tf.constant(frames), seed, config).numpy()
        drawn = draw_changes(seed, frames.shape[:3], config)
        found = change_landmarks(
            tf.constant(landmarks[None]),
            [one[None] for one in drawn],
            frames.shape[:3],
        ).numpy()[0]
        # A mirrored left wrist is a right one.
        point = found[:, 21 if bool(drawn[2]) else 0]
        assert (point[:, 2] == 1).all()
        # To a pixel: a crop has whole pixels, and a dot of three is blurred by it.
        np.testing.assert_allclose(point[:, :2], places(changed), atol=1 / 60)
        others = np.delete(found, 21 if bool(drawn[2]) else 0, axis=1)
        assert (others == 0).all()


def test_a_crop_on_the_device_moves_landmarks_with_the_pixels():
    frames, landmarks = dots()
    seeds = tf.constant([[0, 1], [0, 2]], tf.int64)
    both = np.stack([frames, frames])
    cropped = crop_clips(tf.constant(both), seeds, AugmentConfig()).numpy()
    found = crop_landmarks(
        tf.constant(np.stack([landmarks, landmarks])),
        seeds,
        frames.shape[:3],
        AugmentConfig(),
    ).numpy()
    for clip, points in zip(cropped, found):
        np.testing.assert_allclose(points[:, 0, :2], places(clip), atol=1 / 60)


def test_landmarks_are_picked_as_frames_are():
    frames, landmarks = dots(12)
    seeds = tf.constant([[5, 6]], tf.int64)
    picked = pick_frames(tf.constant(frames[None]), seeds, 4).numpy()[0]
    points = pick_frames(tf.constant(landmarks[None]), seeds, 4).numpy()[0]
    np.testing.assert_allclose(points[:, 0, :2], places(picked), atol=1e-5)

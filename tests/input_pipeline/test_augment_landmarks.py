"""Random changes to landmarks: what they keep, and where they come from."""

import numpy as np
import pytest
import tensorflow as tf
from drawn_landmarks import sign_landmarks

from wlasl_tfrecord.input_pipeline.augment_landmarks import (
    LandmarkAugmentConfig,
    augment_landmarks,
    mirrored,
)
from wlasl_tfrecord.shard_format.landmarks import group_slice, mirror_landmarks

NOTHING = LandmarkAugmentConfig(
    flip_probability=0,
    rotation_degrees=0,
    stretch=0,
    shear=0,
    min_duration=1,
    overhang=0,
    time_warp=0,
    hand_shift=0,
    hand_rotation_degrees=0,
    hand_stretch=0,
    body_noise=0,
    point_noise=0,
    hand_dropout=0,
    mask_probability=0,
)


def only(**limits):
    values = {name: getattr(NOTHING, name) for name in NOTHING.__dataclass_fields__}
    return LandmarkAugmentConfig(**{**values, **limits})


@pytest.fixture(scope="module")
def clips():
    return np.stack([sign_landmarks(12, "train", number) for number in range(8)])


SEEDS = np.arange(16, dtype=np.int64).reshape(8, 2) * 2**32


def change(clips, config, seeds=SEEDS):
    return augment_landmarks(tf.constant(clips), tf.constant(seeds), config).numpy()


def test_no_change_changes_nothing(clips):
    np.testing.assert_allclose(change(clips, NOTHING), clips, atol=1e-6)


def test_a_clip_depends_on_its_own_seed_alone(clips):
    config = LandmarkAugmentConfig()
    together = change(clips, config)
    alone = [
        change(clips[n : n + 1], config, SEEDS[n : n + 1])[0] for n in range(len(clips))
    ]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-6)
    assert np.abs(change(clips, config, SEEDS + 1) - together).max() > 0.01


def test_it_is_the_same_inside_of_a_dataset(clips):
    config = LandmarkAugmentConfig()
    dataset = tf.data.Dataset.from_tensors((clips, SEEDS)).map(
        lambda values, seeds: augment_landmarks(values, seeds, config)
    )
    np.testing.assert_allclose(next(iter(dataset)), change(clips, config), atol=1e-6)


def test_what_was_not_seen_stays_unseen_and_zero(clips):
    hidden = clips.copy()
    hidden[:, 3:6, group_slice("right_hand")] = 0
    changed = change(hidden, only(rotation_degrees=30, body_noise=0.1, hand_shift=0.1))
    assert (changed[hidden[..., 2] == 0] == 0).all()
    assert (changed[..., 2] == hidden[..., 2]).all()


def test_a_mirrored_clip_is_that_of_the_format(clips):
    expected = mirror_landmarks(clips)
    np.testing.assert_allclose(mirrored(tf.constant(clips)), expected, atol=1e-6)
    flipped = change(clips, only(flip_probability=1))
    np.testing.assert_allclose(flipped, expected, atol=1e-6)


def test_a_rotation_keeps_distances(clips):
    turned = change(clips, only(rotation_degrees=40))
    assert np.abs(turned - clips).max() > 0.05

    def widths(values):
        shoulders = values[:, :, 42 + 11, :2] - values[:, :, 42 + 12, :2]
        return np.linalg.norm(shoulders, axis=-1)

    np.testing.assert_allclose(widths(turned), widths(clips), rtol=1e-4)


def test_a_hand_turns_about_its_wrist(clips):
    turned = change(clips, only(hand_rotation_degrees=30))
    body = group_slice("pose")
    np.testing.assert_allclose(turned[:, :, body], clips[:, :, body], atol=1e-6)
    for group in ("left_hand", "right_hand"):
        wrist = group_slice(group).start
        np.testing.assert_allclose(turned[:, :, wrist], clips[:, :, wrist], atol=1e-6)
        tips = turned[:, :, wrist + 12] - clips[:, :, wrist + 12]
        assert np.abs(tips).max() > 0.01


def test_time_never_runs_backwards():
    # A point that moves to the right evenly: its place is its time.
    clips = np.ones((8, 12, 67, 3), np.float32)
    clips[..., 0] = np.linspace(0, 1, 12)[:, None]
    config = only(min_duration=0.5, overhang=0.3, time_warp=0.2)
    times = change(clips, config)[:, :, 0, 0]
    assert (np.diff(times, axis=1) >= -1e-6).all()
    assert times.min() >= 0
    assert times.max() <= 1 + 1e-6
    assert np.ptp(times[:, -1]) > 0.1


def test_a_hidden_hand_is_hidden_all_the_time(clips):
    seen = change(clips, only(hand_dropout=1))[..., 2]
    assert (seen[:, :, group_slice("left_hand")] == 0).all()
    assert (seen[:, :, group_slice("pose")] > 0).all()


def test_masks_hide_a_stretch_of_frames(clips):
    shown = change(clips, only(mask_probability=1, max_mask=0.5))[..., 2]
    pose = shown[:, :, group_slice("pose").start] > 0
    assert 0 < pose.mean() < 1
    # One stretch: it begins and ends at most once.
    assert (np.abs(np.diff(pose.astype(int), axis=1)).sum(axis=1) <= 2).all()


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            {"flip_probability": 1.5},
            "flip_probability must be between 0 and 1, got 1.5",
        ),
        ({"stretch": -0.1}, "stretch must be at least 0, got -0.1"),
    ],
)
def test_impossible_limits_are_refused(limits, message):
    with pytest.raises(ValueError, match=message):
        LandmarkAugmentConfig(**limits)

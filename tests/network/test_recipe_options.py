"""Options of the recipes that no network can have, or that no memory can hold."""

import pytest

from wlasl_tfrecord.errors import RecipeError
from wlasl_tfrecord.network.recipe_options import check_whole_numbers
from wlasl_tfrecord.network.recipes import load_recipe
from wlasl_tfrecord.shard_format.clips import ClipSpec

CLIP = ClipSpec(num_frames=4, height=32, width=32)
FRAMES = "mobilenetv2_lstm"
LANDMARKS = "landmarks_lstm"
BOTH = "mobilenetv2_landmarks_lstm"


def test_both_ends_of_a_range_are_in_it():
    check_whole_numbers(width=(1, 1, 3), units=(3, 1, 3))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "width must be between 1 and 3, got 0"),
        (4, "width must be between 1 and 3, got 4"),
        (True, "width must be a whole number, got True"),
        (2.0, r"width must be a whole number, got 2\.0"),
        ("2", "width must be a whole number, got '2'"),
    ],
)
def test_anything_else_is_named(value, message):
    with pytest.raises(RecipeError, match=f"^{message}$"):
        check_whole_numbers(width=(value, 1, 3))


@pytest.mark.parametrize(
    ("recipe", "option", "value", "limits"),
    [
        (FRAMES, "lstm_units", 10**9, "between 1 and 4096"),
        (FRAMES, "frame_size", 10**6, "between 0 and 1024"),
        (FRAMES, "sequence_frames", -1, "between 0 and 4"),
        (FRAMES, "fixed_blocks", -1, "between 0 and 32"),
        (FRAMES, "alpha", 1e9, "above 0 and at most 4"),
        (FRAMES, "alpha", float("nan"), "above 0 and at most 4"),
        (FRAMES, "dropout", 1.0, r"at least 0 and below 1"),
        (LANDMARKS, "width", 10**9, "between 1 and 4096"),
        (LANDMARKS, "num_blocks", 10**6, "between 0 and 32"),
        (LANDMARKS, "kernel_size", 10**9, "between 1 and 255"),
        (LANDMARKS, "lstm_units", 0, "between 1 and 4096"),
        (LANDMARKS, "block_dropout", -0.1, r"at least 0 and below 1"),
        (BOTH, "frames_width", 10**9, "between 1 and 4096"),
        (BOTH, "landmarks_width", 10**9, "between 1 and 4096"),
        (BOTH, "num_blocks", 33, "between 0 and 32"),
        (BOTH, "lstm_units", 4097, "between 1 and 4096"),
        (BOTH, "alpha", 1e9, "above 0 and at most 4"),
        (BOTH, "dropout", float("nan"), r"at least 0 and below 1"),
    ],
)
def test_what_no_memory_holds_is_refused_by_name(recipe, option, value, limits):
    with pytest.raises(RecipeError, match=f"^{option} must be {limits}, got"):
        load_recipe(recipe).build_model(CLIP, 2, weights="none", **{option: value})

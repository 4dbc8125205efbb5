"""The choices of a training, each in its range."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from wlasl_tfrecord.errors import RecipeError
from wlasl_tfrecord.training.config import TrainConfig, weights_identity


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, got 0.0"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0, got -1.0"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\), got 1.0"),
        ({"schedule": "steps"}, "schedule must be one of cosine, plateau, constant"),
        (
            {"precision": "half"},
            "precision must be one of auto, float32, mixed_float16",
        ),
        ({"fine_tune_epochs": -1}, "fine_tune_epochs must be at least 0, got -1"),
        # The second phase takes the next one, and an order less than 2**31.
        ({"seed": 2**31 - 1}, r"seed must be in \[0, 2\*\*31 - 1\), got 2147483647"),
        ({"seed": -1}, "seed must be in .* got -1"),
        ({"max_bad_records": -1}, "max_bad_records must be at least 0, got -1"),
        ({"crop": "gpu"}, "crop must be one of auto, input, device, got 'gpu'"),
        ({"weight_average": 1.0}, r"weight_average must be in \[0, 1\), got 1.0"),
        ({"mixup": -0.1}, r"mixup must be in \[0, 1000\], got -0.1"),
        ({"mixup": float("nan")}, "mixup must be in .* got nan"),
        ({"epochs": 10**9}, "epochs must be at most 1,000,000, got 1000000000"),
        ({"feature_views": 10**9}, "feature_views must be at most 10,000"),
        ({"train_frames": 10**9}, "train_frames must be at most 10,000"),
        ({"batch_size": 10**5000}, "batch_size must be at most .* got <int>"),
        ({"epochs": True}, "epochs must be a whole number, got True"),
        ({"min_scale": True}, "min_scale must be a number, got True"),
        ({"mixup": 10**400}, "mixup must be a number, got 1000"),
        ({"weight_decay": "0.1"}, "weight_decay must be a number, got '0.1'"),
        ({"recipe_options": {"weights": "/x"}}, "give them with --weights"),
        ({"flip_probability": 2}, r"flip_probability must be in \[0, 1\], got 2"),
        (
            {"choose_by": "luck"},
            "choose_by must be one of top1, last, got 'luck'",
        ),
        ({"min_scale": 0.0}, r"min_scale must be in \(0, 1\], got 0.0"),
        ({"train_frames": -1}, "train_frames must be at least 0, got -1"),
        ({"train_frames": 8}, "train_frames 8 needs a network that is trained whole"),
        (
            {"freeze_backbone": False, "fine_tune_epochs": 2},
            "fine_tune_epochs 2 needs a first phase with a frozen backbone",
        ),
        ({"epochs": 1.5}, "epochs must be a whole number, got 1.5"),
        ({"learning_rate": "fast"}, "learning_rate must be a number, got 'fast'"),
        ({"weights": None}, "weights must be text or a path, got None"),
        ({"augment": "no"}, "augment must be True or False, got 'no'"),
        (
            {"recipe_options": {"units": [[0]] * 100}},
            "recipe_options must be names and values as JSON has them, got",
        ),
        (
            {"recipe_options": {"units": {1}}},
            r"recipe_options must be names and values as JSON has them, got {'units'",
        ),
    ],
)
def test_a_choice_out_of_its_range_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**changes)


def test_what_a_program_gives_is_kept_as_a_run_gives_it_back():
    given = TrainConfig(
        recipe=Path("mine.py"),  # pyright: ignore[reportArgumentType]
        weights=Path("some.h5"),  # pyright: ignore[reportArgumentType]
        recipe_options={"sizes": (1, 2)},
        epochs=np.int64(3),  # pyright: ignore[reportArgumentType]
        learning_rate=np.float32(0.5),  # pyright: ignore[reportArgumentType]
        augment=np.bool_(False),  # pyright: ignore[reportArgumentType]
    )
    stored = TrainConfig(**json.loads(json.dumps(dataclasses.asdict(given))))
    assert stored == given
    assert stored.recipe == "mine.py"
    assert stored.recipe_options == {"sizes": [1, 2]}


def test_weights_are_told_apart_by_content(tmp_path):
    path, moved = tmp_path / "a.h5", tmp_path / "b.h5"
    for one in (path, moved):
        one.write_bytes(b"weights")
    assert weights_identity("imagenet") == "imagenet"
    assert weights_identity(path) == weights_identity(str(moved))
    moved.write_bytes(b"others")
    assert weights_identity(path) != weights_identity(moved)
    # One that exists, whose reading fails.
    with pytest.raises(RecipeError, match=r"the weights /proc/self/mem \(Input/output"):
        weights_identity("/proc/self/mem")

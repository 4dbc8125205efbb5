"""The choices of a training, each in its range."""

import pytest

from wlasl_tfrecord.train_config import TrainConfig


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
    ],
)
def test_a_choice_out_of_its_range_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**changes)

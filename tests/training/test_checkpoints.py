"""Checkpoints: two are kept, and a damaged one is not gone on from."""

import numpy as np
import pytest

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.training import checkpoints
from wlasl_tfrecord.training.checkpoints import Checkpoint
from wlasl_tfrecord.training.progress import Progress


def checkpoint(step):
    return Checkpoint(step, Progress(epoch=step), {"a": np.arange(step)})


def test_the_last_two_checkpoints_are_kept(tmp_path):
    for step in (1, 2, 10):
        checkpoints.save_checkpoint(tmp_path, checkpoint(step))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["step-000000002.npz", "step-000000010.npz"]
    newest = checkpoints.load_newest(tmp_path, print)
    assert newest is not None
    assert newest.step == 10
    assert newest.progress == Progress(epoch=10)
    np.testing.assert_array_equal(newest.arrays["a"], np.arange(10))


def test_a_damaged_checkpoint_does_not_count_as_one_of_the_two(tmp_path):
    for step in (10, 20):
        path = checkpoints.save_checkpoint(tmp_path, checkpoint(step))
    path.write_bytes(b"")
    # The run goes on from step 10.
    for step in (12, 14):
        checkpoints.save_checkpoint(tmp_path, checkpoint(step))
        names = sorted(path.stem for path in tmp_path.iterdir())
        assert names[-1] == "step-000000020"
    assert names[:2] == ["step-000000012", "step-000000014"]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(damage, tmp_path):
    for step in (1000, 2000):
        path = checkpoints.save_checkpoint(tmp_path, checkpoint(step))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    damaged = {
        "cut": content[: len(content) // 2],
        "flip": content,
        "empty": b"",
        "text": b"not found",
    }
    path.write_bytes(damaged[damage])
    lines = []
    found = checkpoints.load_newest(tmp_path, lines.append)
    assert found is not None
    assert found.step == 1000
    assert "step-000002000.npz is damaged or of another release (" in lines[0]
    assert lines[0].endswith("trying the one before")


def test_nothing_but_damaged_checkpoints_is_an_error(tmp_path):
    checkpoints.save_checkpoint(tmp_path, checkpoint(1)).write_bytes(b"")
    with pytest.raises(
        TrainingError, match=r"every checkpoint in .* is damaged or .*; train"
    ):
        checkpoints.load_newest(tmp_path, print)


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoints.load_newest(tmp_path / "none", print) is None

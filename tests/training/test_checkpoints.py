"""Checkpoints: two are kept, and a damaged one is not gone on from."""

import io
import os
import zipfile

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


def test_a_folder_with_the_name_of_a_checkpoint_stays(tmp_path):
    (tmp_path / "step-000000001.npz").mkdir()
    for step in (2, 3, 4):
        checkpoints.save_checkpoint(tmp_path, checkpoint(step))
    names = sorted(path.stem[-1] for path in tmp_path.iterdir())
    assert names == ["1", "3", "4"]


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


def with_member(content, name, member, **options):
    """Returns an npz with another member, with the checksum that belongs to it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for one in old.namelist():
            new.writestr(one, old.read(one))
        new.writestr(name, member, **options)
    return out.getvalue()


def array_of(shape, kind="<f4", content=b""):
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n"
    return (
        b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text.encode() + content
    )


@pytest.mark.parametrize(
    ("name", "member", "options", "why"),
    [
        ("b.npy", bytes(10**7), {"compress_type": 8}, "its arrays are larger than"),
        ("b.npy", array_of("(99999999999,)"), {}, "b.npy is not of its length"),
        ("b.npy", array_of("(-1,)"), {}, "b.npy is no array of numbers"),
        ("b.npy", array_of("()", "|O", bytes(8)), {}, "b.npy is no array of numbers"),
        ("b.npy", array_of("(1,)", "<f16", bytes(16)), {}, "b.npy is no array of numb"),
        ("b.npy", array_of("((((" * 400), {}, ""),
        ("b.npy", b"no array", {}, "the magic string is not correct"),
    ],
)
def test_a_forged_checkpoint_falls_back_to_the_one_before(
    tmp_path, name, member, options, why
):
    for step in (1000, 2000):
        path = checkpoints.save_checkpoint(tmp_path, checkpoint(step))
    path.write_bytes(with_member(path.read_bytes(), name, member, **options))
    lines: list[str] = []
    found = checkpoints.load_newest(tmp_path, lines.append)
    assert found is not None
    assert found.step == 1000
    assert f"step-000002000.npz is damaged or of another release ({why}" in lines[0]
    assert len(lines[0]) < 600


def test_a_checkpoint_that_is_a_pipe_is_not_waited_for(tmp_path):
    checkpoints.save_checkpoint(tmp_path, checkpoint(1))
    os.mkfifo(tmp_path / "step-000000002.npz")
    lines: list[str] = []
    found = checkpoints.load_newest(tmp_path, lines.append)
    assert found is not None
    assert "not a regular file" in lines[0]

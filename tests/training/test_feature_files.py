"""Files of the feature cache: whole or not there, and damage is seen."""

import numpy as np
import pytest
from limits import largest_file

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.training import feature_files


def write(path, dtype="float16"):
    values = np.arange(5 * 3 * 4).reshape(5, 3, 4).astype(dtype)
    with feature_files.new_array(path, values.shape, values.dtype) as add:
        add(np.array([3, 0]), values[[3, 0]])
        assert not path.exists()
        add(np.array([4, 2, 1]), values[[4, 2, 1]])
    return values


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint16"])
def test_rows_in_any_order_make_an_array(dtype, tmp_path):
    path = tmp_path / "a.npy"
    values = write(path, dtype)
    found = np.load(path, mmap_mode="r")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values)
    assert feature_files.is_whole(path, values.shape, values.dtype)
    assert [one.name for one in tmp_path.iterdir()] == ["a.npy"]


def test_damage_is_seen(tmp_path):
    path = tmp_path / "a.npy"
    values = write(path)
    facts = values.shape, values.dtype
    content = path.read_bytes()
    for place in (0, 140, len(content) - 1):
        flipped = bytearray(content)
        flipped[place] ^= 4
        path.write_bytes(flipped)
        assert not feature_files.is_whole(path, *facts)
    for damaged in (content[:-1], content[:100], content[:4], b"", b"\0\0\0\0"):
        path.write_bytes(damaged)
        assert not feature_files.is_whole(path, *facts)
    path.unlink()
    assert not feature_files.is_whole(path, *facts)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((4, 3, 5), "f2"), ((60,), "f2"), ((5, 3, 4), "i2")]
)
def test_another_array_is_none(tmp_path, shape, dtype):
    # In a run folder that was received, with the right checksum.
    path = tmp_path / "a.npy"
    write(path)
    assert not feature_files.is_whole(path, shape, np.dtype(dtype))


def test_a_full_disk_is_a_line_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.npy"
    with (
        largest_file(200),
        pytest.raises(
            OutputError, match=r"cannot write .*a\.npy \(File too large\); free some"
        ),
    ):
        write(path)
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_fit_is_refused_early(tmp_path):
    from wlasl_tfrecord.training import feature_cache

    with pytest.raises(
        OutputError,
        match=r"/feature_cache has [\d.]+ \w+ free, the feature cache needs 1024",
    ):
        feature_cache._check_disk(tmp_path / "feature_cache", 2**50)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write to .*/file/x \(Not a dir"):
        feature_cache._check_disk(tmp_path / "file" / "x", 1)


def test_an_interrupted_file_is_not_there(tmp_path):
    def interrupt():
        path = tmp_path / "a.npy"
        with feature_files.new_array(path, (2, 3), np.dtype("float32")) as add:
            add(np.array([0]), np.zeros((1, 3), "float32"))
            assert list(tmp_path.glob(".*.part.a.npy"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert not list(tmp_path.iterdir())

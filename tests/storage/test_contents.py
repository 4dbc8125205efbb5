import os

import pytest

from wlasl_tfrecord import files
from wlasl_tfrecord.storage.contents import file_sizes, read_bytes

# file:// is the one scheme of TensorFlow's that needs no network.
schemes = pytest.mark.parametrize("prefix", ["", "file://"])


@schemes
def test_files_are_read_and_listed_locally_and_by_tensorflow(tmp_path, prefix):
    (tmp_path / "a").write_bytes(b"0123456789")
    (tmp_path / "folder").mkdir()
    assert read_bytes(f"{prefix}{tmp_path}/a") == b"0123456789"
    assert read_bytes(f"{prefix}{tmp_path}/a", start=7) == b"789"
    assert read_bytes(f"{prefix}{tmp_path}/a", 2, 3) == b"234"
    assert (file_sizes(f"{prefix}{tmp_path}") or {})["a"] == 10
    with pytest.raises(OSError, match="none"):
        read_bytes(f"{prefix}{tmp_path}/none")
    with pytest.raises(OSError, match="none"):
        file_sizes(f"{prefix}{tmp_path}/none")


@schemes
def test_what_would_fill_the_memory_is_not_read(tmp_path, prefix):
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, files.MAX_READ_BYTES + 10)
    with pytest.raises(OSError, match=r"it has 536,870,922 bytes, and at most"):
        read_bytes(f"{prefix}{path}")
    # Of a shard, which may be that large, only the end is read.
    assert read_bytes(f"{prefix}{path}", files.MAX_READ_BYTES) == bytes(10)

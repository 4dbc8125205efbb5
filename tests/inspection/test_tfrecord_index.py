import os
import struct

import pytest

from wlasl_tfrecord.errors import OutputError, ShardFolderError
from wlasl_tfrecord.inspection.tfrecord_index import write_tfrecord_index
from wlasl_tfrecord.shard_format.shard_folder import load_folder

# One clip in two shards: one of them is empty.
NUM_CLIPS = {"train": 7, "val": 1}


def index_of(shard):
    """Indexes a shard as `tfrecord2idx` does: by going from length to length.

    tests/interop compares with the tool itself.
    """
    lines = []
    with shard.open("rb") as file:
        while length := file.read(8):
            start = file.tell() - 8
            file.seek(4 + struct.unpack("<q", length)[0] + 4, os.SEEK_CUR)
            lines.append(f"{start} {file.tell() - start}\n")
    return "".join(lines).encode()


@pytest.mark.parametrize("codec", ["raw", "png"])
def test_the_files_are_those_of_the_tool(tmp_path, write_folder, codec):
    shards = write_folder(tmp_path / "shards", NUM_CLIPS, codec=codec)
    out = tmp_path / "new" / "idx"
    assert write_tfrecord_index(load_folder(shards), ("train", "val"), out) == 4
    written = {path.name: path.read_bytes() for path in out.iterdir()}
    assert written == {
        f"{shard.name}.idx": index_of(shard) for shard in shards.glob("*.tfrecord-*")
    }
    assert sorted(map(len, written.values()))[0] == 0


def test_files_of_another_run_are_replaced(tmp_path, write_folder):
    folder = load_folder(write_folder(tmp_path / "shards", NUM_CLIPS))
    out = tmp_path / "idx"
    write_tfrecord_index(folder, ["val"], out)
    expected = {path.name: path.read_bytes() for path in out.iterdir()}
    for path in out.iterdir():
        path.write_text("of another run")
    write_tfrecord_index(folder, ["val"], out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == expected


def test_no_shard_folder_is_written_to(tmp_path, write_folder):
    shards = write_folder(tmp_path / "shards", NUM_CLIPS)
    before = sorted(path.name for path in shards.iterdir())
    (tmp_path / "link").symlink_to(shards)
    for directory in (shards, f"{shards}/", tmp_path / "link"):
        with pytest.raises(
            OutputError,
            match=r"is a shard folder: readers that look for wlasl-val\.tfrecord-\* "
            r"would take \.idx files in it for shards; choose another folder with",
        ):
            write_tfrecord_index(load_folder(shards), ["val"], directory)
    assert sorted(path.name for path in shards.iterdir()) == before


def test_what_cannot_be_written_or_read_is_named(tmp_path, write_folder):
    folder = load_folder(write_folder(tmp_path / "shards", NUM_CLIPS))
    (tmp_path / "file").touch()
    with pytest.raises(
        OutputError, match=r"cannot write \S+/file \(File exists\); cho"
    ):
        write_tfrecord_index(folder, ["val"], tmp_path / "file")
    with pytest.raises(ShardFolderError, match="no 'test' shards in"):
        write_tfrecord_index(folder, ["test"], tmp_path / "idx")
    assert not (tmp_path / "idx").exists()

"""The tables of records of a folder, whole, damaged and forged."""

import os

import numpy as np
import pytest
from forged_folders import write_table

from wlasl_tfrecord.errors import ShardFolderError
from wlasl_tfrecord.shard_format import layout, shard_folder
from wlasl_tfrecord.shard_format.record_table import records_to_csv


def test_the_table_of_records_finds_every_record(write_folder, tmp_path):
    folder = shard_folder.load_folder(write_folder(tmp_path / "shards"))
    records = shard_folder.load_records(folder, "train")
    assert len(records) == 7
    assert records.video_ids == tuple(f"train{number:05d}" for number in range(7))
    assert records.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    shards = folder.split_shards("train")
    for shard_index, offset, num_bytes, crc in zip(
        records.shard_indices, records.offsets, records.num_bytes, records.crcs
    ):
        with open(folder.shard_path(shards[shard_index]), "rb") as file:
            file.seek(offset)
            header = file.read(12)
            file.seek(num_bytes, 1)
            assert int.from_bytes(header[:8], "little") == num_bytes
            assert int.from_bytes(file.read(4), "little") == crc


def test_the_same_records_give_the_same_table(write_folder, tmp_path):
    folder = shard_folder.load_folder(write_folder(tmp_path / "shards"))
    records = shard_folder.load_records(folder, "train")
    table = records_to_csv(records)
    assert (
        table == (tmp_path / "shards" / layout.record_table_file("train")).read_bytes()
    )
    header = "shard_index,offset_bytes,num_bytes,crc32c,label,video_id,signer_id"
    assert table.decode().splitlines()[0] == f"{header},num_distinct_frames"


def test_an_empty_split_has_a_table_of_no_records(write_folder, tmp_path):
    directory = write_folder(tmp_path / "shards", {"train": 2, "val": 0})
    records = shard_folder.load_records(shard_folder.load_folder(directory), "val")
    assert len(records) == 0
    assert records.offsets.dtype == np.int64


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("crc32c", "crc", "no column 'crc32c'"),
        (",train00003,", ',"train00003,', "no table: "),
        (",train00006,", ",", "line 8 has 7 values, line 1 8"),
        ("\n1,0,", "\n1,x,", "column 'offset_bytes': invalid literal .* 'x'"),
    ],
)
def test_a_damaged_table_is_named(write_folder, tmp_path, old, new, message):
    directory = write_folder(tmp_path / "shards")
    table = (directory / layout.record_table_file("train")).read_text()
    assert table.count(old) == 1
    write_table(directory, "train", table.replace(old, new).splitlines())
    folder = shard_folder.load_folder(directory)
    with pytest.raises(
        ShardFolderError,
        match=rf"wlasl-train\.index\.csv is damaged \({message}.*; run bin/shard again",
    ):
        shard_folder.load_records(folder, "train")


def test_a_table_of_other_length_than_the_index_is_refused(write_folder, tmp_path):
    directory = write_folder(tmp_path / "shards")
    lines = (directory / layout.record_table_file("train")).read_text().splitlines()
    # A carriage return ends a line, too, and makes a row of 64 bytes of one.
    for found, number in ((lines[:-1], 6), ([*lines, "\r" * 99], 98)):
        write_table(directory, "train", found)
        with pytest.raises(ShardFolderError, match=rf"lists {number} records, index"):
            shard_folder.load_records(shard_folder.load_folder(directory), "train")


def test_a_table_of_other_shards_is_refused(write_folder, tmp_path):
    directory = write_folder(tmp_path / "shards")
    folder = shard_folder.load_folder(directory)
    table = directory / layout.record_table_file("train")
    table.write_bytes(table.read_bytes().replace(b"train00001", b"train00009"))
    with pytest.raises(
        ShardFolderError, match="is not the table that was written with"
    ):
        shard_folder.load_records(folder, "train")
    table.unlink()
    with pytest.raises(
        ShardFolderError, match=r"cannot read .*wlasl-train\.index\.csv"
    ):
        shard_folder.load_records(folder, "train")


@pytest.mark.parametrize(
    ("line", "column", "value", "message"),
    [
        (3, "shard_index", 1, "line 3: shard_index cannot be 1"),
        (3, "shard_index", -1, "line 3: shard_index cannot be -1"),
        (8, "shard_index", 2**31 - 1, "line 8: shard_index cannot be 2147483647"),
        (2, "offset_bytes", 4, "line 2: offset_bytes cannot be 4"),
        (4, "offset_bytes", -8, "line 4: offset_bytes cannot be -8"),
        (4, "offset_bytes", 2**63 - 1, "line 4: offset_bytes cannot be 9223372036854"),
        (4, "offset_bytes", 2**64, "column 'offset_bytes': "),
        (4, "num_bytes", 2**40, "line 4: num_bytes cannot be 1099511627776"),
        (4, "num_bytes", -1, "line 4: num_bytes cannot be -1"),
        (8, "num_bytes", 9, "line 8: num_bytes cannot be 9"),
        (5, "crc32c", -1, "column 'crc32c': "),
        (5, "crc32c", 2**32, "column 'crc32c': "),
        (6, "label", 3, "line 6: label cannot be 3"),
        (6, "label", -1, "line 6: label cannot be -1"),
        (7, "signer_id", -2, "line 7: signer_id cannot be -2"),
        (7, "num_distinct_frames", 0, "line 7: num_distinct_frames cannot be 0"),
        (7, "num_distinct_frames", 6, "line 7: num_distinct_frames cannot be 6"),
        (7, "video_id", "train00001", "a video_id occurs twice"),
    ],
)
def test_a_forged_table_is_refused_with_its_line(
    write_folder, tmp_path, line, column, value, message
):
    directory = write_folder(tmp_path / "shards")
    lines = (directory / layout.record_table_file("train")).read_text().splitlines()
    cells = lines[line - 1].split(",")
    cells[lines[0].split(",").index(column)] = str(value)
    lines[line - 1] = ",".join(cells)
    write_table(directory, "train", lines)
    folder = shard_folder.load_folder(directory)
    with pytest.raises(ShardFolderError, match=rf"index\.csv is damaged \({message}"):
        shard_folder.load_records(folder, "train")


def test_a_table_that_is_a_pipe_is_refused(write_folder, tmp_path):
    directory = write_folder(tmp_path / "shards")
    path = directory / layout.record_table_file("train")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ShardFolderError, match=r"cannot read .*not a regular file"):
        shard_folder.load_records(shard_folder.load_folder(directory), "train")

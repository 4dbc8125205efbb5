import json

import pytest

from wlasl_tfrecord.cli.inspect import main
from wlasl_tfrecord.shard_format import layout


def run(capsys, *argv):
    code = main([str(argument) for argument in argv])
    return code, *capsys.readouterr()


def test_the_command_prints_a_table(tmp_path, write_folder, capsys):
    directory = write_folder(tmp_path / "shards", {"train": 8, "val": 2})
    code, out, _ = run(capsys, directory)
    assert code == 0
    assert "codec raw, clips of 5 frames, 24 x 16, framing center" in out
    (row,) = [line.split() for line in out.splitlines() if line[:6] == "train "][:1]
    assert row[1:3] == ["8", "2"]
    assert "val: glosses without a clip: 1, computer" in out
    assert "train and val share 2 signers" in out


def test_the_command_prints_json_for_programs(tmp_path, write_folder, capsys):
    directory = write_folder(tmp_path / "shards")
    code, out, _ = run(capsys, directory, "--json")
    assert code == 0
    assert json.loads(out)["splits"]["train"]["num_clips"] == 7


def test_verify_says_that_a_folder_is_whole(tmp_path, write_folder, capsys):
    directory = write_folder(tmp_path / "shards")
    code, out, err = run(capsys, directory, "--verify")
    assert code == 0
    assert "codec raw" in out
    assert f"all 10 records of {directory} are whole" in err


def test_verify_names_the_damage_and_exits_with_1(tmp_path, write_folder, capsys):
    directory = write_folder(tmp_path / "shards")
    path = directory / layout.shard_name("val", 0, 2)
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)
    code, out, _ = run(capsys, directory, "--verify")
    assert code == 1
    assert f"{path.name}: record 0 (val00000): its checksum does not fit" in out
    assert f"1 fault in {directory}; delete the shards named above and run" in out
    code, _, _ = run(capsys, directory, "--verify", "--split", "train")
    assert code == 0


def test_a_folder_without_shards_is_one_line(tmp_path, capsys):
    code, out, err = run(capsys, tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith(
        f"wlasl-inspect: no shards in {tmp_path}: it has no index.json"
    )
    assert err.count("\n") == 1


def test_an_absent_split_is_one_line(tmp_path, write_folder, capsys):
    directory = write_folder(tmp_path / "shards")
    code, _, err = run(capsys, directory, "--split", "test")
    assert code == 1
    assert f"no 'test' shards in {directory}; it has train, val" in err


@pytest.mark.parametrize("codec", ["raw", "png"])
def test_a_contact_sheet_shows_the_clips(tmp_path, write_folder, capsys, codec):
    directory = write_folder(tmp_path / "shards", codec=codec)
    sheet = tmp_path / "sheet.png"
    code, _, err = run(capsys, directory, "--contact-sheet", sheet, "--clips", "4")
    assert code == 0
    assert f"4 clips drawn: {sheet}" in err
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.glob("*.tmp")) == []


def test_a_sheet_that_cannot_be_written_is_one_line(tmp_path, write_folder, capsys):
    directory = write_folder(tmp_path / "shards")
    sheet = tmp_path / "nowhere" / "sheet.png"
    code, _, err = run(capsys, directory, "--contact-sheet", sheet, "--clips", "1")
    assert code == 1
    assert f"cannot write {sheet}: there is no folder {sheet.parent}; choose" in err
    code, _, err = run(capsys, directory, "--contact-sheet", tmp_path, "--clips", "1")
    assert code == 1
    assert f"cannot write {tmp_path} (Is a directory); choose another place" in err


def test_a_damaged_record_of_the_sheet_is_one_line(tmp_path, write_folder, capsys):
    directory = write_folder(tmp_path / "shards", {"train": 1}, num_shards=1)
    path = directory / layout.shard_name("train", 0, 1)
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)
    code, _, err = run(capsys, directory, "--contact-sheet", tmp_path / "sheet.png")
    assert code == 1
    assert f"{path}: the record of train00000 is damaged; bin/inspect --verify" in err


def test_index_files_are_written_beside_the_folder(tmp_path, write_folder, capsys):
    directory = write_folder(tmp_path / "shards")
    code, out, err = run(capsys, directory, "--tfrecord-index", tmp_path / "idx")
    assert code == 0
    assert "codec raw" in out
    assert f"4 .idx files written: {tmp_path / 'idx'}" in err
    assert len(list((tmp_path / "idx").iterdir())) == 4
    code, _, err = run(capsys, directory, "--tfrecord-index", directory)
    assert code == 1
    assert err.startswith(f"wlasl-inspect: {directory} is a shard folder: readers")
    assert err.count("\n") == 1

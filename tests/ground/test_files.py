import os
import subprocess
import sys
import tempfile

import pytest
from checkout import CHECKOUT
from limits import largest_file

from wlasl_tfrecord import files
from wlasl_tfrecord.errors import OutputError


def test_the_nearest_existing_path_is_found_upwards(tmp_path):
    assert files.existing_place(tmp_path) == str(tmp_path)
    assert files.existing_place(tmp_path / "a" / "b") == str(tmp_path)
    # A dangling link is there, although nothing is behind it.
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert files.existing_place(tmp_path / "link") == str(tmp_path / "link")


def test_a_lock_keeps_other_processes_out_and_ends_with_its_block(tmp_path):
    code = (
        "import sys; from wlasl_tfrecord import files\n"
        "with files.locked(sys.argv[1]): pass"
    )

    def other_process():
        return subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
        )

    with files.locked(tmp_path):
        done = other_process()
    assert done.returncode == 1
    assert f"another run is writing to {tmp_path}; wait for it, or" in done.stderr
    assert other_process().returncode == 0


def test_the_cores_are_those_that_this_process_may_use():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert files.num_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert files.num_cores() == len(allowed)


def test_free_space_is_asked_for_where_a_path_will_be(tmp_path):
    there = files.free_bytes(tmp_path)
    to_come = files.free_bytes(tmp_path / "not" / "there")
    # Other programs use the disk at the same time.
    assert to_come == pytest.approx(there, rel=0.2)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail_half_way():
        with files.written_whole(path) as aside:
            aside.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert os.listdir(tmp_path) == ["a.json"]
    assert path.read_text() == "old"
    with files.written_whole(path) as aside:
        # Keras chooses a format by the suffix.
        assert aside.suffix == ".json"
        assert aside.parent == tmp_path
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_file_can_be_written_in_another_folder(tmp_path):
    (tmp_path / "work").mkdir()
    with files.written_whole(tmp_path / "a", aside_dir=tmp_path / "work") as aside:
        assert aside.parent == tmp_path / "work"
        aside.write_text("x")
    assert (tmp_path / "a").read_text() == "x"


def test_a_full_disk_names_the_file_the_reason_and_the_way_out(tmp_path):
    path = tmp_path / "folder" / "a"
    with (
        largest_file(1000),
        pytest.raises(
            OutputError, match=r"cannot write .*/folder/a \(.*\); free some space, or"
        ),
    ):
        files.write_whole(path, bytes(2000))
    assert os.listdir(path.parent) == []
    with (
        largest_file(1000),
        pytest.raises(OSError, match="File too large"),
        files.written_whole(path) as aside,
    ):
        aside.write_bytes(bytes(2000))


def test_json_is_written_as_a_person_would_read_it(tmp_path):
    files.write_json(tmp_path / "new" / "a.json", {"gloss": "tamaño"})
    text = (tmp_path / "new" / "a.json").read_text(encoding="utf-8")
    assert text == '{\n  "gloss": "tamaño"\n}\n'


def test_a_nameless_file_has_its_size_and_holds_what_is_written():
    descriptor = files.nameless_file(4096)
    try:
        assert os.fstat(descriptor).st_size == 4096
        os.pwrite(descriptor, b"abc", 4000)
        assert os.pread(descriptor, 100, 4000) == b"abc" + bytes(93)
    finally:
        os.close(descriptor)


class TestUntrustedFiles:
    @pytest.mark.parametrize("opener", [files.open_regular, files.open_small])
    def test_a_pipe_or_a_device_is_refused_at_once(self, tmp_path, opener):
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path / "pipe", "/dev/zero"):
            with pytest.raises(OSError, match="not a regular file"):
                open(path, "rb", opener=opener)  # noqa: SIM115
            with pytest.raises(OSError, match="not a regular file"):
                files.read_bytes(str(path))

    def test_what_would_fill_the_memory_is_not_read(self, tmp_path):
        path = tmp_path / "large"
        path.touch()
        os.truncate(path, files.MAX_READ_BYTES + 10)
        with pytest.raises(OSError, match="it has 536,870,922 bytes"):
            open(path, "rb", opener=files.open_small)  # noqa: SIM115

    def test_json_that_is_nested_too_deeply_is_damaged(self, tmp_path):
        path = tmp_path / "a.json"
        path.write_text("[" * 100_000)
        with pytest.raises(ValueError, match="nested too deeply"):
            files.read_json(str(path))

    def test_a_folder_that_is_a_link_is_not_entered(self, tmp_path):
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "link").symlink_to("elsewhere")
        (tmp_path / "file").touch()
        for name in ("link", "file"):
            with pytest.raises(OSError, match="a link or a file has the name of a fo"):
                files.real_folder(tmp_path / name)
        for _ in range(2):
            files.real_folder(tmp_path / "new")
        assert (tmp_path / "new").is_dir()

    def test_nothing_is_written_through_a_link(self, tmp_path):
        mine = tmp_path / "mine"
        mine.write_text("precious")
        with files.written_whole(tmp_path / "a") as aside:
            name = aside.name
        # Under both names that are written: the one aside, and the one in the end.
        (tmp_path / "a").unlink()
        (tmp_path / "a").symlink_to(mine)
        (tmp_path / name).symlink_to(mine)
        files.write_whole(tmp_path / "a", b"new")
        assert mine.read_text() == "precious"
        assert not (tmp_path / "a").is_symlink()
        assert (tmp_path / "a").read_bytes() == b"new"


def test_past_the_end_of_a_file_there_is_nothing(tmp_path):
    path = tmp_path / "cut-off"
    path.write_bytes(b"0123")
    assert files.read_bytes(str(path), 2) == b"23"
    assert files.read_bytes(str(path), 9) == b""


def test_what_killed_processes_left_in_tmpdir_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program = (
        "import os, tempfile\n"
        "from wlasl_tfrecord.files import temporary_folder\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "with temporary_folder('mine-') as folder:\n"
        "    open(os.path.join(folder, 'large'), 'w').close()\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT)
    (left,) = tmp_path.iterdir()
    (tmp_path / "mine-elsewhere-1").mkdir()
    with files.temporary_folder("mine-") as folder:
        # It may belong to a process that has just started.
        assert left.exists()
        assert os.listdir(folder) == []
        for path in tmp_path.iterdir():
            os.utime(path, (0, 0))
        with files.temporary_folder("mine-") as other:
            assert not left.exists()
            assert os.path.isdir(folder)
            assert os.path.isdir(other)
    assert os.listdir(tmp_path) == ["mine-elsewhere-1"]


def test_what_is_no_folder_is_not_removed_as_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # shutil.rmtree would wait for a writer
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    os.mkfifo(tmp_path / "folder" / "pipe")
    (tmp_path / "link").symlink_to("folder")
    for name in ("pipe", "link", "missing"):
        files.remove_folder(tmp_path / name)
    assert len(list(tmp_path.rglob("*"))) == 5
    files.remove_folder(tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def test_a_folder_that_another_process_removes_meanwhile_is_made_again(
    tmp_path, monkeypatch
):
    path = tmp_path / "work"
    path.mkdir()
    lstat = os.lstat

    def removed(one):
        if path.exists():
            path.rmdir()
        return lstat(one)

    monkeypatch.setattr(os, "lstat", removed)
    files.real_folder(path)
    assert path.is_dir()

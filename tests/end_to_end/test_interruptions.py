"""The sharder is killed and stopped, and comes out with the same bytes."""

import contextlib
import dataclasses
import hashlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from sharding import (
    CHECKOUT,
    OPTIONS,
    children,
    command,
    folder_bytes,
    is_running,
    run,
    shard_here,
    wait_for,
)

from wlasl_tfrecord import files
from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.shard_format import shard_folder
from wlasl_tfrecord.sharding import output_folder, sharder
from wlasl_tfrecord.sharding.sharder import write_shards


def open_files(pid):
    """Gives the names of the files that a process has open."""
    names = []
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                names.append(os.path.basename(os.readlink(link)))
    return names


def kill(process, moment, out, generator):
    """Kills a run at a random place of its planning, writing or finishing.

    The places are told by what a run does, not by a clock: so every kill hits, on a
    slow machine too, and what is left to do is enough for the next ones.
    """
    work = out / ".shard-work"

    def count_notes():
        # A run removes the folder at its end, maybe while it is looked into.
        with contextlib.suppress(FileNotFoundError):
            return len(list(work.glob("wlasl-*.json")))
        return 0

    def has_come():
        if process.poll() is not None:
            return True
        if moment == "planning":
            return LARGE in open_files(process.pid)
        notes = count_notes()
        if moment == "writing":
            return notes >= before + num_further
        return notes == NUM_SHARDS

    before = count_notes()
    num_further = generator.randint(1, max(1, (NUM_SHARDS - before) // 3))
    while not has_come():
        time.sleep(0.001)
    time.sleep(generator.random() * 0.01)
    workers = children(process.pid)
    process.kill()
    has_hit = process.wait() == -signal.SIGKILL
    assert moment != "planning" or not work.exists()
    for pid in workers:
        wait_for(lambda pid=pid: not is_running(pid))
    return has_hit


def kill_and_rerun(src, out, undisturbed, moments, seed):
    """Kills runs, each the rerun of the one before, and lets the last one finish.

    Returns:
        How many were killed before their end.
    """
    generator = random.Random(seed)
    num_killed = 0
    for moment in moments:
        process = subprocess.Popen(
            command(src, out), cwd=CHECKOUT, stdout=subprocess.DEVNULL
        )
        num_killed += kill(process, moment, out, generator)
        # Nothing that a reader looks at is ever half there.
        for path in out.glob("wlasl-*.tfrecord-*"):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            assert digest == undisturbed[path.name], path.name
        if (out / "index.json").exists():
            shard_folder.load_folder(out)
    done = run(src, out)
    assert done.returncode == 0, done.stderr
    assert folder_bytes(out) == undisturbed
    assert not (out / ".shard-work").exists()
    return num_killed


LARGE = "large.mp4"
# 16 of train and 8 of val.
NUM_SHARDS = 24


@pytest.fixture(scope="module")
def src_with_large(tmp_path_factory, src):
    """The same videos and one that is none, whose reading makes planning take time."""
    directory = tmp_path_factory.mktemp("large") / "src"
    shutil.copytree(src, directory)
    with (directory / "train" / "book" / LARGE).open("wb") as file:
        file.truncate(256 << 20)
    return directory


@pytest.fixture(scope="module")
def undisturbed_large(tmp_path_factory, src_with_large):
    out = tmp_path_factory.mktemp("undisturbed-large") / "s"
    assert shard_here(src_with_large, out) == 0
    return folder_bytes(out)


def test_killed_runs_end_with_the_same_bytes(
    tmp_path, src_with_large, undisturbed_large
):
    moments = ("planning", "writing", "writing", "finishing")
    assert (
        kill_and_rerun(
            src_with_large, tmp_path / "s", undisturbed_large, moments, seed=0
        )
        >= 3
    )


@pytest.mark.slow
def test_killed_twenty_times_the_bytes_are_the_same(
    tmp_path, src_with_large, undisturbed_large
):
    num_killed = 0
    for seed in range(4):
        moments = ["planning", "writing", "writing", "writing", "finishing"]
        num_killed += kill_and_rerun(
            src_with_large, tmp_path / str(seed), undisturbed_large, moments, seed + 1
        )
    # The last of each row may come too late: what it aims at takes milliseconds.
    assert num_killed >= 18


class Died(BaseException):
    """Stands for the end of a process."""


def dying_after(num_steps):
    """Gives an `os` in which the next renaming or removal but so many is the last."""
    left = iter([False] * num_steps)

    def step(function):
        def call(*args, **kwargs):
            if next(left, True):
                raise Died
            return function(*args, **kwargs)

        return call

    changed = {"replace": step(os.replace), "remove": step(os.remove)}
    return SimpleNamespace(**{**vars(os), **changed})


def test_every_moment_of_the_last_step_can_be_interrupted(
    tmp_path, src, undisturbed, monkeypatch
):
    # The end of a run is a row of renamings; a process that dies between two of them is
    # one in which the n-th raises. The folder was finished before, with a video less.
    manifest = read_manifest(src)
    fewer = dataclasses.replace(manifest, instances=manifest.instances[1:])
    out = tmp_path / "s"
    write_shards(fewer, out, options=OPTIONS, workers=2, src=src)
    before = folder_bytes(out)
    last = 0
    real_finish = output_folder.finish_folder

    def finish_and_die(*arguments):
        # Two modules rename and remove, and the steps of both count.
        dying = dying_after(num_steps)
        with monkeypatch.context() as patch:
            patch.setattr(output_folder, "os", dying)
            patch.setattr(files, "os", dying)
            real_finish(*arguments)

    # All shards are moved alike; what comes behind them is tried one by one.
    for num_steps in (0, 1, NUM_SHARDS // 2, *range(NUM_SHARDS, 99)):
        with monkeypatch.context() as patch:
            patch.setattr(sharder, "finish_folder", finish_and_die)
            try:
                write_shards(manifest, out, options=OPTIONS, workers=2, src=src)
                break
            except Died:
                last = num_steps
        if (out / "index.json").exists():
            # It is the first to go, and the last to come.
            left = folder_bytes(out)
            assert {name: left.get(name) for name in before} == before
    assert last > NUM_SHARDS + 2
    assert folder_bytes(out) == undisturbed


def test_an_index_that_is_half_written_is_not_seen(
    tmp_path, src, undisturbed, monkeypatch
):
    manifest = read_manifest(src)
    out = tmp_path / "s"

    real_write = Path.write_bytes

    def write_and_die(path, content):
        real_write(path, content[:1] if "index.json" in path.name else content)
        if "index.json" in path.name:
            raise Died
        return len(content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_and_die)
        with pytest.raises(Died):
            write_shards(manifest, out, options=OPTIONS, workers=2, src=src)
    assert (out / "dataset_info.json").exists()
    assert not (out / "index.json").exists()
    write_shards(manifest, out, options=OPTIONS, workers=2, src=src)
    assert folder_bytes(out) == undisturbed


def test_a_shard_is_on_the_disk_before_it_is_noted(tmp_path, src, monkeypatch):
    # Else a machine that loses its power could keep the note, and not the shard.
    real_fsync = os.fsync
    synced = []

    def fsync(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        assert not path.with_name(f"{path.name}.json").exists()
        synced.append(path.name)
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    out = tmp_path / "s"
    write_shards(read_manifest(src), out, options=OPTIONS, workers=2)
    assert {path.name for path in out.glob("*.tfrecord-*")} < set(synced)


def test_ctrl_c_stops_at_once_and_says_how_to_continue(tmp_path, numbered_video):
    src = tmp_path / "src"
    first = numbered_video(src / "book" / "0.mp4", 300, height=480, width=640)
    for n in range(1, 4000):
        os.link(first, src / "book" / f"{n}.mp4")

    out = tmp_path / "s"
    process = start_in_group(src, out)
    wait_for(lambda: (out / ".shard-work").exists())
    workers = wait_for(lambda: children(process.pid))
    check_stop(process, signal.SIGINT, 130)
    # One that was just being started needs a moment to see that it is alone.
    wait_for(lambda: not any(map(is_running, workers)))
    assert not (out / "index.json").exists()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_it_stops_at_once_while_large_files_are_read(tmp_path, number, code):
    # Each takes many minutes to read, and eight are read at the same time.
    (tmp_path / "src" / "book").mkdir(parents=True)
    for n in range(8):
        with (tmp_path / "src" / "book" / f"{n}.mp4").open("wb") as file:
            file.truncate(1 << 40)
    process = start_in_group(tmp_path / "src", tmp_path / "s")

    def is_reading():
        with contextlib.suppress(OSError):
            links = Path(f"/proc/{process.pid}/fd").iterdir()
            return any(os.readlink(link).endswith(".mp4") for link in links)

    try:
        wait_for(is_reading)
        check_stop(process, number, code)
    finally:
        process.kill()
    assert not list((tmp_path / "s").iterdir())


def start_in_group(src, out):
    """Starts a run as a terminal does: in a group of its own."""
    return subprocess.Popen(
        command(src, out),
        cwd=CHECKOUT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def check_stop(process, number, code):
    """Sends a signal where minutes of work are left."""
    os.killpg(process.pid, number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert "the same command resumes" in stderr
    assert "Traceback" not in stderr

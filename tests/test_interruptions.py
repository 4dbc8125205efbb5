"""The sharder is killed, starved, fed garbage, and comes out with the same bytes."""

import contextlib
import csv
import dataclasses
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from wlasl_tfrecord import decoder_handle, index, output_folders
from wlasl_tfrecord.cli.shard import main
from wlasl_tfrecord.clips import ClipSpec
from wlasl_tfrecord.contents import sha256_of
from wlasl_tfrecord.decoder_jobs import Job
from wlasl_tfrecord.decoders import (
    Decoded,
    DecoderLimits,
    Undecoded,
    decode_in_order,
)
from wlasl_tfrecord.errors import OutputError, WlaslError
from wlasl_tfrecord.instances import Instance, Manifest
from wlasl_tfrecord.manifest import read_manifest
from wlasl_tfrecord.plan import ShardOptions, Task
from wlasl_tfrecord.shards import write_shards
from wlasl_tfrecord.video_files import text_of

CHECKOUT = Path(__file__).resolve().parents[1]
CLIP = ClipSpec(num_frames=6, height=64, width=64)
OPTIONS = ShardOptions(clip=CLIP)


@pytest.fixture(scope="module")
def src(tmp_path_factory, numbered_video):
    """Class folders: 20 videos of each of two signs, with a train and a val split."""
    directory = tmp_path_factory.mktemp("src")
    for n in range(40):
        split, gloss = "val" if n % 4 == 3 else "train", "book" if n % 2 else "drink"
        numbered_video(
            directory / split / gloss / f"{n}.mp4", num_frames=30 + n, first_number=n
        )
    return directory


def manifest_of(directory, paths=None):
    paths = sorted(directory.rglob("*.mp4")) if paths is None else paths
    instances = tuple(
        Instance(video_id=f"v{n}", gloss="a", label=0, split="train", path=str(path))
        for n, path in enumerate(paths)
    )
    return Manifest(instances=instances, glosses=("a",), annotations="drawn")


def folder_bytes(out):
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def command(src, out, *more):
    return [
        *(sys.executable, "-m", "wlasl_tfrecord.cli.shard"),
        *("--src", src, "--out", out, "--num-frames", "6", "--size", "64"),
        *("--workers", "2", *more),
    ]


def run(src, out, *more, **kwargs):
    return subprocess.run(
        command(src, out, *more), cwd=CHECKOUT, capture_output=True, text=True, **kwargs
    )


@pytest.fixture
def shard(capfd):
    """Runs the command in this process, which has TensorFlow already."""

    def call(src, out, *more):
        code = main([str(word) for word in command(src, out, *more)[3:]])
        return subprocess.CompletedProcess(more, code, *capfd.readouterr())

    return call


def children(pid):
    """Gives the processes that a process has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def is_running(pid):
    """Says whether a process lives; one that nobody has buried yet does not."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        )
    except OSError:
        return False


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.005)
    raise AssertionError(f"nothing happened within {seconds} seconds")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, src):
    out = tmp_path_factory.mktemp("undisturbed") / "s"
    assert main([str(word) for word in command(src, out)[3:]]) == 0
    return folder_bytes(out)


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

    def has_come():
        if process.poll() is not None:
            return True
        if moment == "planning":
            return LARGE in open_files(process.pid)
        notes = len(list(work.glob("wlasl-*.json")))
        if moment == "writing":
            return notes >= before + num_further
        return notes == NUM_SHARDS

    before = len(list(work.glob("wlasl-*.json")))
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
            index.load_folder(out)
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
    assert main([str(word) for word in command(src_with_large, out)[3:]]) == 0
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


def test_every_moment_of_the_last_step_can_be_interrupted(
    tmp_path, src, undisturbed, monkeypatch
):
    # The end of a run is a row of renamings; a process that dies between two of them is
    # one in which the n-th raises.
    manifest = read_manifest(src)
    real_replace, real_remove = os.replace, os.remove

    class Died(BaseException):
        pass

    def dying_after(steps):
        left = [steps]

        def step(function):
            def call(*args, **kwargs):
                if left[0] == 0:
                    raise Died
                left[0] -= 1
                return function(*args, **kwargs)

            return call

        return step

    out = tmp_path / "s"
    for steps in (0, 1, 5, 20, 33, 34, 36, 38):
        with monkeypatch.context() as patch:
            step = dying_after(steps)
            patch.setattr(output_folders.os, "replace", step(real_replace))
            patch.setattr(output_folders.os, "remove", step(real_remove))
            with contextlib.suppress(Died):
                write_shards(manifest, out, options=OPTIONS, workers=2, src=src)
    write_shards(manifest, out, options=OPTIONS, workers=2, src=src)
    assert folder_bytes(out) == undisturbed


def test_ctrl_c_stops_at_once_and_says_how_to_continue(tmp_path, numbered_video):
    src = tmp_path / "src"
    first = numbered_video(src / "book" / "0.mp4", 300, height=480, width=640)
    for n in range(1, 4000):
        os.link(first, src / "book" / f"{n}.mp4")
    out = tmp_path / "s"
    process = start_in_group(src, out)
    wait_for(lambda: (out / ".shard-work").exists())
    workers = wait_for(lambda: children(process.pid))
    check_ctrl_c(process)
    # One that was just being started needs a moment to see that it is alone.
    wait_for(lambda: not any(map(is_running, workers)), seconds=2)
    assert not (out / "index.json").exists()


def test_ctrl_c_stops_at_once_while_large_files_are_read(tmp_path):
    # Each takes several seconds to read, and eight are read at the same time.
    (tmp_path / "src" / "book").mkdir(parents=True)
    for n in range(8):
        with (tmp_path / "src" / "book" / f"{n}.mp4").open("wb") as file:
            file.truncate(8 << 30)
    process = start_in_group(tmp_path / "src", tmp_path / "s")

    def is_reading():
        with contextlib.suppress(OSError):
            links = Path(f"/proc/{process.pid}/fd").iterdir()
            return any(os.readlink(link).endswith(".mp4") for link in links)

    try:
        wait_for(is_reading)
        check_ctrl_c(process)
    finally:
        process.kill()
    assert not list((tmp_path / "s").iterdir())


def start_in_group(src, out):
    """Starts a run as a terminal does: hearing Ctrl-C, in a group of its own."""
    # A shell starts its background jobs deaf to Ctrl-C, and they pass it on.
    deaf_or_not = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            command(src, out),
            cwd=CHECKOUT,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, deaf_or_not)


def check_ctrl_c(process):
    """Presses Ctrl-C, and waits for the end."""
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    _, stderr = process.communicate(timeout=30)
    assert time.monotonic() - began < 2
    assert process.returncode == 130
    assert "the same command continues where it was" in stderr
    assert "Traceback" not in stderr


def test_two_runs_do_not_share_a_folder(tmp_path, src):
    import fcntl

    out = tmp_path / "s"
    out.mkdir()
    descriptor = os.open(out, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(OutputError, match=r"another run is writing to .*/s; wait"):
            write_shards(manifest_of(src), out, options=OPTIONS)
    finally:
        os.close(descriptor)


class TestDecoders:
    def tasks(self, paths):
        return [
            Task(instance=instance, sha256=sha256_of(instance.path))
            for instance in manifest_of(None, paths).instances
        ]

    def decode(self, tasks, **limits):
        return decode_in_order(
            tasks, options=OPTIONS, limits=DecoderLimits(**limits), num_workers=2
        )

    def test_results_come_in_the_order_of_the_tasks(self, src):
        tasks = self.tasks(sorted(src.rglob("*.mp4")))
        given = [task for task, _ in self.decode(tasks)]
        assert given == tasks

    def test_a_killed_decoder_costs_no_video_the_first_time(self, src):
        tasks = self.tasks(sorted(src.rglob("*.mp4")))
        results = self.decode(tasks)
        next(results)
        for pid in children(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        left = [result for _, result in results]
        assert len(left) == 39
        assert all(isinstance(result, Decoded) for result in left)

    def test_a_decoder_that_dies_behind_its_last_answer_goes_on(self, src):
        limits = DecoderLimits()
        decoder = decoder_handle.start(OPTIONS, limits, 2)
        try:
            for number, task in enumerate(self.tasks(sorted(src.rglob("*.mp4"))[:2])):
                decoder_handle.send(decoder, Job(number=number, task=task))
                # It ends where there is nothing more to come.
                decoder.process.stdin.close()
                decoder.process.wait()
                ((job, answer),) = decoder_handle.receive(decoder, OPTIONS, limits)
                assert job.number == number
                name = Path(task.instance.path).stem
                assert answer["num_video_frames"] == 30 + int(name)
                decoder_handle.release(decoder, job)
        finally:
            decoder_handle.stop(decoder)

    @pytest.mark.parametrize(
        ("signal_name", "reason"),
        [
            ("SIGKILL", "crash: its decoder was ended by SIGKILL"),
            # A process that is stopped hangs as well as one in an endless loop.
            ("SIGSTOP", "timeout: not decoded within 5 seconds"),
        ],
    )
    def test_a_video_that_ends_or_hangs_its_decoder_costs_itself(
        self, src, long_video, signal_name, reason
    ):
        tasks = self.tasks([long_video, *sorted(src.rglob("*.mp4"))[:3]])
        arguments = [str(os.getpid()), long_video.name, signal_name]
        harm = subprocess.Popen([sys.executable, "-c", HARM, *arguments])
        try:
            results = [result for _, result in self.decode(tasks, timeout_seconds=5)]
        finally:
            harm.kill()
            harm.wait()
        assert results[0] == Undecoded(reason=reason)
        assert all(isinstance(result, Decoded) for result in results[1:])

    def test_decoders_that_never_start_are_the_end_of_the_run(self, src, monkeypatch):
        monkeypatch.setattr(sys, "path", [])
        with pytest.raises(WlaslError, match="a decoder process does not start"):
            list(self.decode(self.tasks([min(src.rglob("*.mp4"))])))

    def test_a_video_that_eats_memory_costs_itself(self, tmp_path, src):
        # 12,000 x 12,000 black pixels are 1.7 MB as JPEG and 430 MB as a frame.
        path = str(tmp_path / "huge.avi")
        size = (12000, 12000)
        writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 25, size)
        writer.write(np.zeros((*size, 3), np.uint8))
        writer.release()
        tasks = self.tasks([path, *sorted(src.rglob("*.mp4"))[:3]])
        results = [result for _, result in self.decode(tasks, memory_mib=300)]
        reason = "huge.avi: out of memory: its frames are too large"
        assert results[0] == Undecoded(reason=reason)
        assert all(isinstance(result, Decoded) for result in results[1:])
        # With enough memory it is a video like any other.
        (_, result), *_ = self.decode(tasks[:1])
        assert isinstance(result, Decoded)

    def test_a_decoder_that_cannot_be_started_is_the_end(self, src, monkeypatch):
        monkeypatch.setattr(sys, "executable", "/no/python")
        with pytest.raises(
            WlaslError, match=r"cannot start a decoder process: .*fewer"
        ):
            list(self.decode(self.tasks([min(src.rglob("*.mp4"))])))

    def test_a_video_that_changes_meanwhile_is_named(self, src):
        (task,) = self.tasks([min(src.rglob("*.mp4"))])
        other = dataclasses.replace(task, sha256="0" * 64)
        ((_, result),) = self.decode([other])
        assert result == Undecoded(
            reason="unreadable: it was changed during the run; run again"
        )

    def test_a_decoder_stays_small_and_knows_no_tensorflow(
        self, tmp_path, numbered_video
    ):
        paths = [
            numbered_video(tmp_path / f"{n}.mp4", 12, height=1080, width=1920)
            for n in range(3)
        ]
        before = set(children(os.getpid()))
        options = ShardOptions()
        results = decode_in_order(
            self.tasks(paths), options=options, limits=DecoderLimits(), num_workers=1
        )
        # Suspended behind its first clip, with one decoder that has done others.
        next(results)
        (pid,) = set(children(os.getpid())) - before
        status = Path(f"/proc/{pid}/status").read_text()
        maps = Path(f"/proc/{pid}/maps").read_text()
        results.close()
        assert int(status.split("VmHWM:")[1].split()[0]) < 250 * 1024
        assert "cv2" in maps
        assert "tensorflow" not in maps

    def test_nothing_is_left_running(self, src):
        before = set(children(os.getpid()))
        results = self.decode(self.tasks(sorted(src.rglob("*.mp4"))))
        next(results)
        results.close()
        assert set(children(os.getpid())) == before


@pytest.fixture(scope="module")
def long_video(tmp_path_factory, numbered_video):
    """A video that takes a second or more to decode, so that one can interfere."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    return numbered_video(path, num_frames=1200, height=480, width=640)


# Sends a signal to the child of a process that has a video open, as often as it has.
HARM = """
import os, signal, sys
parent, name, signal_name = sys.argv[1:]
while True:
    for pid in os.listdir("/proc"):
        try:
            stat = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
            if not pid.isdigit() or stat[1] != parent:
                continue
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{fd}").endswith(name):
                    os.kill(int(pid), getattr(signal, signal_name))
        except OSError:
            pass
"""


def percent(n):
    """Gives where the n-th damaged video is cut off: 500 in a row have every percent.

    The two kinds of every ten that are cut are the even and the odd ones; 37 and 100
    have no common factor, so that few of them are spread too.
    """
    return (2 * (n // 10) + n % 10 - 3) * 37 % 100


def test_damaged_videos_are_cut_off_at_every_percent():
    cut = [percent(n) for n in range(500) if n % 10 in (3, 4)]
    assert sorted(cut) == list(range(100))


def damaged_videos(directory, good, count, seed=0):
    """Writes videos damaged in every way, in turn; gives their paths."""
    generator = random.Random(seed)
    data = good.read_bytes()
    picture = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    text = data.decode("utf-8", "replace").encode()
    directory.mkdir(parents=True)
    names = ["a b", "it's", 'say "hi"', "zwei\nzeilen", "手話", "%d", "-rf", "$(id)"]

    def flipped():
        damaged = bytearray(data)
        for _ in range(generator.choice([1, 10, 100, 1000])):
            damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
        return bytes(damaged)

    def zeroed():
        start = generator.randrange(len(data))
        stop = min(len(data), start + generator.randrange(1, 20000))
        return data[:start] + bytes(stop - start) + data[stop:]

    paths = []
    for n in range(count):
        path = directory / f"{names[n // 10 % len(names)]}{n}.mp4"
        kind = n % 10
        if kind in (0, 1, 2):
            path.write_bytes(flipped())
        elif kind in (3, 4):
            path.write_bytes(data[: len(data) * percent(n) // 100])
        elif kind == 5:
            path.write_bytes(zeroed())
        elif kind == 6:
            path.write_bytes([b"", bytes(len(data)), text][n // 10 % 3])
        elif kind == 7:
            path.write_bytes([b"<html>404</html>", picture][n // 10 % 2])
        elif kind == 8:
            path.mkdir()
        elif n // 10 % 2:
            path.symlink_to(path)
        else:
            os.mkfifo(path)
        paths.append(path)
    return paths


def check_damaged(tmp_path, good, count):
    paths = damaged_videos(tmp_path / "damaged", good, count)
    report = write_shards(
        manifest_of(None, paths), tmp_path / "s", options=OPTIONS, workers=2
    )
    values = json.loads((tmp_path / "s" / "report.json").read_text())
    assert len(values["instances"]) == count
    kinds = {v["video_id"]: v["outcome"] for v in values["instances"]}
    assert set(kinds.values()) <= {"written", "unreadable", "too short"}
    for n in range(count):
        if n % 10 >= 6:
            assert kinds[f"v{n}"] in ("unreadable", "too short"), n
    with (tmp_path / "s" / "failures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == report.num_failed == count - report.num_written
    assert all(row["reason"] and "\n" not in row["path"] for row in rows)
    text = (tmp_path / "s" / "failures.csv").read_text()
    assert len(text.splitlines()) == len(rows) + 1
    # Not one crash: every one of them was an answer.
    assert report.num_written >= count // 10


def check_damaged_by_command(tmp_path, good, count):
    """The same as their user has it: a folder of such files, named as they are."""
    paths = damaged_videos(tmp_path / "src" / "a sign", good, count)
    done = run(tmp_path / "src", tmp_path / "t", "--timeout", "20")
    assert done.returncode == 0, done.stderr
    values = json.loads((tmp_path / "t" / "report.json").read_text())
    found = {v["video_id"]: v for v in values["instances"]}
    assert len(found) == count
    for n, path in enumerate(paths):
        value = found[f"a sign/{text_of(path.name)}"]
        # What is no file is known for it before anything is opened.
        kinds = ["unusable"] if n % 10 >= 8 else ["unreadable", "too short"]
        if n % 10 < 6:
            kinds.append("written")
        assert value["outcome"] in kinds, value
        assert value["path"] == value["video_id"]
    text = (tmp_path / "t" / "failures.csv").read_text()
    num_failed = sum(value["outcome"] != "written" for value in found.values())
    assert len(text.splitlines()) == 1 + num_failed
    with (tmp_path / "t" / "failures.csv").open(newline="") as file:
        assert all(found[row["video_id"]]["reason"] for row in csv.DictReader(file))


def test_damaged_videos_are_each_reported(tmp_path, src):
    check_damaged(tmp_path, min(src.rglob("*.mp4")), 200)
    check_damaged_by_command(tmp_path, min(src.rglob("*.mp4")), 100)


@pytest.mark.slow
def test_a_thousand_damaged_videos_are_each_reported(tmp_path, src):
    check_damaged(tmp_path, min(src.rglob("*.mp4")), 1000)
    check_damaged_by_command(tmp_path, min(src.rglob("*.mp4")), 1000)


def test_a_full_disk_is_one_clear_line_and_the_rest_comes_later(
    tmp_path, src, undisturbed, shard
):
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    out = tmp_path / "disk"
    out.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1500k", "none", out], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.decode()}")
    try:
        done = run(src, out / "s")
        assert done.returncode == 1
        assert "GiB, free are" in done.stderr or "no space left" in done.stderr
        assert "Traceback" not in done.stderr
        # What was checked beforehand may be gone later: another process writes too.
        subprocess.run(["mount", "-o", "remount,size=4000k", out], check=True)
        filler = out / "filler"
        filler.write_bytes(bytes(2_500_000))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("wlasl_tfrecord.shards.check_space", lambda _: None)
            manifest = read_manifest(src)
            with pytest.raises(OutputError, match="no space left to write"):
                write_shards(manifest, out / "s", options=OPTIONS, src=src, workers=2)
        assert not list((out / "s").glob("wlasl-*"))
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=9000k", out], check=True)
        done = run(src, out / "s")
        assert done.returncode == 0, done.stderr
        assert folder_bytes(out / "s") == undisturbed
        # Read-only, it is still known to be finished; more than that it cannot be.
        subprocess.run(["mount", "-o", "remount,ro", out], check=True)
        done = shard(src, out / "s")
        assert done.returncode == 0
        assert "everything is there" in done.stdout
        done = shard(src, out / "s", "--overwrite")
        assert done.returncode == 1
        assert "Read-only file system; check --out" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert folder_bytes(out / "s") == undisturbed
    finally:
        subprocess.run(["umount", out], check=True)


def test_a_file_that_may_not_grow_is_one_clear_line(tmp_path, src, undisturbed):
    out = tmp_path / "s"
    work = out / ".shard-work"
    process = subprocess.Popen(
        command(src, out), cwd=CHECKOUT, stderr=subprocess.PIPE, text=True
    )
    # Not from the start: then it is the memory of the decoders that may not grow.
    wait_for(lambda: list(work.glob("wlasl-*.json")))
    # Six frames of 64 x 64 are 73,728 bytes: the next record is cut off.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (50_000, 50_000))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stderr == (f"wlasl-shard: cannot write {out}: File too large; check --out\n")
    # Nothing of it is visible; and what is noted as finished in the working folder is.
    assert [path.name for path in out.iterdir()] == [".shard-work"]
    (half,) = work.glob("*.tmp")
    assert half.stat().st_size >= 50_000
    noted = {path.stem for path in work.glob("wlasl-*.json")}
    assert noted
    for name in noted:
        content = (work / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == undisturbed[name]
    assert run(src, out).returncode == 0
    assert folder_bytes(out) == undisturbed


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path, src, shard):
    (tmp_path / "file").write_text("not a folder")
    done = shard(src, tmp_path / "file" / "s")
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "check --out" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    read_only = Path("/proc/s")
    done = shard(src, read_only)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    ("out", "message"),
    [
        (
            "gs://bucket/x",
            "shards are written to a local folder, got 'gs://bucket/x'; choose a "
            "local --out, and copy it there when it is finished",
        ),
        ("", "--out must name a folder, got ''"),
    ],
)
def test_an_out_that_is_no_local_folder_is_refused(
    tmp_path, src, shard, monkeypatch, out, message, more
):
    monkeypatch.chdir(tmp_path)
    done = shard(src, out, *more)
    assert done.returncode == 2
    assert done.stderr == f"wlasl-shard: {message}\n"
    assert not list(tmp_path.iterdir())


class TestCommand:
    def test_a_dry_run_says_what_would_be_done_and_does_nothing(
        self, tmp_path, src, shard
    ):
        done = shard(src, tmp_path / "s", "--dry-run")
        assert done.returncode == 0
        assert "32 of 32 shards to write, 40 clips" not in done.stdout
        assert "shards to write, 40 clips, about" in done.stdout
        assert not (tmp_path / "s").exists()

    def test_what_does_not_fit_is_refused_before_anything_is_written(
        self, tmp_path, src, shard
    ):
        done = shard(src, tmp_path / "s", "--num-frames", "1500", "--size", "650")
        needed = 40 * 1500 * 650 * 650 * 3
        if shutil.disk_usage(tmp_path).free > needed:
            pytest.skip("this disk is too large to be filled on paper")
        assert done.returncode == 1
        assert "GiB, free are" in done.stderr
        assert not list((tmp_path / "s").glob("*"))

    def test_strict_is_an_error_where_a_video_failed(self, tmp_path, src, shard):
        shutil.copytree(src, tmp_path / "src")
        (tmp_path / "src" / "train" / "book" / "x.mp4").write_bytes(b"<html>")
        assert shard(tmp_path / "src", tmp_path / "s").returncode == 0
        done = shard(tmp_path / "src", tmp_path / "s", "--strict")
        assert done.returncode == 1
        assert "failed: 1 unreadable" in done.stdout
        assert "everything is there" in done.stdout

    def test_a_size_may_be_a_rectangle(self, tmp_path, src, shard):
        done = shard(src, tmp_path / "s", "--size", "32x48")
        assert done.returncode == 0
        assert index.load_folder(tmp_path / "s").clip == ClipSpec(
            num_frames=6, height=32, width=48
        )

    def test_a_size_that_is_none_is_an_error_of_the_arguments(
        self, tmp_path, src, shard
    ):
        done = shard(src, tmp_path / "s", "--size", "big")
        assert done.returncode == 2
        assert "--size must be 224 or 224x320, got 'big'" in done.stderr

    def test_a_quality_that_would_mean_nothing_is_refused(self, tmp_path, src, shard):
        done = shard(src, tmp_path / "s", "--codec", "png", "--jpeg-quality", "50")
        assert done.returncode == 2
        assert "--jpeg-quality is for --codec jpeg, not png" in done.stderr

    def test_no_videos_is_one_line(self, tmp_path, shard):
        (tmp_path / "src").mkdir()
        done = shard(tmp_path / "src", tmp_path / "s")
        assert done.returncode == 1
        assert "no videos" in done.stderr
        assert len(done.stderr.splitlines()) == 1

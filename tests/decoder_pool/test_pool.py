"""The pool: processes that may crash, hang or starve, and cost one video."""

import dataclasses
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from sharding import CHECKOUT, OPTIONS, children, command, manifest_of

from wlasl_tfrecord.decoder_pool import pool
from wlasl_tfrecord.decoder_pool import worker as workers
from wlasl_tfrecord.decoder_pool.awake_clock import awake_clock
from wlasl_tfrecord.decoder_pool.jobs import (
    Decoded,
    Job,
    Task,
    Undecoded,
    VideoLimits,
)
from wlasl_tfrecord.decoder_pool.pool import decode_in_order
from wlasl_tfrecord.errors import WlaslError
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.video.content_hash import sha256_of


class TestPool:
    def tasks(self, paths):
        return [
            Task(instance=instance, sha256=sha256_of(instance.path))
            for instance in manifest_of(None, paths).instances
        ]

    def decode(self, tasks, **limits):
        return decode_in_order(
            tasks, options=OPTIONS, limits=VideoLimits(**limits), num_workers=2
        )

    def test_results_come_in_the_order_of_the_tasks(self, src):
        tasks = self.tasks(sorted(src.rglob("*.mp4")))
        given = [task for task, _ in self.decode(tasks)]
        assert given == tasks

    def test_a_killed_worker_costs_no_video_the_first_time(self, src):
        tasks = self.tasks(sorted(src.rglob("*.mp4")))
        results = self.decode(tasks)
        next(results)
        for pid in children(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        left = [result for _, result in results]
        assert len(left) == 39
        assert all(isinstance(result, Decoded) for result in left)

    def test_a_worker_that_exits_after_its_last_answer_is_restarted(self, src):
        limits = VideoLimits()
        worker = workers.start(OPTIONS, limits, 2)
        try:
            for number, task in enumerate(self.tasks(sorted(src.rglob("*.mp4"))[:2])):
                workers.send(worker, Job(number=number, task=task))
                # It ends where there is nothing more to come.
                worker.process.stdin.close()
                worker.process.wait()
                ((job, answer),) = workers.receive(worker, OPTIONS, limits)
                assert job.number == number
                name = Path(task.instance.path).stem
                assert answer.facts.num_video_frames == 30 + int(name)
                workers.release(worker, job)
        finally:
            workers.stop(worker)

    @pytest.mark.parametrize(
        ("signal_name", "kind", "details"),
        [
            ("SIGKILL", "crash", "its decoder was ended by SIGKILL"),
            # A process that is stopped hangs as well as one in an endless loop.
            ("SIGSTOP", "timeout", "not decoded within 5 seconds"),
        ],
    )
    def test_a_video_that_ends_or_hangs_its_worker_costs_itself(
        self, src, long_video, signal_name, kind, details
    ):
        tasks = self.tasks([long_video, *sorted(src.rglob("*.mp4"))[:3]])
        arguments = [str(os.getpid()), long_video.name, signal_name]
        harm = subprocess.Popen([sys.executable, "-c", HARM, *arguments])
        try:
            results = [result for _, result in self.decode(tasks, timeout_seconds=5)]
        finally:
            harm.kill()
            harm.wait()
        assert results[0] == undecoded(kind, details)
        assert all(isinstance(result, Decoded) for result in results[1:])

    def test_time_in_which_the_run_was_suspended_is_no_workers_fault(self, src):
        limits = VideoLimits(timeout_seconds=5)
        worker = workers.start(OPTIONS, limits, 2)
        jumped = 0.0
        worker.clock = awake_clock(lambda: time.monotonic() + jumped)
        try:
            while not worker.is_ready:
                assert not workers.receive(worker, OPTIONS, limits)
            os.kill(worker.process.pid, signal.SIGSTOP)
            (task,) = self.tasks([min(src.rglob("*.mp4"))])
            workers.send(worker, Job(number=0, task=task))
            # As when all processes of a job are stopped for a quarter of an hour.
            jumped = 900.0
            assert not workers.receive(worker, OPTIONS, limits)
            # But this time is its own: somebody looks at it every second.
            answers = []
            while not answers:
                jumped += 1
                answers = workers.receive(worker, OPTIONS, limits)
                assert jumped < 905
            expected = undecoded("timeout", "not decoded within 5 seconds")
            assert [answer for _, answer in answers] == [expected]
        finally:
            workers.stop(worker)

    def test_workers_that_never_start_are_the_end_of_the_run(self, src, monkeypatch):
        monkeypatch.setattr(sys, "path", [])
        with pytest.raises(WlaslError, match="a worker process does not start"):
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
        assert results[0] == undecoded("out of memory", "its frames are too large")
        assert all(isinstance(result, Decoded) for result in results[1:])
        # With enough memory it is a video like any other.
        (_, result), *_ = self.decode(tasks[:1])
        assert isinstance(result, Decoded)

    def test_a_worker_that_cannot_be_started_is_the_end(self, src, monkeypatch):
        monkeypatch.setattr(sys, "executable", "/no/python")
        with pytest.raises(WlaslError, match=r"cannot start a worker process: .*fewer"):
            list(self.decode(self.tasks([min(src.rglob("*.mp4"))])))

    @pytest.mark.parametrize("num_spare", range(7))
    def test_too_few_descriptors_are_no_fault_of_the_output(self, src, num_spare):
        tasks = self.tasks([min(src.rglob("*.mp4"))])
        free = free_descriptors()
        most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free[num_spare], hard))
        try:
            with pytest.raises(WlaslError, match=r"cannot start a worker .* fewer --w"):
                list(self.decode(tasks))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        assert free_descriptors() == free

    def test_a_limit_on_memory_that_nobody_may_raise_is_kept(self, tmp_path, src):
        # As batch systems set it: below what --worker-mib asks for by default.
        limited = ["sh", "-c", 'ulimit -d 1000000 && exec "$@"', "sh"]
        done = subprocess.run(
            [*limited, *command(src, tmp_path / "s")],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def test_a_video_that_changes_meanwhile_is_named(self, src):
        (task,) = self.tasks([min(src.rglob("*.mp4"))])
        other = dataclasses.replace(task, sha256="0" * 64)
        ((_, result),) = self.decode([other])
        assert result == undecoded("changed", "it was replaced during the run")

    def test_a_worker_stays_small_and_knows_no_tensorflow(
        self, tmp_path, numbered_video
    ):
        paths = [
            numbered_video(tmp_path / f"{n}.mp4", 12, height=1080, width=1920)
            for n in range(3)
        ]
        before = set(children(os.getpid()))
        options = ShardOptions()
        results = decode_in_order(
            self.tasks(paths), options=options, limits=VideoLimits(), num_workers=1
        )
        # Suspended after its first clip, with one worker that has done others.
        next(results)
        (pid,) = set(children(os.getpid())) - before
        status = Path(f"/proc/{pid}/status").read_text()
        maps = Path(f"/proc/{pid}/maps").read_text()
        results.close()
        assert int(status.split("VmHWM:")[1].split()[0]) < 250 * 1024
        assert "cv2" in maps
        assert "tensorflow" not in maps

    def test_large_clips_wait_in_bounded_memory(self, src, monkeypatch):
        # 95 MiB each. With small ones, up to ten of one worker wait for their turn.
        clip = ClipSpec(num_frames=64, height=540, width=960)
        started = []
        monkeypatch.setattr(
            pool,
            "start",
            lambda *a: started.append(workers.start(*a)) or started[-1],
        )
        results = decode_in_order(
            self.tasks(sorted(src.rglob("*.mp4"))[:1]),
            options=ShardOptions(clip=clip),
            limits=VideoLimits(),
            num_workers=4,
        )
        next(results)
        sizes = {len(one.memory) for one in started}
        results.close()
        assert 4 * max(sizes) < 1.2e9

    def test_nothing_is_left_running(self, src):
        before = set(children(os.getpid()))
        results = self.decode(self.tasks(sorted(src.rglob("*.mp4"))))
        next(results)
        results.close()
        assert set(children(os.getpid())) == before


def undecoded(kind, details):
    return Undecoded(kind=kind, reason=f"{kind}: {details}")


def free_descriptors():
    """Returns the first numbers that no open file of this process has."""
    return [n for n in range(500) if not Path(f"/proc/self/fd/{n}").exists()][:9]


@pytest.fixture(scope="module")
def long_video(tmp_path_factory, numbered_video):
    """A video that takes a second or more to decode, so that one can interfere."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    return numbered_video(path, num_frames=600, height=480, width=640)


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

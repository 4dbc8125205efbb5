"""Hashes of many videos: right, in order, and none that delays the others."""

import hashlib
import os
import threading

import pytest

from wlasl_tfrecord.errors import VideoError, WlaslError
from wlasl_tfrecord.sharding.video_hashes import hash_videos
from wlasl_tfrecord.video.content_hash import sha256_of


@pytest.fixture
def files(tmp_path):
    paths = []
    for n in range(60):
        path = tmp_path / f"{n}.mp4"
        path.write_bytes(bytes([n]) * (n * 1000 + 1))
        paths.append(str(path))
    return paths


def test_hashes_come_in_the_order_of_the_paths(files):
    results = list(hash_videos(files, 60))
    assert [path for path, _ in results] == files
    for n, (_, digest) in enumerate(results):
        content = bytes([n]) * (n * 1000 + 1)
        assert digest == hashlib.sha256(content).hexdigest()
    assert list(hash_videos([], 60)) == []


def test_what_cannot_be_read_says_why(files, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    bad = [str(tmp_path / "missing.mp4"), str(tmp_path / "pipe.mp4")]
    results = dict(hash_videos([*bad, *files], 60))
    assert str(results[bad[0]]) == "unreadable: No such file or directory"
    assert str(results[bad[1]]) == "unreadable: not a regular file"
    assert sum(isinstance(result, str) for result in results.values()) == 60


def test_files_without_an_end_cost_only_themselves(files, tmp_path):
    # More than there are threads: 8 TiB each, of which the disk holds nothing.
    endless = []
    for n in range(10):
        path = tmp_path / f"endless{n}.mp4"
        with path.open("wb") as file:
            file.truncate(8 << 40)
        endless.append(str(path))
    results = dict(hash_videos([*endless, *files], 2))
    for path in endless:
        assert isinstance(results[path], VideoError)
        assert str(results[path]) == "timeout: not read within 2 seconds"
    for path in files:
        assert results[path] == sha256_of(path)


def test_nobody_reads_on_when_nobody_waits(tmp_path):
    path = tmp_path / "endless.mp4"
    with path.open("wb") as file:
        file.truncate(8 << 40)
    before = set(threading.enumerate())
    results = hash_videos([str(path)] * 20, 0.5)
    next(results)
    started = set(threading.enumerate()) - before
    assert started
    results.close()
    for thread in started:
        thread.join(timeout=30)
        assert not thread.is_alive()


def test_a_system_that_starts_no_thread_is_one_line(files, monkeypatch):
    def start(_):
        raise RuntimeError("can't start new thread")

    # Where the user has too many processes; a limit would count those of other tests.
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(WlaslError, match="can't start new thread; allow more proc"):
        list(hash_videos(files, 60))


def test_a_command_reports_a_file_without_an_end(tmp_path, numbered_video, capfd):
    from wlasl_tfrecord.cli.shard import main

    numbered_video(tmp_path / "src" / "book" / "0.mp4")
    with (tmp_path / "src" / "book" / "1.mp4").open("wb") as file:
        file.truncate(8 << 40)
    words = ["--src", str(tmp_path / "src"), "--out", str(tmp_path / "s")]
    words += ["--num-frames", "4", "--size", "32", "--timeout", "3", "--workers", "1"]
    assert main(words) == 0
    assert "failed: 1 timeout" in capfd.readouterr().out
    failures = (tmp_path / "s" / "failures.csv").read_text()
    assert "book/1.mp4,read,timeout: not read within 3 seconds" in failures

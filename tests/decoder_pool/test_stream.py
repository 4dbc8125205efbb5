import os
import signal
import subprocess
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wlasl_tfrecord.decoder_pool import stream
from wlasl_tfrecord.errors import VideoError, WlaslError
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video.long_video import sample_video

CLIP = ClipSpec(num_frames=4, height=32, width=32)
CHOSEN = {"clip": CLIP, "framing": "center", "window_seconds": 0.4}
# So large that a pipe does not hold all of them.
LARGE = {**CHOSEN, "clip": ClipSpec(num_frames=4, height=320, width=320)}


@pytest.fixture(scope="module")
def video(tmp_path_factory, numbered_video):
    return numbered_video(tmp_path_factory.mktemp("videos") / "a.mp4", num_frames=60)


@pytest.fixture
def processes(monkeypatch):
    """The processes that are started."""
    started, start = [], subprocess.Popen

    def popen(*arguments, **options):
        started.append(start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr("subprocess.Popen", popen)
    return started


def test_the_frames_are_those_that_one_process_would_sample(video):
    expected = []
    sample_video(video, expected.append, **CHOSEN)
    found = list(stream.stream_frames(video, **CHOSEN))
    assert len(found) == len(expected) > 10
    for one, other in zip(found, expected):
        assert np.array_equal(one.frame, other.frame)
        assert (one.seconds, one.num_places) == (other.seconds, other.num_places)


def test_whoever_has_seen_enough_leaves_no_process(video, processes):
    frames = stream.stream_frames(video, **CHOSEN)
    next(frames)
    frames.close()
    assert processes[0].returncode == -signal.SIGKILL


def test_a_failure_comes_with_the_name_of_the_video(tmp_path):
    path = tmp_path / "page.mp4"
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(VideoError, match=r"^page\.mp4: unreadable: not a video") as it:
        list(stream.stream_frames(path, **CHOSEN))
    assert it.value.kind == "unreadable"


def test_a_decoder_that_dies_is_a_failure_of_the_video(video, processes):
    frames = stream.stream_frames(video, **LARGE)
    next(frames)
    os.kill(processes[0].pid, signal.SIGSEGV)
    with pytest.raises(VideoError, match=r"a\.mp4: crash: .* ended by SIGSEGV"):
        list(frames)


def test_a_decoder_that_is_stuck_is_a_failure_of_the_video(video, processes):
    # Short only from here on: on a busy machine the first frame takes its time.
    limits: Any = SimpleNamespace(timeout_seconds=60.0, memory_mib=2048)
    frames = stream.stream_frames(video, **LARGE, limits=limits)
    next(frames)
    os.kill(processes[0].pid, signal.SIGSTOP)
    limits.timeout_seconds = 0.5
    with pytest.raises(VideoError, match=r"timeout: no frame within 0\.5 seconds"):
        list(frames)
    assert processes[0].returncode == -signal.SIGKILL


def test_a_system_without_room_for_a_process_is_one_line(video, monkeypatch):
    def refuse(*_, **__):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(stream, "start_process", refuse)
    with pytest.raises(
        WlaslError, match=r"cannot start a process to decode in: .*temp"
    ):
        list(stream.stream_frames(video, **CHOSEN))

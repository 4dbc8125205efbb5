"""What new processes inherit: no current folder in which they look for libraries."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from checkout import CHECKOUT

from wlasl_tfrecord.child_processes import clean_library_path
from wlasl_tfrecord.decoder_pool.stream import stream_frames
from wlasl_tfrecord.shard_format.clips import ClipSpec

STARTS_PROCESSES = re.compile(
    r"subprocess\.(run|Popen)\(|get_context\(|os\.exec|pipeline\.run\("
)


@pytest.mark.parametrize(
    ("before", "after"),
    [("/a:", "/a"), (":/a", "/a"), ("/a::/b", "/a:/b"), ("", None), (None, None)],
)
def test_only_folders_that_are_named_stay(monkeypatch, before, after):
    if before is None:
        monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    else:
        monkeypatch.setenv("LD_LIBRARY_PATH", before)
    clean_library_path()
    assert os.environ.get("LD_LIBRARY_PATH") == after


def test_whatever_starts_a_process_cleans_before():
    # A new one of these is to call it, too.
    starting = {
        path.name
        for path in (CHECKOUT / "wlasl_tfrecord").rglob("*.py")
        if STARTS_PROCESSES.search(path.read_text())
    }
    assert len(starting) >= 9
    for path in (CHECKOUT / "wlasl_tfrecord").rglob("*.py"):
        if path.name in starting:
            assert "    clean_library_path()\n" in path.read_text(), path


@pytest.mark.skipif(sys.platform != "linux", reason="the variable is Linux's")
@pytest.mark.skipif(shutil.which("cc") is None, reason="makes a library")
def test_a_library_among_the_videos_is_not_loaded(
    tmp_path, numbered_video, monkeypatch
):
    video = numbered_video(tmp_path / "a.mp4", num_frames=8)
    source = tmp_path / "a.c"
    source.write_text(
        "#include <sys/stat.h>\n__attribute__((constructor)) static void run(void) "
        f'{{ mkdir("{tmp_path}/was-run", 0700); }}\n'
    )
    # Under the names that Python, or a library of it, asks for.
    for name in ("libdl.so.2", "libutil.so.1", "libpthread.so.0", "librt.so.1"):
        subprocess.run(["cc", "-shared", "-o", tmp_path / name, source], check=True)
    monkeypatch.chdir(tmp_path)
    # As OpenCV leaves it.
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere:")
    clip = ClipSpec(num_frames=4, height=32, width=32)
    frames = stream_frames(video, clip=clip, framing="center", window_seconds=0.2)
    assert list(frames)
    assert not (tmp_path / "was-run").exists()

"""The command that shards, and what it leaves, for tests."""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

from checkout import CHECKOUT

from wlasl_tfrecord.annotations.manifest import Instance, Manifest
from wlasl_tfrecord.cli.shard import main
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.shard_options import ShardOptions

CLIP = ClipSpec(num_frames=6, height=64, width=64)
OPTIONS = ShardOptions(clip=CLIP)


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


def shard_here(src, out, *more):
    """Runs the command in this process; gives its exit code."""
    return main([str(word) for word in command(src, out, *more)[3:]])

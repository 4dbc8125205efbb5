"""The memory of the sharder's parent process: flat in the number of instances."""

import subprocess
import sys
from pathlib import Path

import pytest
from checkout import CHECKOUT

# The peak of this very program: that of a child would begin with its parent's.
PROGRAM = """
import sys
from pathlib import Path
from wlasl_tfrecord.cli.shard import main

code = main(sys.argv[1:])
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
sys.exit(code)
"""


def peak_bytes(src, out):
    """Shards a folder in a process of its own; gives that process's peak."""
    small = ("--num-frames", "6", "--size", "64", "--workers", "2")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--src", src, "--out", out, *small],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "failed:" not in done.stdout
    return int(done.stdout.split()[-1]) * 1024


@pytest.mark.slow
def test_the_parent_keeps_a_few_words_of_each_instance(tmp_path, numbered_video):
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not say how much memory a process has taken")
    path = numbered_video(tmp_path / "one.mp4", num_frames=6, height=48, width=64)
    video = path.read_bytes()
    peaks = {}
    for num_instances in (200, 2000):
        src = tmp_path / f"src{num_instances}"
        (src / "train" / "book").mkdir(parents=True)
        for n in range(num_instances):
            # Readers pass over a box named free: other bytes, the same frames.
            free = (16).to_bytes(4, "big") + b"free" + n.to_bytes(8, "big")
            (src / "train" / "book" / f"{n:05d}.mp4").write_bytes(video + free)
        peaks[num_instances] = peak_bytes(src, tmp_path / f"out{num_instances}")
    # What is to be said of each in report.json and the tables, about 5 kB; a record
    # has 74 kB, one of its frames 12 kB.
    assert peaks[2000] - peaks[200] < 1800 * 10_000
    # All of them, the interpreter and NumPy included.
    assert peaks[2000] < 100 * 2**20

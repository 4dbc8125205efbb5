"""How close is bin/shard to the limit, and how far from the usual guide?

Everything is measured on the same clips, one after the other, in one run:

- limit: OpenCV's `grab()` on every frame, one thread, nothing else;
- guide: what tutorials do, every frame read and written as a JPEG file;
- ours: `write_shards`, all processes counted, writing included; what it costs to start
  (imports, decoder processes) is measured with a single tiny clip and taken off.

    python benchmarks/shard.py path/to/wlasl-clips --annotations path/to/annotations
"""

import argparse
import contextlib
import dataclasses
import os
import resource
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import numpy as np

from wlasl_tfrecord.instances import Instance, Manifest
from wlasl_tfrecord.manifest import read_manifest
from wlasl_tfrecord.shards import ShardOptions, write_shards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("src", type=Path)
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    peaks = [0.0]
    threading.Thread(target=_watch_children, args=(peaks,), daemon=True).start()
    manifest = read_manifest(arguments.src, annotations=arguments.annotations)
    present = tuple(i for i in manifest.instances if i.path)
    manifest = dataclasses.replace(manifest, instances=present)
    paths = [i.path for i in present if i.path]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        tiny = _tiny_manifest(out)
        runs: dict[str, Callable[[], None]] = {
            "limit": lambda: _grab_all(paths),
            "guide": lambda: _extract_all(paths, out / "frames"),
            "raw, 1 worker": lambda: _shard(manifest, out, ShardOptions(), 1),
            "raw, 2 workers": lambda: _shard(manifest, out, ShardOptions(), 2),
            "jpeg, 1 worker": lambda: _shard(
                manifest, out, ShardOptions(codec="jpeg"), 1
            ),
            "jpeg, 2 workers": lambda: _shard(
                manifest, out, ShardOptions(codec="jpeg"), 2
            ),
        }
        start = {
            workers: _measure(lambda n=workers: _shard(tiny, out, ShardOptions(), n))
            for workers in (1, 2)
        }
        cpu: dict[str, list[float]] = {name: [] for name in runs}
        wall: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(arguments.rounds):
            for name, run in runs.items():
                cpu_seconds, wall_seconds = _measure(run)
                if "worker" in name:
                    workers = int(name.split(", ")[1][0])
                    cpu_seconds -= start[workers][0]
                    wall_seconds -= start[workers][1]
                cpu[name].append(cpu_seconds)
                wall[name].append(wall_seconds)
    print(f"{len(paths)} clips, medians of {arguments.rounds} rounds, OpenCV", end=" ")
    print(f"{cv2.__version__}, {len(os.sched_getaffinity(0))} cores")
    print(f"{'':<16}{'CPU ms/clip':>12}{'x limit':>9}{'clips/s':>9}")
    limit = statistics.median(cpu["limit"])
    for name in runs:
        seconds = statistics.median(cpu[name])
        rate = len(paths) / statistics.median(wall[name])
        print(
            f"{name:<16}{seconds / len(paths) * 1e3:>12.1f}{seconds / limit:>9.2f}"
            f"{rate:>9.1f}"
        )
    for codec in ("raw", "jpeg"):
        one = statistics.median(wall[f"{codec}, 1 worker"])
        two = statistics.median(wall[f"{codec}, 2 workers"])
        print(f"{codec}: two workers are {one / two:.2f} times as fast as one")
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"at most {usage:.0f} MiB in the parent, {max(peaks):.0f} in a worker")


def _watch_children(peaks: list[float]) -> None:
    """Notes the peak memory of this process's children in MiB, again and again."""
    while True:
        for children in Path("/proc/self/task").glob("*/children"):
            with contextlib.suppress(OSError, IndexError):
                for child in children.read_text().split():
                    text = Path(f"/proc/{child}/status").read_text()
                    peaks.append(int(text.split("VmHWM:")[1].split()[0]) / 1024)
        time.sleep(0.5)


def _measure(run: Callable[[], None]) -> tuple[float, float]:
    """Gives the CPU seconds of this process and its children, and wall seconds."""
    before, began = os.times(), time.perf_counter()
    run()
    after = os.times()
    return sum(after[:4]) - sum(before[:4]), time.perf_counter() - began


def _grab_all(paths: list[str]) -> None:
    for path in paths:
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        while capture.grab():
            pass


def _extract_all(paths: list[str], out: Path) -> None:
    for path in paths:
        directory = out / Path(path).stem
        directory.mkdir(parents=True)
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        number = 0
        while True:
            is_read, frame = capture.read()
            if not is_read:
                break
            cv2.imwrite(str(directory / f"{number:05d}.jpg"), frame)
            number += 1
    shutil.rmtree(out)


def _shard(
    manifest: Manifest, out: Path, options: ShardOptions, num_workers: int
) -> None:
    write_shards(manifest, out / "shards", options=options, workers=num_workers)
    shutil.rmtree(out / "shards")


def _tiny_manifest(out: Path) -> Manifest:
    """Draws as many videos of one small frame as there are decoders to start."""
    instances = []
    for number in range(2):
        path = str(out / f"{number}.avi")
        writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 25, (16, 16))
        writer.write(np.zeros((16, 16, 3), np.uint8))
        writer.release()
        instances.append(
            Instance(video_id=str(number), gloss="a", label=0, split="train", path=path)
        )
    return Manifest(instances=tuple(instances), glosses=("a",), annotations="drawn")


if __name__ == "__main__":
    main()

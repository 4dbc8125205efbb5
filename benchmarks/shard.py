"""How close is bin/shard to the limit, and how far from the usual guide?

Everything is measured on the same clips, one after the other, in one run:

- limit: OpenCV's `grab()` on every frame, one thread, nothing else;
- guide: what tutorials do, every frame read and written as a JPEG file;
- ours: `write_shards`, all processes counted, writing included; what it costs to start
  (imports, decoder processes) is measured with two tiny clips and taken off.

The machine drifts, so every run has a limit of its own, the mean of one right before it
and one right behind it, and what is printed are medians of the ratios; two workers are
compared with one by what each took of its own limit. A folder of thousands of clips is
written for minutes, so a few clips are taken several times: in the first seconds the
kernel still gathers the memory that it writes through.

    python benchmarks/shard.py path/to/wlasl-clips --annotations path/to/annotations
"""

import argparse
import dataclasses
import multiprocessing
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import numpy as np

from wlasl_tfrecord.annotations.manifest import Instance, Manifest
from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.shard_format.codecs import Codec
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding.sharder import write_shards


@dataclass(frozen=True)
class Usage:
    """What a run took.

    Attributes:
        cpu: CPU seconds of the process and its children.
        wall: Seconds.
        own_mib: Peak memory of the process in MiB.
        child_mib: That of the largest of its children.
    """

    cpu: float
    wall: float
    own_mib: float
    child_mib: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("src", type=Path)
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--copies", type=int, default=4, help="how often bin/shard takes each clip"
    )
    arguments = parser.parse_args()
    manifest = read_manifest(arguments.src, annotations=arguments.annotations)
    present = [i for i in manifest.instances if i.path]
    paths = [i.path for i in present if i.path]
    copies = tuple(
        dataclasses.replace(instance, video_id=f"{instance.video_id}-{copy}")
        for copy in range(arguments.copies)
        for instance in present
    )
    manifest = dataclasses.replace(manifest, instances=copies)
    print(f"{len(paths)} clips, medians of {arguments.rounds} rounds, OpenCV", end=" ")
    print(f"{cv2.__version__}, {len(os.sched_getaffinity(0))} cores")
    usages: dict[str, list[Usage]] = {name: [] for name in ("guide", *_OURS)}
    limits: dict[str, list[float]] = {name: [] for name in usages}
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        tiny = _tiny_manifest(out)
        _limit(paths)  # warms up
        start = {n: _shard_usage(tiny, out, "raw", n) for n in (1, 2)}
        for _ in range(arguments.rounds):
            before = _limit(paths) / len(paths)
            for name in usages:
                if name == "guide":
                    usage = _each(_guide_usage(paths, out), len(paths))
                else:
                    codec, workers = _OURS[name]
                    usage = _shard_usage(manifest, out, codec, workers)
                    usage = _each(usage, len(copies), start[workers])
                usages[name].append(usage)
                after = _limit(paths) / len(paths)
                limits[name].append((before + after) / 2)
                before = after
    _print(usages, limits)


_OURS: dict[str, tuple[Codec, int]] = {
    "raw, 1 worker": ("raw", 1),
    "raw, 2 workers": ("raw", 2),
    "jpeg, 1 worker": ("jpeg", 1),
    "jpeg, 2 workers": ("jpeg", 2),
}


def _each(usage: Usage, num_clips: int, start: Usage | None = None) -> Usage:
    """Gives what each clip took, without what every run takes."""
    return dataclasses.replace(
        usage,
        cpu=(usage.cpu - (start.cpu if start else 0.0)) / num_clips,
        wall=(usage.wall - (start.wall if start else 0.0)) / num_clips,
    )


def _print(usages: dict[str, list[Usage]], limits: dict[str, list[float]]) -> None:
    middle = statistics.median
    limit = middle([seconds for every in limits.values() for seconds in every])
    print(f"{'':<16}{'CPU ms/clip':>12}{'x limit':>9}{'clips/s':>9}  x limit in all")
    print(f"{'limit':<16}{limit * 1e3:>12.1f}{1:>9.2f}{1 / limit:>9.1f}")
    for name, every in usages.items():
        ratios = sorted(one.cpu / own for one, own in zip(every, limits[name]))
        ratio, spread = middle(ratios), f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        cpu, wall = middle([u.cpu for u in every]), middle([u.wall for u in every])
        print(f"{name:<16}{cpu * 1e3:>12.1f}{ratio:>9.2f}{1 / wall:>9.1f}  {spread}")
    for codec in ("raw", "jpeg"):
        one, two = (
            [usage.wall / own for usage, own in zip(usages[name], limits[name])]
            for name in (f"{codec}, 1 worker", f"{codec}, 2 workers")
        )
        ratios = sorted(a / b for a, b in zip(one, two))
        print(f"{codec}: two workers are {middle(ratios):.2f} times as fast", end=" ")
        print(f"as one ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    ours = [usage for name in _OURS for usage in usages[name]]
    print(f"at most {max(u.own_mib for u in ours):.0f} MiB in the parent,", end=" ")
    print(f"{max(u.child_mib for u in ours):.0f} in a worker")


def _limit(paths: list[str]) -> float:
    """Gives the CPU seconds of the bare decode loop."""
    cv2.setNumThreads(1)
    began = time.process_time()
    _grab_all(paths)
    return time.process_time() - began


def _shard_usage(manifest: Manifest, out: Path, codec: Codec, workers: int) -> Usage:
    usage = _usage(_shard, manifest, out / "shards", codec, workers)
    shutil.rmtree(out / "shards")
    return usage


def _guide_usage(paths: list[str], out: Path) -> Usage:
    usage = _usage(_extract_all, paths, out / "jpegs")
    shutil.rmtree(out / "jpegs")
    return usage


def _usage(run: Callable[..., None], *arguments: object) -> Usage:
    """Runs something in a process of its own, and gives what it took."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(sender, run, arguments))
    process.start()
    sender.close()
    usage = receiver.recv()
    process.join()
    return usage


def _measure(
    sender: Connection, run: Callable[..., None], arguments: Sequence[object]
) -> None:
    cv2.setNumThreads(1)
    before, began = os.times(), time.perf_counter()
    run(*arguments)
    after = os.times()
    usage = Usage(
        cpu=sum(after[:4]) - sum(before[:4]),
        wall=time.perf_counter() - began,
        own_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        child_mib=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    )
    sender.send(usage)


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


def _shard(manifest: Manifest, out: Path, codec: Codec, num_workers: int) -> None:
    write_shards(manifest, out, options=ShardOptions(codec=codec), workers=num_workers)


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

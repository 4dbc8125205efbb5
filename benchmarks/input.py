"""The input side by side with what others use: same clips, same cores, one run.

    pip install '.[bench,fast]'
    taskset -c 0,1 python benchmarks/input.py --raw shards-raw/ --jpeg shards-jpeg/

Both folders hold the same clips, written by `bin/shard --codec raw` and `--codec jpeg`.
The peers' own formats are written beside them, from the very bytes of the jpeg folder,
into a temporary directory. Every contestant gives batches of uint8 [B, T, H, W, 3].
A round measures each of them once, and what is compared are the rates of one round:
the table has medians over the rounds, and the lowest and highest of each ratio.

"augmented" is the crop, stretch and time jitter of `AugmentConfig()`, for TensorFlow's
peers by the operations of `augment_clip`, for Python's by OpenCV. "cold" drops the
shards from the page cache before each turn. `--only` takes a few rows: with all of them
a round takes two minutes.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import tensorflow as tf

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from benchmarks.first_batch import (  # noqa: E402
    WLASL_CLIPS,
    first_batch,
    write_many_clips,
)
from benchmarks.input_peers import (  # noqa: E402
    Contestant,
    bare_turbo,
    classical,
    encoded_clips,
    generator,
    grain_clips,
    grain_of_shards,
    tfds_clips,
    webdataset_clips,
    write_folders,
)
from wlasl_tfrecord import input_fn, load_folder  # noqa: E402
from wlasl_tfrecord.input_pipeline import hardware_limit  # noqa: E402
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder  # noqa: E402


@dataclass(frozen=True)
class Turn:
    """What one contestant did in one round.

    Attributes:
        clips_per_second: Clips a second of wall-clock time.
        cpu_ms_per_clip: CPU time of a clip, all cores together, in milliseconds.
        others: Which part of all cores other processes took meanwhile.
    """

    clips_per_second: float
    cpu_ms_per_clip: float
    others: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", required=True)
    parser.add_argument("--jpeg", required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--clips", type=int, default=160, help="that peers get")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--retries",
        type=int,
        default=0,
        help="of a turn while which other processes took over a twentieth of the cores",
    )
    parser.add_argument(
        "--only",
        default="",
        help="rows with one of these in their name, or, before a $, at its end",
    )
    parser.add_argument("--first-batch", action="store_true", help="measure only that")
    parser.add_argument("--json", action="store_true", help="print every turn as JSON")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    raw, jpeg = load_folder(arguments.raw), load_folder(arguments.jpeg)
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.first_batch:
            write_many_clips(Path(scratch) / "many")
            seconds = [first_batch(scratch) for _ in range(arguments.rounds)]
            print(
                f"first batch of {WLASL_CLIPS} clips: {median(seconds):.2f} s after "
                f"the call ({min(seconds):.2f} to {max(seconds):.2f})"
            )
            return 0
        contestants = _contestants(raw, jpeg, arguments, Path(scratch))
        wanted = arguments.only.split(",")
        chosen = {
            name: start
            for name, start in contestants.items()
            if any(
                word in name or (word[-1:] == "$" and name.endswith(word[:-1]))
                for word in wanted
            )
        }
        turns = _rounds(chosen, (raw, jpeg), arguments)
    if arguments.json:
        told = {name: [asdict(turn) for turn in row] for name, row in turns.items()}
        print(json.dumps({"setting": _setting(arguments), "turns": told}, indent=2))
        return 0
    _print_tables(turns, raw.clip.num_bytes, arguments)
    return 0


def _rounds(
    contestants: dict[str, Contestant],
    folders: tuple[ShardFolder, ...],
    arguments: argparse.Namespace,
) -> dict[str, list[Turn]]:
    """Measures every contestant once a round."""
    turns: dict[str, list[Turn]] = {name: [] for name in contestants}
    for folder in folders:
        _warm(folder, arguments.split)
    for _ in range(arguments.rounds):
        for name, start in contestants.items():
            cold = "cold" in name
            if cold:
                for folder in folders:
                    _chill(folder, arguments.split)
            turn = _undisturbed(start, arguments, warm_up=not cold)
            turns[name].append(turn)
            print(
                f"{name}: {turn.clips_per_second:.0f} clips/s, "
                f"{turn.cpu_ms_per_clip:.2f} ms; others {turn.others:.0%}",
                file=sys.stderr,
            )
            if cold:
                for folder in folders:
                    _warm(folder, arguments.split)
    return turns


def _undisturbed(start: Contestant, arguments: argparse.Namespace, **how: bool) -> Turn:
    """Measures a contestant, again if other processes took much of the cores."""
    turn = _turn(start, arguments, **how)
    for _ in range(arguments.retries):
        if turn.others < 0.05:
            break
        again = _turn(start, arguments, **how)
        turn = min(turn, again, key=lambda one: one.others)
    return turn


def _warm(folder: ShardFolder, split: str) -> None:
    """Reads the shards into the page cache: what is measured is not the disk."""
    for shard in folder.split_shards(split):
        with open(folder.shard_path(shard), "rb") as file:
            while file.read(1 << 24):
                pass


def _chill(folder: ShardFolder, split: str) -> None:
    """Drops the shards from the page cache."""
    for shard in folder.split_shards(split):
        with open(folder.shard_path(shard), "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _contestants(
    raw: ShardFolder, jpeg: ShardFolder, arguments: argparse.Namespace, scratch: Path
) -> dict[str, Contestant]:
    """Names what is measured; says which peers are not installed and left out."""
    split, size, num_clips = arguments.split, arguments.batch_size, arguments.clips
    contestants: dict[str, Contestant] = {}
    for folder in (raw, jpeg):
        codec = folder.codec
        limit = "bare reads" if codec == "raw" else "OpenCV decoding"
        contestants[f"{codec}: limit, {limit}"] = _limit(folder, arguments)
        contestants[f"{codec}: {limit}, one thread"] = _limit(folder, arguments, 1)
        contestants |= _ours(folder, arguments)
        for name, augment in (("", False), (", augmented", True)):
            contestants[f"{codec}: tf.data, not shuffled{name}"] = _of_dataset(
                partial(classical, folder, split, size, augment)
            )
    clips = list(encoded_clips(jpeg, split, num_clips))
    shape = jpeg.clip.shape
    contestants["jpeg: libjpeg-turbo"] = bare_turbo(clips, size, None)
    contestants["jpeg: libjpeg-turbo into memory"] = bare_turbo(clips, size, shape)
    write_folders(clips, scratch / "folders")
    contestants["jpeg: Python generator over folders"] = _of_dataset(
        partial(generator, scratch / "folders", shape, size)
    )
    for name, add in (
        ("tensorflow-datasets", tfds_clips),
        ("webdataset", webdataset_clips),
        ("grain", grain_clips),
    ):
        try:
            contestants |= add(clips, shape, size, scratch)
        except ImportError as error:
            print(f"without {name}: {error}", file=sys.stderr)
            continue
        if name == "grain":
            for folder in (raw, jpeg):
                contestants |= grain_of_shards(folder, split, num_clips, size)
    return contestants


def _ours(folder: ShardFolder, arguments: argparse.Namespace) -> dict[str, Contestant]:
    """The ways of `input_fn`; "graph" is the only one that it had at first."""
    ways: dict[str, dict[str, Any]] = {
        "input_fn": {"augment": False},
        "input_fn, sequential": {"augment": False, "order": "sequential"},
        "input_fn, graph": {"augment": False, "reader": "graph"},
        "input_fn, augmented": {"augment": True},
        "input_fn, graph, augmented": {"augment": True, "reader": "graph"},
        "cold, shuffled": {"augment": False},
        "cold, sequential": {"augment": False, "order": "sequential"},
    }

    def start(options: dict[str, Any]) -> Iterator:
        batches = input_fn(
            folder,
            arguments.split,
            arguments.batch_size,
            training=True,
            num_epochs=None,
            **options,
        )
        return (frames for frames, _ in batches)

    return {
        f"{folder.codec}: {name}": partial(start, options)
        for name, options in ways.items()
    }


def _of_dataset(make: Callable[[], tf.data.Dataset]) -> Contestant:
    return lambda: iter(make())


def _limit(
    folder: ShardFolder, arguments: argparse.Namespace, num_threads: int | None = None
) -> Contestant:
    """The limit that `bin/bench input` names; its batches are rates, not frames."""

    def start() -> Iterator:
        while True:
            yield hardware_limit.measure_limit(
                folder,
                arguments.split,
                seconds=arguments.seconds,
                num_threads=num_threads,
            )

    return start


def _turn(start: Contestant, arguments: argparse.Namespace, *, warm_up: bool) -> Turn:
    """Measures a contestant once; without a warm-up it is timed from its start."""
    clock = _Clock()
    batches = iter(start())
    first = next(batches) if warm_up else None
    if isinstance(first, hardware_limit.Rate):
        _, _, others = clock.passed()
        return Turn(first.clips_per_second, first.cpu_ms_per_clip, others)
    if warm_up:
        # Until the buffers have been full, and their memory is in use again.
        for _ in range(11):
            next(batches)
        clock = _Clock()
    clips, wall, cpu, others = 0, 0.0, 0.0, 0.0
    while wall < arguments.seconds:
        batch = next(batches)
        assert batch.shape[0] == arguments.batch_size, batch.shape
        clips += arguments.batch_size
        wall, cpu, others = clock.passed()
    return Turn(clips / wall, cpu / clips * 1e3, others)


class _Clock:
    """What has passed since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu_seconds()
        self._machine = _machine_seconds()

    def passed(self) -> tuple[float, float, float]:
        """Returns seconds, CPU seconds, and the part of all cores that others took."""
        wall = time.perf_counter() - self._wall
        cpu = _cpu_seconds() - self._cpu
        others = _machine_seconds() - self._machine - cpu
        return wall, cpu, others / wall / (os.cpu_count() or 1)


def _machine_seconds() -> float:
    """Returns the CPU seconds of all processes, since the machine started."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, *interrupts = map(int, file.readline().split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _setting(arguments: argparse.Namespace) -> str:
    """Returns the machine, the versions and the batch in one line."""
    packages = (
        *("tensorflow", "numpy", "opencv-python-headless", "simplejpeg", "crc32c"),
        *("awscrt", "tensorflow-datasets", "webdataset", "grain", "array_record"),
    )
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:  # noqa: PERF203
            continue
    return (
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"Python {platform.python_version()}, {', '.join(versions)}; batches of "
        f"{arguments.batch_size}, {arguments.rounds} rounds of {arguments.seconds} s"
    )


def _print_tables(
    turns: dict[str, list[Turn]], clip_bytes: int, arguments: argparse.Namespace
) -> None:
    """Prints each contestant beside `input_fn`, augmented ones beside the augmented."""
    print(_setting(arguments))
    print(
        "| input | clips/s | GB/s | CPU ms a clip | input_fn is | lowest to highest |"
    )
    print("|---|---|---|---|---|---|")
    for name, row in turns.items():
        rate = median(turn.clips_per_second for turn in row)
        cpu_ms = median(turn.cpu_ms_per_clip for turn in row)
        line = f"| {name} | {rate:.0f} | {rate * clip_bytes / 1e9:.2f} | {cpu_ms:.2f} |"
        codec = name.partition(":")[0]
        ours = f"{codec}: input_fn" + ", augmented" * name.endswith(", augmented")
        if ours in turns:
            ratios = [
                our_turn.clips_per_second / turn.clips_per_second
                for our_turn, turn in zip(turns[ours], row)
            ]
            line += (
                f" {median(ratios):.2f} x | {min(ratios):.2f} to {max(ratios):.2f} |"
            )
        print(line)


if __name__ == "__main__":
    sys.exit(main())

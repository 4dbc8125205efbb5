"""Memory and time of `bin/predict --windows` over an hour of video.

    python benchmarks/long_video.py --run demo/run --minutes 1 60

A film of drawn signers is made for each length, and the command is run on it as a user
runs it. The memory of the command and its decoder process is read every second, as
shares of what they use together (PSS of /proc, so Linux only). Printed are the means of
the first, the middle and the last tenth of the time in which windows are computed, and
the peak. A minute has few such seconds; what counts is that an hour needs no more.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np

from wlasl_tfrecord.synthetic.video import write_video
from wlasl_tfrecord.synthetic.videos import SyntheticConfig, plan_videos

FPS = 25
SIZE = (320, 240)
NUM_STILL = 25  # frames between two signs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 60.0])
    parser.add_argument("--window", type=float, default=1.5, help="seconds")
    arguments = parser.parse_args()
    print(
        "MiB in the first, middle and last tenth, peak, seconds for a minute of video"
    )
    with tempfile.TemporaryDirectory() as directory:
        for minutes in arguments.minutes:
            film = draw(Path(directory), minutes)
            found, seconds, samples = watch(film, arguments)
            count = max(len(samples) // 10, 1)
            middle = (len(samples) - count) // 2
            tenths = (
                np.mean(samples[start : start + count])
                for start in (0, middle, len(samples) - count)
            )
            shown = "  ".join(f"{one:5.0f}" for one in [*tenths, max(samples)])
            pace = seconds / minutes
            print(f"{minutes:g} min: {shown}  {pace:6.2f}  {found} signs", flush=True)
    return 0


def draw(directory: Path, minutes: float) -> Path:
    """Writes a film of drawn signers, with stillness after each sign."""
    config = SyntheticConfig(train_signers=8, val_signers=1, test_signers=1, repeats=1)
    videos = [write_video(directory, one) for one in plan_videos(config)]
    path = directory / f"{minutes:g}.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE)
    for frame in islice(frames_of(cycle(videos)), round(minutes * 60 * FPS)):
        writer.write(cv2.resize(frame, SIZE))
    writer.release()
    return path


def frames_of(videos: Iterator[Path]) -> Iterator[np.ndarray]:
    """Yields the frames of each video, and its last one for a second."""
    for video in videos:
        capture = cv2.VideoCapture(str(video))
        frame = None
        while (shown := capture.read())[0]:
            frame = shown[1]
            yield frame
        if frame is not None:
            yield from (frame for _ in range(NUM_STILL))


def watch(film: Path, arguments: argparse.Namespace) -> tuple[int, float, list[float]]:
    """Runs the command; returns the signs, seconds of computing, and MiB by second."""
    bin_dir = Path(__file__).resolve().parents[1] / "bin"
    command = [sys.executable, bin_dir / "predict", film, "--windows", "--csv"]
    command += ["--run", arguments.run, "--window", str(arguments.window)]
    table = film.with_suffix(".csv")
    samples, started = [], None
    # A file, as nobody would read a pipe meanwhile.
    with table.open("w") as out, subprocess.Popen(command, stdout=out) as process:
        while process.poll() is None:
            tree = tree_of(process.pid)
            # The decoder is started when TensorFlow is loaded, and works to the end.
            if len(tree) > 1:
                started = started or time.perf_counter()
                samples.append(sum(map(mib_of, tree)))
            time.sleep(1)
    if process.returncode or started is None:
        sys.exit(f"bin/predict failed with exit code {process.returncode}")
    num_signs = len(table.read_text().splitlines()) - 1
    return num_signs, time.perf_counter() - started, samples


def tree_of(pid: int) -> list[int]:
    """A process, the processes that it has started, and theirs."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            # After the name, which may hold anything: state and parent.
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def mib_of(pid: int) -> float:
    """The memory of a process, of what it shares its part; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return (
        next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    )


if __name__ == "__main__":
    sys.exit(main())

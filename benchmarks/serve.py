"""How many videos a second `bin/serve` recognises, and how long each one takes.

    pip install '.[serve]'
    taskset -c 0,1 python benchmarks/serve.py [--run runs/first] [--video sign.mp4]

A number of clients send the same video again and again, each as soon as it has its
answer; server and clients share the cores. Without a run, an untrained network of the
default size is served: its weights do not change the time. Without a video, a drawn
signer is sent.
"""

import argparse
import http.client
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
NUM_GLOSSES = 100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--video", type=Path)
    parser.add_argument("--alpha", type=float, default=1.0, help="without --run")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each number")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        run_dir = arguments.run or untrained(Path(directory) / "run", arguments.alpha)
        video = arguments.video or drawn(Path(directory))
        content = video.read_bytes()
        print(f"{platform.processor() or platform.machine()}, Python {sys.version[:7]}")
        print(f"{run_dir.name}; a video of {len(content) / 2**10:.0f} KiB")
        with Server(run_dir) as port:
            measure(port, content, 1, 3.0)
            print("clients  videos/s     p50     p95     p99  refused")
            for num_clients in arguments.clients:
                seconds, refused, whole = measure(
                    port, content, num_clients, arguments.seconds
                )
                quantiles = np.quantile(seconds, (0.5, 0.95, 0.99))
                shown = " ".join(f"{1000 * q:4.0f} ms" for q in quantiles)
                rate = len(seconds) / whole
                print(f"{num_clients:7} {rate:9.2f} {shown} {refused:8}", flush=True)
    return 0


class Server:
    """`bin/serve` on a free port, as its user starts it."""

    def __init__(self, run_dir: Path) -> None:
        command = [sys.executable, CHECKOUT / "bin" / "serve", "--run", run_dir]
        self._process = subprocess.Popen(
            [*map(str, command), "--port", "0"], stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if found is None:
            raise SystemExit(f"the server did not start: {line!r}")
        return int(found[1])

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def measure(
    port: int, content: bytes, num_clients: int, seconds: float
) -> tuple[list[float], int, float]:
    """Returns the time of every answer, how many were refused, and the whole time."""
    taken: list[float] = []
    refused: list[int] = []
    started = time.perf_counter()

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.perf_counter() - started < seconds:
            sent = time.perf_counter()
            connection.request("POST", "/predict", content)
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                taken.append(time.perf_counter() - sent)
            else:
                refused.append(response.status)
        connection.close()

    clients = [threading.Thread(target=send) for _ in range(num_clients)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return taken, len(refused), time.perf_counter() - started


def untrained(run_dir: Path, alpha: float) -> Path:
    """Writes a run folder whose network nobody trained."""
    from wlasl_tfrecord.network import model_info, recipes
    from wlasl_tfrecord.shard_format.clips import ClipSpec

    clip = ClipSpec()
    options = {"weights": "none", "alpha": alpha}
    network = recipes.load_recipe().build(clip, NUM_GLOSSES, options)
    run_dir.mkdir()
    network.save(run_dir / "model.keras")
    info = model_info.ModelInfo(
        glosses=tuple(f"gloss {n}" for n in range(NUM_GLOSSES)),
        clip=clip,
        framing="center",
        recipe={"name": "mobilenetv2_lstm", **options},
    )
    model_info.write_model_info(run_dir, info)
    return run_dir


def drawn(directory: Path) -> Path:
    """Draws a signer."""
    from wlasl_tfrecord.synthetic.video import write_video
    from wlasl_tfrecord.synthetic.videos import SyntheticConfig, plan_videos

    return write_video(directory, plan_videos(SyntheticConfig())[0])


if __name__ == "__main__":
    sys.exit(main())

"""Reading from an object store, and from the cache, against the store's own bandwidth.

    python benchmarks/remote.py SHARDS [--gbit 1]

`benchmarks/object_server.py` serves the folder on this machine, in its own process,
as fast as loopback allows or with the bandwidth of `--gbit`. In each round, one after
the other: the bare server (whole shards by urllib3, thrown away), a clip a request, a
cache that is empty, a cache that is full, and the same folder on the disk. Rates are
those of `ShardReader.read_batch` with batches of 16 in a shuffled order, four at a time
as `input_fn` reads on two cores; a cold cache is measured until all shards are in it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import urllib3

from wlasl_tfrecord import ShardReader, load_folder
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder

BATCH_SIZE, NUM_CALLS = 16, 4
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_REGION": "us-east-1",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--gbit", type=float, default=0, help="0 for no limit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each rate")
    parser.add_argument("--tmp", help="where the cache is made")
    arguments = parser.parse_args()
    local = load_folder(arguments.shards)
    rows: dict[str, list[float]] = {}
    with _served(arguments.shards, arguments.gbit) as endpoint:
        os.environ.update(ENVIRONMENT, AWS_ENDPOINT_URL=endpoint)
        for _ in range(arguments.rounds):
            for name, rate in _round(local, endpoint, arguments).items():
                rows.setdefault(name, []).append(rate)
    print("| | MiB/s | lowest to highest | against |")
    print("|---|---|---|---|")
    for name, base in (
        ("bare server", "bare server"),
        ("a clip a request", "bare server"),
        ("cache, cold", "bare server"),
        ("cache, warm", "disk"),
        ("disk", "disk"),
    ):
        rates = rows[name]
        ratios = [one / other for one, other in zip(rates, rows[base])]
        print(
            f"| {name} | {median(rates):.0f} | {min(rates):.0f} to {max(rates):.0f} | "
            f"{median(ratios):.2f} of {base} |"
        )
    return 0


def _round(
    local: ShardFolder, endpoint: str, arguments: argparse.Namespace
) -> dict[str, float]:
    """Returns MiB/s of each way, measured one after the other."""
    split, seconds = arguments.split, arguments.seconds
    url = f"s3://bucket/{arguments.shards.name}"
    shards = local.split_shards(split)
    rates = {"bare server": _bare(endpoint, url.removeprefix("s3:/"), local, split)}
    rates["a clip a request"] = _rate(ShardReader(load_folder(url), split), seconds)
    cache_dir = tempfile.mkdtemp(dir=arguments.tmp)
    try:
        folder = load_folder(url, cache_dir=cache_dir)
        reader = ShardReader(folder, split)
        started = time.monotonic()
        # A clip of each shard: all are fetched.
        reader.read_batch(np.unique(reader.records.shard_indices, return_index=True)[1])
        num_bytes = sum(shard.num_bytes for shard in shards)
        rates["cache, cold"] = num_bytes / (time.monotonic() - started) / 2**20
        # Once without measuring, and in turn: the page cache is as warm for both.
        warm, disk = ShardReader(folder, split), ShardReader(local, split)
        _, *measured = (
            _rate(reader, seconds / 2) for reader in (warm, warm, disk, disk, warm)
        )
        rates["cache, warm"] = (measured[0] + measured[3]) / 2
        rates["disk"] = (measured[1] + measured[2]) / 2
    finally:
        shutil.rmtree(cache_dir)
    return rates


def _bare(endpoint: str, path: str, local: ShardFolder, split: str) -> float:
    """Returns MiB/s of whole shards that are read and thrown away."""
    http = urllib3.PoolManager(maxsize=NUM_CALLS)

    def read(name: str) -> int:
        answer = http.request("GET", f"{endpoint}{path}/{name}", preload_content=False)
        return sum(len(piece) for piece in answer.stream(2**20))

    names = [shard.name for shard in local.split_shards(split)]
    started = time.monotonic()
    with ThreadPoolExecutor(NUM_CALLS) as pool:
        num_bytes = sum(pool.map(read, names))
    return num_bytes / (time.monotonic() - started) / 2**20


def _rate(reader: ShardReader, seconds: float) -> float:
    """Returns MiB/s of records that are read for some seconds, four batches at once."""
    order = np.random.default_rng(0).permutation(len(reader))
    batches = order[: len(order) // BATCH_SIZE * BATCH_SIZE].reshape(-1, BATCH_SIZE)
    shape = (BATCH_SIZE, *reader.folder.clip.shape)
    stop = time.monotonic() + seconds

    def read(first: int) -> int:
        out = np.zeros(shape, np.uint8)
        num_bytes, number = 0, first
        while time.monotonic() < stop:
            rows = batches[number % len(batches)]
            reader.read_batch(rows, out=out)
            num_bytes += int(reader.records.num_bytes[rows].sum())
            number += NUM_CALLS
        return num_bytes

    started = time.monotonic()
    with ThreadPoolExecutor(NUM_CALLS) as pool:
        total = sum(pool.map(read, range(NUM_CALLS)))
    return total / (time.monotonic() - started) / 2**20


@contextmanager
def _served(shards: Path, gbit: float) -> Iterator[str]:
    """Yields the address of a server of the folder."""
    program = Path(__file__).with_name("object_server.py")
    command = [sys.executable, program, shards.parent, "--port", "0"]
    server = subprocess.Popen(
        [*command, "--gbit", str(gbit)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())

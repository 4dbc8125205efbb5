"""How much of everything N clips take: cores, hours, bytes, network, memory, money.

    python benchmarks/sizing.py
    python benchmarks/sizing.py --check-order   # the order of 10**8 clips; two minutes
    python benchmarks/sizing.py --check-memory  # the table of 10**6 records

The figures that were measured are the constants below; docs/performance.md tells how.
Prices, and what a GPU takes, are options: nobody measured them here.
"""

import argparse
import resource
import sys
import time

import numpy as np

from wlasl_tfrecord.shard_format.codecs import CODECS, Codec
from wlasl_tfrecord.shard_format.shard_options import ShardOptions, record_bytes

SIZES = {"WLASL2000": 21_083, "1,000,000": 1_000_000, "100,000,000": 100_000_000}
# docs/performance.md, "Sharding": CPU milliseconds a clip, of all processes.
SHARD_MS: dict[Codec, float] = {"raw": 71.8, "jpeg": 81.4}
# The same 62 videos: 20 MB; a core hashes one in 0.5 ms (decision 0021).
VIDEO_BYTES, HASH_MS = 20e6 / 62, 0.5
# "Reading": CPU milliseconds a clip of `input_fn`, augmented.
READ_MS: dict[Codec, float] = {"raw": 3.40, "jpeg": 7.89}
# --check-memory, bytes a record: on the disk, in memory, in memory while it is read.
ROW_BYTES, TABLE_BYTES, READING_BYTES = 53, 109, 707
CLIP_BYTES = 30 * 224 * 224 * 3


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--cores", type=int, default=64, help="cores that shard")
    add("--gpus", type=int, nargs="+", default=[1, 8, 64], help="numbers of GPUs")
    add("--gpu-clips", type=float, default=200.0, help="clips/s that one GPU takes")
    add("--epochs", type=int, default=20, help="epochs over all clips")
    # us-east-1, on demand, as known in the middle of 2025: c7a a vCPU, S3 Standard for
    # the first 50 TB, an eighth of p5.48xlarge. Pages of 2026 have 55 to 98 dollars for
    # the last one.
    add("--core-price", type=float, default=0.0513, help="dollars a core and hour")
    add("--gpu-price", type=float, default=6.88, help="dollars an H100 and hour")
    add("--gb-price", type=float, default=0.023, help="dollars a GB and month")
    add("--check-order", action="store_true", help="run the order of 10**8 clips")
    add("--check-memory", action="store_true", help="measure a table of 10**6 records")
    arguments = parser.parse_args()
    if arguments.check_order:
        check_order(10**8)
    elif arguments.check_memory:
        check_memory(10**6)
    else:
        print_clips(arguments)
        print_gpus(arguments)
    return 0


def print_clips(arguments: argparse.Namespace) -> None:
    """Prints what a number of clips takes, a column a number."""
    rows = {"": list(SIZES)}
    for codec, milliseconds in SHARD_MS.items():
        hours = [n * milliseconds / 3.6e6 for n in SIZES.values()]
        rows[f"sharding to `{codec}`: core hours"] = [number(h) for h in hours]
        rows[f"the same on {arguments.cores} cores"] = rows.get(
            f"the same on {arguments.cores} cores",
            [span(h / arguments.cores) for h in hours],
        )
        rows[f"sharding to `{codec}`: cost"] = [
            dollars(h * arguments.core_price) for h in hours
        ]
    rows["videos"] = [size(n * VIDEO_BYTES) for n in SIZES.values()]
    rows["hashing them once: core hours"] = [
        number(n * HASH_MS / 3.6e6) for n in SIZES.values()
    ]
    for codec in CODECS:
        each = record_bytes(ShardOptions(codec=codec))
        rows[f"shards, `{codec}`"] = [size(n * each) for n in SIZES.values()]
        rows[f"`{codec}`, a month"] = [
            dollars(n * each / 1e9 * arguments.gb_price) for n in SIZES.values()
        ]
    rows["index on the disk"] = [size(n * ROW_BYTES) for n in SIZES.values()]
    rows["index in memory, each process"] = [
        size(n * TABLE_BYTES) for n in SIZES.values()
    ]
    rows["the same while it is read"] = [
        size(n * READING_BYTES) for n in SIZES.values()
    ]
    rows["memory of the shuffle"] = ["0"] * len(SIZES)
    hours = [n * arguments.epochs / arguments.gpu_clips / 3600 for n in SIZES.values()]
    rows[f"{arguments.epochs} epochs: H100 hours"] = [number(h) for h in hours]
    rows[f"{arguments.epochs} epochs: cost"] = [
        dollars(h * arguments.gpu_price) for h in hours
    ]
    print_table(rows)


def print_gpus(arguments: argparse.Namespace) -> None:
    """Prints what feeding a number of GPUs takes, a column a number."""
    rates = [gpus * arguments.gpu_clips for gpus in arguments.gpus]
    rows = {"H100s": [str(gpus) for gpus in arguments.gpus]}
    rows["clips/s"] = [f"{rate:,.0f}" for rate in rates]
    for codec, milliseconds in READ_MS.items():
        rows[f"cores, `{codec}`, augmented"] = [
            f"{rate * milliseconds / 1000:,.0f}" for rate in rates
        ]
        each = record_bytes(ShardOptions(codec=codec))
        rows[f"network from the storage, `{codec}`"] = [bits(r * each) for r in rates]
    rows["network from a data service"] = [bits(r * CLIP_BYTES) for r in rates]
    print_table(rows)


def print_table(rows: dict[str, list[str]]) -> None:
    """Prints a table of markdown; the first row is its head."""
    for index, (name, cells) in enumerate(rows.items()):
        print(f"| {name} | {' | '.join(cells)} |")
        if index == 0:
            print("|---|" + "---|" * len(cells))
    print()


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def span(hours: float) -> str:
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def dollars(value: float) -> str:
    return f"${value:,.0f}" if value >= 1 else f"${value:.2f}"


def size(num_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:,.3g} TB" if num_bytes < 1000 else f"{num_bytes:,.0f} TB"


def bits(bytes_per_second: float) -> str:
    return f"{bytes_per_second * 8 / 1e9:,.1f} Gbit/s"


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def check_order(num_clips: int) -> None:
    """Runs the order of one epoch whole, and checks that it is a permutation."""
    import tensorflow as tf

    from wlasl_tfrecord.input_pipeline.order import Order, locate

    order = Order(
        num_clips=num_clips, batch_size=1000, shuffled=True, drop_remainder=True, seed=1
    )

    @tf.function
    def records(start: tf.Tensor) -> tf.Tensor:
        # Of the second epoch, as a run that is resumed there.
        positions = order.clips_per_epoch + start + tf.range(10**6, dtype=tf.int64)
        return locate(order, positions, tf.constant(0, tf.int64))[1]

    records(tf.constant(0, tf.int64))
    before, begun = peak_mib(), time.perf_counter()
    last = records(tf.constant(num_clips - 10**6, tf.int64)).numpy()[-1]
    jump = time.perf_counter() - begun
    order_mib = peak_mib() - before
    seen = np.zeros(num_clips, bool)  # the check's own memory: a byte a clip
    begun = time.perf_counter()
    for start in range(0, num_clips, 10**6):
        seen[records(tf.constant(start, tf.int64)).numpy()] = True
    seconds = time.perf_counter() - begun
    print(
        f"{num_clips:,} positions: {seen.sum():,} different records, the last one "
        f"{last}; {seconds / num_clips * 1e9:.0f} ns a position, {jump:.2f} s to the "
        f"last million; {order_mib:.0f} MiB for a million at once, and "
        f"{peak_mib() - before - num_clips / 2**20:.0f} MiB in all, besides the check's"
    )
    assert seen.all()


def check_memory(num_clips: int) -> None:
    """Writes and reads a table of records, and measures both."""
    from wlasl_tfrecord.shard_format.record_table import (
        Records,
        records_from_csv,
        records_to_csv,
    )

    rows = np.arange(num_clips)
    table = Records(
        shard_indices=(rows // 1000).astype(np.int32),
        offsets=rows % 1000 * 4_516_000,
        num_bytes=np.full(num_clips, 4_515_900),
        crcs=(rows * 2654435761 % 2**32).astype(np.uint32),
        labels=rows % 2000,
        video_ids=tuple(f"{row:08d}" for row in rows),
        signer_ids=rows % 119,
        num_distinct_frames=np.full(num_clips, 30, np.int32),
    )
    text = records_to_csv(table)
    del table
    before = resident_bytes()
    read = records_from_csv(text)
    most = (resident_bytes() - before) / num_clips
    arrays = [value for value in vars(read).values() if isinstance(value, np.ndarray)]
    held = sum(array.nbytes for array in arrays) + sys.getsizeof(read.video_ids)
    held += sum(map(sys.getsizeof, read.video_ids))
    print(
        f"{len(read):,} records: {len(text) / num_clips:.0f} bytes each on the disk, "
        f"{held / num_clips:.0f} in memory, {most:.0f} while it is read"
    )


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    raise SystemExit(main())

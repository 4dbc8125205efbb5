"""`bin/bench`: how fast the input is, and whether training has to wait for it."""

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wlasl_tfrecord.cli.command import make_parser, run
from wlasl_tfrecord.cli.process import import_tensorflow
from wlasl_tfrecord.shard_format.layout import SPLITS
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_folder
from wlasl_tfrecord.storage.urls import is_url, without_secrets

if TYPE_CHECKING:
    from wlasl_tfrecord.input_pipeline.hardware_limit import Rate

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        0 if it could measure; 1 or 2 as every command.
    """
    parser = make_parser(
        "bench",
        "Measures the input of training, stage by stage, against the machine's limit.",
    )
    parser.add_argument("what", choices=("input",), help="what to measure")
    parser.add_argument(
        "data", nargs="?", default="shards/", help="the folder that bin/shard wrote"
    )
    parser.add_argument("--split", choices=SPLITS, default="train", help="which clips")
    parser.add_argument(
        "--batch-size", type=int, default=16, help="clips in a training step"
    )
    parser.add_argument(
        "--step-ms",
        type=float,
        default=argparse.SUPPRESS,
        help="how long a training step takes (bin/train prints clips/s); without it, "
        "the verdict says what the input can feed",
    )
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="how long to measure each stage"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return run("bench", parser, _bench, argv)


def _bench(arguments: argparse.Namespace) -> int:
    step_ms = getattr(arguments, "step_ms", None)
    for name, value in (
        ("--batch-size", arguments.batch_size),
        ("--step-ms", step_ms),
        ("--seconds", arguments.seconds),
    ):
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0 and finite, got {value}")
    if is_url(arguments.data):
        raise ValueError(
            "bench measures a folder of this machine, got "
            f"{without_secrets(arguments.data)}"
        )
    folder = load_folder(arguments.data)
    folder.split_shards(arguments.split)

    # Only now TensorFlow: a wrong folder is reported at once.
    import_tensorflow()
    from wlasl_tfrecord.input_pipeline import dataset, hardware_limit, throughput

    # Before anything is measured: a batch that is too large is an error.
    dataset.steps_per_epoch(
        folder, arguments.split, arguments.batch_size, training=True
    )
    limit = hardware_limit.measure_limit(
        folder, arguments.split, seconds=arguments.seconds
    )
    rates = throughput.measure_input(
        folder, arguments.split, arguments.batch_size, seconds=arguments.seconds
    )
    needed = None if step_ms is None else arguments.batch_size / step_ms * 1e3
    advice = throughput.advise(rates, limit, folder.codec, needed)
    if arguments.json:
        told = {
            "data": folder.directory,
            "split": arguments.split,
            "num_clips": folder.num_clips(arguments.split),
            "codec": folder.codec,
            "reader": "direct",
            "limit": dataclasses.asdict(limit),
            "stages": [dataclasses.asdict(rate) for rate in rates],
            "advice": advice,
        }
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return 0
    _print_table(folder, arguments.split, limit, rates)
    print(*advice, sep="\n")
    return 0


def _print_table(
    folder: ShardFolder, split: str, limit: "Rate", rates: Sequence["Rate"]
) -> None:
    """Prints a line for the limit and for each stage."""
    print(
        f"{folder.directory}: {folder.num_clips(split)} {split} clips, "
        f"{folder.codec}, direct reader"
    )
    print(f"{'up to':<14}{'clips/s':>10}{'GB/s':>8}{'CPU ms/clip':>14}{'of limit':>10}")
    for rate in (limit, *rates):
        gigabytes = rate.clips_per_second * folder.clip.num_bytes / 1e9
        share = f"{rate.clips_per_second / limit.clips_per_second:.2f}"
        print(
            f"{rate.name:<14}{rate.clips_per_second:>10.0f}{gigabytes:>8.2f}"
            # Decoding limits no stage before it, and "read" does not fill batches.
            f"{rate.cpu_ms_per_clip:>14.2f}{'' if rate.name == 'read' else share:>10}"
        )


if __name__ == "__main__":
    sys.exit(main())

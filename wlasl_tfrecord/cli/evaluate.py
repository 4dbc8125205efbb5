"""bin/evaluate: how good the model of a run is on a split."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wlasl_tfrecord.cli import command, model_options, process
from wlasl_tfrecord.cli.cache_options import add_cache, load_cached
from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.network import model_info
from wlasl_tfrecord.shard_format.layout import SPLITS

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs bin/evaluate and returns its exit code."""
    parser = command.make_parser(
        "evaluate",
        "Counts how often a trained model is right: top-1, top-5, top-10, by gloss and "
        "by signer, and what it mixes up.",
    )
    parser.add_argument(
        "--data", default="shards", help="the shard folder, or its s3://… URL"
    )
    add_cache(parser)
    model_options.add_run(parser)
    model_options.add_model(parser)
    parser.add_argument(
        "--split", choices=SPLITS, help="by default test, or val if there is no test"
    )
    parser.add_argument(
        "--batch-size", type=int, default=16, help="clips that are computed at once"
    )
    parser.add_argument(
        "--max-bad-records", type=int, default=0, help="damaged records to skip"
    )
    parser.add_argument(
        "--strategy",
        choices=("none", "mirrored"),
        help="by default mirrored with several GPUs, else none",
    )
    parser.add_argument(
        "--views",
        type=int,
        default=1,
        help="mean over this many crops and parts in time of each clip",
    )
    parser.add_argument(
        "--compare",
        metavar="RUN2",
        help="run to compare with, on the same clips",
    )
    parser.add_argument(
        "--out",
        help="folder for evaluation.json, predictions.csv and two pictures (default: "
        "evaluation-SPLIT in the run folder)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print everything, down to each clip"
    )
    return command.run("evaluate", parser, _evaluate, argv)


def _evaluate(arguments: argparse.Namespace) -> int:
    for name, value, least in (
        ("--batch-size", arguments.batch_size, 1),
        ("--max-bad-records", arguments.max_bad_records, 0),
        ("--views", arguments.views, 1),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    run = arguments.run or model_info.find_run()
    runs = [run] if arguments.compare is None else [run, arguments.compare]
    for each in runs:
        model_info.read_model_info(each)
    folder = load_cached(
        arguments.data, arguments, check_shards=arguments.max_bad_records == 0
    )
    split = arguments.split or ("test" if "test" in folder.splits else "val")
    folder.split_shards(split)
    run_dir = model_info.model_path(run).parent
    out_dir = Path(arguments.out or run_dir / f"evaluation-{split}")
    if arguments.out is None and out_dir.is_symlink():
        raise OutputError(
            f"{out_dir} is a link, and may lead to somebody else's files; remove it, "
            "or name a folder with --out"
        )

    # Only now TensorFlow: `--help` and a typing mistake should answer at once.
    process.import_tensorflow()
    from wlasl_tfrecord.evaluation import evaluation, report_files
    from wlasl_tfrecord.evaluation.comparison import compare
    from wlasl_tfrecord.training import strategies

    strategy = strategies.make_strategy(arguments.strategy)
    reports = [
        evaluation.evaluate(
            folder,
            each,
            split,
            arguments.batch_size,
            strategy,
            arguments.max_bad_records,
            arguments.model,
            arguments.views,
        )
        for each in runs
    ]
    report, comparison = reports[0], None
    extra: dict[str, Any] = {"run": str(run)}
    if len(reports) > 1:
        comparison = compare(*reports, names=(str(run), str(arguments.compare)))
        extra["comparison"] = comparison.to_json()
    paths = report_files.write_report(report, folder, out_dir, extra)
    if arguments.json:
        value = {**report.to_json(), **extra}
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        print(f"{run}\n{report}")
        if comparison is not None:
            print(comparison)
        print(f"{out_dir}: {', '.join(path.name for path in paths)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

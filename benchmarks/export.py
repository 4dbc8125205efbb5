"""What each export weighs and how long it takes for a clip, beside the Keras model.

    taskset -c 0,1 python benchmarks/export.py --run runs/first --data shards

Every export is written, loaded again as a program without this library would, and run
on single clips of the split, in turn, for some rounds; medians. Needs the extra `onnx`.
Prints the table of docs/using-a-model.md.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from wlasl_tfrecord.cli.process import import_tensorflow

EXPORTS: tuple[tuple[Any, Any], ...] = (
    ("keras", "none"),
    ("saved_model", "none"),
    ("onnx", "none"),
    ("tflite", "none"),
    ("tflite", "float16"),
    ("tflite", "dynamic"),
    ("tflite", "int8"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder to keep the exports in")
    arguments = parser.parse_args()
    import_tensorflow()
    from wlasl_tfrecord.inference.trained_model import load_model
    from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader

    model = load_model(arguments.run)
    clips = ShardReader(arguments.data, arguments.split).read_batch(
        range(arguments.clips)
    )
    with tempfile.TemporaryDirectory() as directory:
        out = arguments.out or Path(directory)
        rows, runners = export_all(model, arguments, out)
        seconds: dict[str, list[float]] = {name: [] for name in runners}
        for round_number in range(arguments.rounds + 1):
            for name, runner in runners.items():
                started = time.perf_counter()
                for clip in clips:
                    runner(clip[None])
                if round_number:  # the first traces, and fills caches
                    seconds[name].append((time.perf_counter() - started) / len(clips))
    print("| export | size | a clip | top-1 | same first gloss | largest difference |")
    print("|---|---|---|---|---|---|")
    for name, cells in rows.items():
        middle = 1000 * statistics.median(seconds[name])
        print(f"| {name} | {cells[0]} | {middle:.0f} ms | {' | '.join(cells[1:])} |")
    return 0


def export_all(model, arguments: argparse.Namespace, out: Path):
    """Returns the cells and the runner of every export, by name."""
    from wlasl_tfrecord.inference.export import export_model, load_exported
    from wlasl_tfrecord.text import size_text

    rows, runners = {}, {}
    for export_format, quantization in EXPORTS:
        name = export_format
        if quantization != "none":
            name += f", {quantization}"
        report = export_model(
            model,
            out / name.replace(", ", "-"),
            export_format,
            quantization=quantization,
            data=arguments.data,
            split=arguments.split,
        )
        found = report.comparison
        assert found is not None
        rows[name] = (
            size_text(report.num_bytes),
            f"{found.export_correct / found.num_clips:.1%}",
            f"{found.same_first} of {found.num_clips}",
            f"{found.max_difference:.1g}",
        )
        runners[name] = load_exported(report.path)
    return rows, runners


if __name__ == "__main__":
    sys.exit(main())

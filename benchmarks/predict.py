"""How long a prediction takes: `bin/predict`, its parts, and every export.

    taskset -c 0,1 python benchmarks/predict.py --exports
    taskset -c 0,1 python benchmarks/predict.py --exports --run RUN --data SHARDS

Measured on drawn videos with untrained networks of the default size, one for each
--alpha: weights do not change the time. With --run they are trained networks, and with
--data every export is compared with them on --split. Every way is measured once a
round, in turn, with the videos one by one and with --batch-size of them at once. The
table has the fastest round of each, in milliseconds a video: whatever else runs on the
machine can only make a way slower.

The whole way is `predict_videos`, from the file to the glosses; its decoder processes
start again in every round. Exports are loaded as a program without this library would,
and get decoded clips. Needs the extra `onnx`. With --keep they stay in a folder, where
another run finds them again.
"""

import argparse
import contextlib
import dataclasses
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.cli.process import import_tensorflow
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding.sharder import write_shards
from wlasl_tfrecord.synthetic.videos import SyntheticConfig, write_videos
from wlasl_tfrecord.text import size_text

EXPORTS: tuple[tuple[Any, Any], ...] = (
    ("keras", "none"),
    ("h5", "none"),
    ("saved_model", "none"),
    ("onnx", "none"),
    ("tflite", "none"),
    ("tflite", "float16"),
    ("tflite", "dynamic"),
    ("tflite", "int8"),
)


@dataclass(frozen=True)
class Way:
    """A way from videos, or from clips, to probabilities.

    Attributes:
        name: What the table calls it.
        run: Takes the number of videos that go through it at once.
        facts: Cells of the table about an export: size, comparison on the split.
        only_one: Whether it takes one at a time whatever that number is.
    """

    name: str
    run: Callable[[int], object]
    facts: tuple[str, ...] = ("", "", "", "")
    only_one: bool = False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, nargs="+", default=[])
    parser.add_argument("--data", type=Path, help="compare exports of --run on it")
    parser.add_argument("--split", default="val")
    parser.add_argument(
        "--alpha", type=float, nargs="*", help="untrained; default: 1.0 and 0.35"
    )
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--exports",
        nargs="*",
        choices=sorted({name for name, _ in EXPORTS}),
        help="all, or those of the named formats; default: none",
    )
    parser.add_argument("--keep", type=Path, help="folder to keep the exports in")
    arguments = parser.parse_args()
    alphas = arguments.alpha
    if alphas is None:
        alphas = [] if arguments.run else [1.0, 0.35]
    import_tensorflow()
    from wlasl_tfrecord.inference.trained_model import load_model

    print(f"{platform.processor() or platform.machine()}, Python {sys.version[:7]}")
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        keep = arguments.keep or scratch / "exports"
        shards = draw(scratch, arguments.videos)
        videos = sorted((scratch / "videos").iterdir())[: arguments.videos]
        ways = []
        for run_dir in arguments.run:
            model = load_model(run_dir)
            data = arguments.data
            ways += ways_of(str(run_dir), model, videos, arguments, data, keep)
        for alpha in alphas:
            model = load_model(untrained(scratch / f"run-{alpha}", alpha, shards))
            ways += ways_of(f"alpha {alpha}", model, videos, arguments, shards, keep)
        measure(ways, len(videos), arguments)
    return 0


def measure(ways: list[Way], num_videos: int, arguments: argparse.Namespace) -> None:
    """Runs every way once a round, and prints the fastest round of each."""
    sizes = (1, arguments.batch_size)
    seconds: dict[tuple[str, int], list[float]] = {}
    print(f"{num_videos} videos, the fastest of {arguments.rounds} rounds", flush=True)
    # The first round traces, and fills the page cache.
    for number in range(arguments.rounds + 1):
        print(f"round {number} of {arguments.rounds} …", file=sys.stderr)
        for way in ways:
            for size in sizes[:1] if way.only_one else sizes:
                started = time.perf_counter()
                way.run(size)
                taken = (time.perf_counter() - started) / num_videos
                if number:
                    seconds.setdefault((way.name, size), []).append(taken)
    print(
        f"| ms a video | one by one | {sizes[1]} at once | size | top-1 | "
        "same first gloss | largest difference |\n|---|---|---|---|---|---|---|"
    )
    for way in ways:
        times = (seconds.get((way.name, size)) for size in sizes)
        shown = (f"{1e3 * min(one):.0f}" if one else "" for one in times)
        cells = [way.name, *shown, *way.facts]
        print(f"| {' | '.join(cells)} |")


def ways_of(
    name: str,
    model: Any,
    videos: list[Path],
    arguments: argparse.Namespace,
    data: Path | None,
    keep: Path,
) -> list[Way]:
    """The ways of one model.

    Args:
        name: What the table calls the model.
        model: A `TrainedModel`.
        videos: The videos.
        arguments: Of the command line.
        data: Shard folder for the exports that need one; int8 is left out without it.
        keep: Folder for the exports.
    """
    from wlasl_tfrecord.inference.prediction import predict_videos
    from wlasl_tfrecord.inference.trained_model import probabilities

    clips = decode(model, videos)

    def by(compute: Callable[[np.ndarray], object]) -> Callable[[int], object]:
        return lambda size: [
            compute(clips[start : start + size]) for start in range(0, len(clips), size)
        ]

    ways = [
        Way("whole way", lambda n: list(predict_videos(model, videos, batch_size=n))),
        Way("decoding", lambda _: decode(model, videos), only_one=True),
        Way("network as it is used", by(lambda some: probabilities(model, some))),
        Way("network as Keras runs it", by(model.network.predict_on_batch)),
    ]
    chosen = arguments.exports
    for export_format, quantization in () if chosen is None else EXPORTS:
        if chosen and export_format not in chosen:
            continue
        if quantization == "int8" and data is None:
            continue
        runner, facts = exported(
            model,
            keep / name.strip("/"),
            (export_format, quantization),
            data,
            arguments,
        )
        called = ", ".join((export_format, quantization)).removesuffix(", none")
        # TFLite files have a fixed shape.
        ways.append(Way(called, by(runner), facts, only_one=export_format == "tflite"))
    return [dataclasses.replace(way, name=f"{name}, {way.name}") for way in ways]


def exported(model, folder: Path, form: tuple[Any, Any], data, arguments):
    """Writes an export, or finds it; returns its runner and its cells of the table."""
    from wlasl_tfrecord.inference.export import export_model, load_exported

    folder = folder / "-".join(form)
    cells_path = folder / "cells.txt"
    if not cells_path.is_file():
        print(f"writing {folder} …", file=sys.stderr)
        is_trained = arguments.data is not None and data == arguments.data
        report = export_model(
            model,
            folder,
            form[0],
            quantization=form[1],
            data=data if is_trained or form[1] == "int8" else None,
            split=arguments.split if is_trained else None,
        )
        found, cells = (
            report.comparison,
            [str(report.path), size_text(report.num_bytes)],
        )
        if is_trained and found is not None:
            cells += [
                f"{found.export_correct / found.num_clips:.1%}",
                f"{found.same_first} of {found.num_clips}",
                f"{found.max_difference:.1g}",
            ]
        cells_path.write_text("\n".join([*cells, "", "", ""][:5]) + "\n")
    path, *cells = cells_path.read_text().split("\n")[:5]
    return load_exported(path), tuple(cells)


def decode(model, videos: list[Path]) -> np.ndarray:
    """The clips of the videos, uint8 [N, T, H, W, 3]."""
    from wlasl_tfrecord.decoder_pool.decoded_frames import DecodedFrames
    from wlasl_tfrecord.decoder_pool.frames import decode_clips

    info = model.info
    results = decode_clips(videos, clip=info.clip, framing=info.framing)
    clips = [result.frames for result in results if isinstance(result, DecodedFrames)]
    return np.stack(clips)


def draw(folder: Path, num_videos: int) -> Path:
    """Draws videos into `videos`, and shards of the default size, which it returns."""
    num_signers = -(-num_videos // 8)  # each signs eight glosses
    write_videos(
        folder,
        SyntheticConfig(
            train_signers=num_signers, val_signers=1, test_signers=1, repeats=1
        ),
    )
    write_shards(
        read_manifest(folder / "videos"), folder / "shards", options=ShardOptions()
    )
    return folder / "shards"


def untrained(run_dir: Path, alpha: float, shards: Path) -> Path:
    """A run folder with a network of the default size that nobody trained."""
    from wlasl_tfrecord.network import model_info, recipes
    from wlasl_tfrecord.shard_format.shard_folder import load_folder

    clip, options = ClipSpec(), {"weights": "none", "alpha": alpha}
    recipe, glosses = recipes.load_recipe(), load_folder(shards).glosses
    run_dir.mkdir(parents=True)
    recipe.build(clip, len(glosses), options).save(run_dir / model_info.MODEL_FILE)
    info = model_info.ModelInfo(
        glosses=glosses,
        clip=clip,
        framing="center",
        recipe={"name": "mobilenetv2_lstm", **options},
    )
    model_info.write_model_info(run_dir, info)
    return run_dir


if __name__ == "__main__":
    sys.exit(main())

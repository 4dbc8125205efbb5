"""Recognises the signs in videos."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wlasl_tfrecord.cli import model_options, predict_continuous
from wlasl_tfrecord.cli.command import make_parser, run
from wlasl_tfrecord.cli.process import import_tensorflow
from wlasl_tfrecord.inference import prediction
from wlasl_tfrecord.inference.prediction import Failure, Prediction
from wlasl_tfrecord.inference.ranking import (
    csv_line,
    ranked_cells,
    ranked_columns,
    ranked_json,
)
from wlasl_tfrecord.network import model_info
from wlasl_tfrecord.text import cell_text, text_of

if TYPE_CHECKING:
    from wlasl_tfrecord.inference.trained_model import TrainedModel

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bin/predict`."""
    parser = make_parser(
        "predict",
        "Names the sign in each video, with the model of a run. Each video is taken as "
        "one sign, from its first frame to its last; --start and --stop choose a part. "
        "--windows finds the signs of a long video, --camera those before a camera.",
    )
    parser.add_argument(
        "videos",
        nargs="*",
        metavar="VIDEO",
        help="a video, a folder of videos, or a folder of numbered images; - for a "
        "list on stdin, one a line",
    )
    model_options.add_run(parser)
    model_options.add_model(parser)
    model_options.add_landmark_models(parser)
    model_options.add_top(parser)
    parser.add_argument(
        "--start",
        type=int,
        help="first frame of the sign, from 0 (default: the first)",
    )
    parser.add_argument(
        "--stop",
        type=int,
        help="one past its last frame (default: the end)",
    )
    parser.add_argument(
        "--batch-size", type=int, default=8, help="clips that are computed at once"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="print one line of JSON for each video"
    )
    form.add_argument(
        "--csv", action="store_true", help="print a table, one row for each video"
    )
    parser.add_argument(
        "--timing", action="store_true", help="print at the end where the time went"
    )
    predict_continuous.add_continuous(parser)
    return run("predict", parser, _predict, argv)


def _predict(arguments: argparse.Namespace) -> int:
    continuous = predict_continuous.is_continuous(arguments)
    run_dir = arguments.run or model_info.find_run()
    model_info.read_model_info(run_dir)
    options = {
        name: getattr(arguments, name)
        for name in ("top", "batch_size", "start", "stop")
    }
    prediction.check_options(**options)
    predict_continuous.window_options(arguments)
    if arguments.camera is not None:
        return predict_continuous.watch_camera(_load(run_dir, arguments), arguments)
    videos = prediction.find_videos(_named(arguments.videos))
    results: Iterable[Prediction | Failure] = prediction.missing_videos(videos)
    started = time.perf_counter()
    if len(results) < len(videos):
        model = _load(run_dir, arguments)
        if continuous:
            return predict_continuous.predict_windows(model, videos, arguments)
        results = prediction.predict_videos(model, videos, **options)
    timing = _Timing(load_seconds=time.perf_counter() - started)
    num_failed = 0
    if arguments.csv:
        print(csv_line(_csv_columns(arguments.top)))
    for result in results:
        if isinstance(result, Failure):
            num_failed += 1
            print(result.reason, file=sys.stderr)
        else:
            timing.predictions.append(result)
        line = _shown(result, arguments)
        if line:
            print(line)
        sys.stdout.flush()
    if arguments.timing:
        print(timing.summary(time.perf_counter() - started), file=sys.stderr)
    return 1 if num_failed else 0


def _load(
    run_dir: str | os.PathLike[str], arguments: argparse.Namespace
) -> "TrainedModel":
    # Only now TensorFlow: a mistyped name or option should answer at once.
    import_tensorflow()
    from wlasl_tfrecord.inference import trained_model

    model = trained_model.load_model(
        run_dir, arguments.model, landmark_models=arguments.landmark_models
    )
    # Compiled before the time of the first video is measured.
    model.warm_up()
    if arguments.run is None:
        print(f"with {model.path}", file=sys.stderr)
    return model


@dataclass(kw_only=True)
class _Timing:
    """Where the time went.

    Attributes:
        load_seconds: TensorFlow's start, and the model's.
        predictions: The results so far.
    """

    load_seconds: float
    predictions: list[Prediction] = field(default_factory=list)

    def summary(self, total_seconds: float) -> str:
        """Returns one line for a person."""
        seconds = total_seconds - self.load_seconds
        count = max(len(self.predictions), 1)
        wait = sum(result.wait_seconds for result in self.predictions)
        network = sum(result.network_seconds for result in self.predictions)
        return (
            f"{self.load_seconds:.1f} s to load; {len(self.predictions)} videos in "
            f"{seconds:.1f} s, {1000 * seconds / count:.0f} ms each: "
            f"{1000 * wait / count:.0f} ms waiting for the decoders, "
            f"{1000 * network / count:.0f} ms in the network"
        )


def _named(paths: Sequence[str]) -> Iterator[str]:
    """Yields the paths that a user names, those on stdin in the place of `-`."""
    for path in paths:
        if path != "-":
            yield path
            continue
        for line in sys.stdin.buffer:
            # A file's name need not be in the encoding of the terminal.
            name = os.fsdecode(line.rstrip(b"\r\n"))
            if name:
                yield name


def _shown(result: Prediction | Failure, arguments: argparse.Namespace) -> str:
    """Returns a result in the form that was asked for."""
    if arguments.json:
        return json.dumps(_as_json(result), ensure_ascii=False)
    if arguments.csv:
        return csv_line(_as_row(result, arguments.top))
    if isinstance(result, Failure):
        return ""
    lines = [text_of(str(result.path))]
    for gloss, share in zip(result.glosses, result.probabilities):
        lines.append(f"  {share:6.1%}  {' '.join(gloss.splitlines())}")
    return "\n".join(lines)


def _as_json(result: Prediction | Failure) -> dict[str, object]:
    if isinstance(result, Failure):
        return {"path": str(result.path), "error": result.reason}
    return {
        "path": str(result.path),
        "predictions": ranked_json(result.glosses, result.probabilities),
        "num_distinct_frames": result.num_distinct_frames,
    }


def _csv_columns(top: int) -> list[str]:
    return ["path", *ranked_columns(top), "num_distinct_frames", "error"]


def _as_row(result: Prediction | Failure, top: int) -> list[str]:
    """Returns the cells of a result; a spreadsheet takes none of them for a formula."""
    path = cell_text(text_of(str(result.path)))
    if isinstance(result, Failure):
        return [path, *[""] * (2 * top + 1), cell_text(result.reason)]
    ranked = ranked_cells(result.glosses, result.probabilities, top)
    return [path, *ranked, str(result.num_distinct_frames), ""]


if __name__ == "__main__":
    sys.exit(main())

"""Recognises the signs in videos."""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from wlasl_tfrecord.cli.command import make_parser, run
from wlasl_tfrecord.cli.process import import_tensorflow

if TYPE_CHECKING:
    from wlasl_tfrecord.inference.prediction import Failure, Prediction

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bin/predict`."""
    parser = make_parser(
        "predict",
        "Names the sign in each video, with the model of a run. Each video is taken as "
        "one sign, from its first frame to its last; --start and --stop choose a part.",
    )
    parser.add_argument(
        "videos",
        nargs="+",
        metavar="VIDEO",
        help="a video, a folder of videos, or a folder of numbered images",
    )
    parser.add_argument(
        "--run",
        help="run folder, or the .keras or .h5 file in it (default: the newest in "
        "runs/)",
    )
    parser.add_argument(
        "--top", type=int, default=5, help="glosses to print for each video"
    )
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
    parser.add_argument(
        "--json", action="store_true", help="print one line of JSON for each video"
    )
    return run("predict", parser, _predict, argv)


def _predict(arguments: argparse.Namespace) -> int:
    from wlasl_tfrecord.inference import prediction
    from wlasl_tfrecord.network import model_info

    run_dir = arguments.run or model_info.find_run()
    model_info.read_model_info(run_dir)
    options = {
        name: getattr(arguments, name)
        for name in ("top", "batch_size", "start", "stop")
    }
    prediction.check_options(**options)
    videos = prediction.find_videos(arguments.videos)
    results: Iterable[Prediction | Failure] = prediction.missing_videos(videos)
    if len(results) < len(videos):
        # Only now TensorFlow: a mistyped name or option should answer at once.
        import_tensorflow()
        from wlasl_tfrecord.inference import trained_model

        model = trained_model.load_model(run_dir)
        if arguments.run is None:
            print(f"with {model.path}", file=sys.stderr)
        results = prediction.predict_videos(model, videos, **options)
    num_failed = 0
    for result in results:
        if isinstance(result, prediction.Failure):
            num_failed += 1
            print(result.reason, file=sys.stderr)
            if arguments.json:
                print(json.dumps({"path": str(result.path), "error": result.reason}))
        elif arguments.json:
            print(json.dumps(_as_json(result), ensure_ascii=False))
        else:
            print(result.path)
            for gloss, share in zip(result.glosses, result.probabilities):
                print(f"  {share:6.1%}  {gloss}")
        sys.stdout.flush()
    return 1 if num_failed else 0


def _as_json(result: "Prediction") -> dict[str, object]:
    return {
        "path": str(result.path),
        "predictions": [
            {"gloss": gloss, "probability": share}
            for gloss, share in zip(result.glosses, result.probabilities)
        ],
        "num_distinct_frames": result.num_distinct_frames,
    }


if __name__ == "__main__":
    sys.exit(main())

"""How long `bin/predict` takes for a video, and where: decoding, network, exports.

    taskset -c 0,1 python benchmarks/predict.py [--run runs/first | --alpha 1.0 0.35]

Every way is measured once a round, in turn, on the same drawn videos; medians of the
rounds. Without a run, untrained networks of the default size are used: their weights do
not change the time. The network alone is measured as Keras runs it, one clip at a time
and all at once, and as it is used, beside the exported SavedModel and TFLite file; the
whole way is `predict_videos` with its decoder processes, which start again in every
round.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wlasl_tfrecord.cli.process import import_tensorflow

NUM_GLOSSES = 100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path)
    parser.add_argument(
        "--alpha", type=float, nargs="+", default=[1.0, 0.35], help="without --run"
    )
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--exports", action="store_true", help="SavedModel and TFLite")
    arguments = parser.parse_args()
    import_tensorflow()
    from wlasl_tfrecord.inference.trained_model import load_model

    print(f"{platform.processor() or platform.machine()}, Python {sys.version[:7]}")
    print(f"{arguments.videos} videos, medians of {arguments.rounds} rounds")
    with tempfile.TemporaryDirectory() as directory:
        videos = drawn(Path(directory), arguments.videos)
        alphas = [1.0] if arguments.run else arguments.alpha
        ways: dict[str, Callable[[], object]] = {}
        for alpha in alphas:
            folder = Path(directory) / f"alpha {alpha}"
            run_dir = arguments.run or untrained(folder / "run", alpha)
            model = load_model(run_dir)
            name = arguments.run or f"alpha {alpha}"
            found = {
                **network_ways(model, videos),
                **whole_ways(model, videos),
            }
            if arguments.exports:
                found |= exported_ways(model, videos, folder / "exported")
            ways |= {f"{name}, {way}": run for way, run in found.items()}
        measure(ways, len(videos), arguments.rounds)
    return 0


def measure(
    ways: dict[str, Callable[[], object]], num_videos: int, num_rounds: int
) -> None:
    """Runs every way once a round, and prints the medians."""
    for way in ways.values():  # traces, and fills the page cache
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(num_rounds):
        print(f"round {number + 1} …", file=sys.stderr)
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append((time.perf_counter() - started) / num_videos)
    print(f"{'':<50}{'ms/video':>10}")
    for name, every in seconds.items():
        print(f"{name:<50}{statistics.median(every) * 1e3:>10.0f}")


def network_ways(model, videos: list[Path]) -> dict[str, Callable[[], object]]:
    """The network alone: at several numbers of clips at once, and as it is used."""
    from wlasl_tfrecord.inference import trained_model

    clips = decoded(model, videos)

    def at_once(size: int) -> Callable[[], object]:
        return lambda: [
            model.network.predict_on_batch(clips[start : start + size])
            for start in range(0, len(clips), size)
        ]

    return {
        "network as Keras runs it, one by one": at_once(1),
        "network as Keras runs it, all at once": at_once(len(clips)),
        "network as it is used": lambda: trained_model.probabilities(model, clips),
    }


def whole_ways(model, videos: list[Path]) -> dict[str, Callable[[], object]]:
    """From the file to the glosses."""
    from wlasl_tfrecord.inference.prediction import predict_videos

    def whole(batch_size: int) -> Callable[[], object]:
        return lambda: list(predict_videos(model, videos, batch_size=batch_size))

    return {f"whole way, --batch-size {n}": whole(n) for n in (1, 8)}


def exported_ways(
    model, videos: list[Path], out: Path
) -> dict[str, Callable[[], object]]:
    """The same clips through exported files, one by one."""
    from wlasl_tfrecord.inference.export import export_model, load_exported

    clips = decoded(model, videos)

    def one_by_one(runner) -> Callable[[], object]:
        return lambda: [runner(clip[None]) for clip in clips]

    ways = {}
    for name in ("saved_model", "tflite"):
        path = export_model(model, out, name).path
        ways[f"{name}, one by one"] = one_by_one(load_exported(path))
    return ways


def decoded(model, videos: list[Path]) -> np.ndarray:
    """The clips of the videos, uint8 [N, T, H, W, 3]."""
    from wlasl_tfrecord.decoder_pool.frames import decode_clips
    from wlasl_tfrecord.decoder_pool.on_demand import DecodedFrames

    info = model.info
    results = decode_clips(videos, clip=info.clip, framing=info.framing)
    clips = [result.frames for result in results if isinstance(result, DecodedFrames)]
    return np.stack(clips)


def drawn(directory: Path, num_videos: int) -> list[Path]:
    """Videos of drawn signers."""
    from wlasl_tfrecord.synthetic.video import write_video
    from wlasl_tfrecord.synthetic.videos import SyntheticConfig, plan_videos

    plan = plan_videos(SyntheticConfig())
    return [write_video(directory, video) for video in plan[:num_videos]]


def untrained(run_dir: Path, alpha: float) -> Path:
    """A run folder with a network of the default size that nobody trained."""
    from wlasl_tfrecord.network import model_info, recipes
    from wlasl_tfrecord.shard_format.clips import ClipSpec

    clip, options = ClipSpec(), {"weights": "none", "alpha": alpha}
    network = recipes.load_recipe().build(clip, NUM_GLOSSES, options)
    os.makedirs(run_dir, exist_ok=True)
    network.save(run_dir / model_info.MODEL_FILE)
    info = model_info.ModelInfo(
        glosses=tuple(f"gloss {number}" for number in range(NUM_GLOSSES)),
        clip=clip,
        framing="center",
    )
    model_info.write_model_info(run_dir, info)
    return run_dir


if __name__ == "__main__":
    sys.exit(main())

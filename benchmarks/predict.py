"""How long `bin/predict` takes for a video, and where: decoding, network, batches.

    taskset -c 0,1 python benchmarks/predict.py [--run runs/first | --alpha 0.35]

Every way is measured once a round, in turn, on the same drawn videos; medians of the
rounds. Without a run, an untrained network of the default size is used: its weights do
not change the time. The network alone is measured at several numbers of clips at once,
beside the exported SavedModel and TFLite file; the whole way is `predict_videos` with
its decoder processes, which start again in every round.
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
    parser.add_argument("--alpha", type=float, default=1.0, help="without --run")
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--exports", action="store_true", help="SavedModel and TFLite")
    arguments = parser.parse_args()
    import_tensorflow()
    from wlasl_tfrecord.inference.trained_model import load_model

    with tempfile.TemporaryDirectory() as directory:
        run_dir = arguments.run or untrained(Path(directory) / "run", arguments.alpha)
        videos = drawn(Path(directory), arguments.videos)
        model = load_model(run_dir)
        ways = {**network_ways(model, videos), **whole_ways(model, videos)}
        if arguments.exports:
            ways |= exported_ways(model, videos, Path(directory) / "exported")
        for way in ways.values():  # traces, and fills the page cache
            way()
        print(f"{platform.processor() or platform.machine()}, Python {sys.version[:7]}")
        print(f"{len(videos)} videos, medians of {arguments.rounds} rounds")
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, way in ways.items():
                started = time.perf_counter()
                way()
                seconds[name].append((time.perf_counter() - started) / len(videos))
    base = statistics.median(seconds["network, 1 clip"])
    print(f"{'':<28}{'ms/video':>10}{'x one by one':>14}")
    for name, every in seconds.items():
        middle = statistics.median(every)
        print(f"{name:<28}{middle * 1e3:>10.0f}{middle / base:>14.2f}")
    return 0


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
        **{f"network, {n} clip{'s'[: n > 1]}": at_once(n) for n in (1, 2, 4, 8)},
        "network, as it is used": lambda: trained_model.probabilities(model, clips),
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
        ways[f"{name}, 1 clip"] = one_by_one(load_exported(path))
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
    os.makedirs(run_dir)
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

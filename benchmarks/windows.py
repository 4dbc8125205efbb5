"""What `bin/predict --windows` finds in sentences, and what it finds that is not there.

    python benchmarks/windows.py --run demo/run --src demo/videos
    python benchmarks/windows.py --run runs/first --src videos/ --split val

Sentences are made of the clips of a split that the model was not trained on, of the
same signer where --signer is given, with still parts before, between and after them:
the last frame of a clip held, then the first of the next, with the noise of a camera.
Every sentence is decoded and recognised as by the command, once for each length of the
window; step, threshold and motion are then chosen among the same windows.

A sign counts as found if one of its gloss is named and the middle of that lies within
the clip. Every other sign that is named is a false alarm.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.cli.process import import_tensorflow
from wlasl_tfrecord.inference.window_options import WindowOptions

FPS = 25.0
SIZE = 240
# Of 255: what the sensor of a webcam adds to a picture that does not change.
NOISE = 2.0


@dataclass(frozen=True)
class Clip:
    """A clip and its gloss."""

    path: str
    gloss: str
    signer: int | None


@dataclass(frozen=True)
class Placed:
    """Where a clip lies in a sentence, in seconds."""

    gloss: str
    start: float
    stop: float
    is_right_alone: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True)
    parser.add_argument("--src", required=True)
    parser.add_argument("--annotations")
    parser.add_argument("--subset", type=int)
    parser.add_argument("--split", default="test")
    parser.add_argument("--signer", action="store_true", help="one a sentence")
    parser.add_argument("--signs", type=int, default=8, help="in a sentence")
    parser.add_argument("--sentences", type=int, default=20)
    parser.add_argument("--still", type=float, default=1.5, help="seconds between")
    parser.add_argument(
        "--window", type=float, nargs="+", default=[WindowOptions().window_seconds]
    )
    parser.add_argument(
        "--step", type=float, nargs="+", default=[WindowOptions().step_seconds]
    )
    parser.add_argument(
        "--threshold", type=float, nargs="+", default=[WindowOptions().threshold]
    )
    parser.add_argument(
        "--min-motion", type=float, nargs="+", default=[WindowOptions().min_motion]
    )
    arguments = parser.parse_args()
    import_tensorflow()
    from wlasl_tfrecord.inference.trained_model import load_model

    model = load_model(arguments.run)
    clips = clips_of(arguments, set(model.info.glosses))
    with tempfile.TemporaryDirectory() as directory:
        sentences = [
            write_sentence(Path(directory) / f"{number}.avi", chosen, model, arguments)
            for number, chosen in enumerate(sentences_of(clips, arguments))
        ]
        num_seconds = sum(seconds for _, _, seconds in sentences)
        placed = [one for _, every, _ in sentences for one in every]
        alone = sum(one.is_right_alone for one in placed)
        print(
            f"{len(sentences)} sentences, {len(placed)} signs, {num_seconds:.0f} s; "
            f"cut out, {alone / len(placed):.0%} of the signs are named right"
        )
        for seconds in arguments.window:
            measure(model, sentences, seconds, num_seconds, arguments)
    return 0


def clips_of(arguments: argparse.Namespace, glosses: set[str]) -> list[Clip]:
    """The clips of the split that can be read, of glosses that the model knows."""
    manifest = read_manifest(
        arguments.src, annotations=arguments.annotations, subset=arguments.subset
    )
    return [
        Clip(str(one.path), one.gloss, one.signer_id)
        for one in manifest.instances
        if one.path is not None
        and one.problem is None
        and one.split == arguments.split
        and one.gloss in glosses
    ]


def sentences_of(
    clips: Sequence[Clip], arguments: argparse.Namespace
) -> Iterator[list[Clip]]:
    """Shuffles the clips into sentences; each clip is in one at most."""
    order = np.random.default_rng(0).permutation(len(clips))
    groups: dict[object, list[Clip]] = {}
    for number in order:
        clip = clips[number]
        groups.setdefault(clip.signer if arguments.signer else None, []).append(clip)
    whole = (
        group[start : start + arguments.signs]
        for group in groups.values()
        for start in range(0, len(group) - arguments.signs + 1, arguments.signs)
    )
    return itertools.islice(whole, arguments.sentences)


def write_sentence(path: Path, clips: Sequence[Clip], model, arguments):
    """Writes a video of some clips; returns it, where they lie, and its seconds."""
    from wlasl_tfrecord.inference.prediction import Prediction, predict_videos

    alone = list(predict_videos(model, [Path(clip.path) for clip in clips], top=1))
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (SIZE, SIZE)
    )
    random = np.random.default_rng(len(clips))
    num_still, count, placed = round(arguments.still / 2 * FPS), 0, []

    def hold(frame: np.ndarray) -> None:
        nonlocal count
        for _ in range(num_still):
            noise = random.normal(0, NOISE, frame.shape)
            writer.write(np.clip(frame + noise, 0, 255).astype(np.uint8))
            count += 1

    for clip, result in zip(clips, alone):
        frames = frames_of(clip.path)
        hold(frames[0])
        start = count
        for frame in frames:
            writer.write(frame)
            count += 1
        is_right = isinstance(result, Prediction) and result.glosses[0] == clip.gloss
        placed.append(Placed(clip.gloss, start / FPS, count / FPS, is_right))
        hold(frames[-1])
    writer.release()
    return path, placed, count / FPS


def frames_of(path: str) -> list[np.ndarray]:
    """The middle square of each frame, at 25 frames a second."""
    capture = cv2.VideoCapture(path)
    fps = capture.get(cv2.CAP_PROP_FPS) or FPS
    frames = []
    while True:
        is_there, image = capture.read()
        if not is_there:
            break
        height, width = image.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = image[top : top + side, left : left + side]
        frames.append(cv2.resize(square, (SIZE, SIZE), interpolation=cv2.INTER_AREA))
    count = max(round(len(frames) * FPS / fps), 1)
    return [frames[int(n * len(frames) / count)] for n in range(count)]


def measure(model, sentences, window_seconds: float, num_seconds: float, arguments):
    """Prints a line for each choice of step, threshold and motion."""
    from wlasl_tfrecord.inference.windows import video_windows

    shortest = min(arguments.step)
    options = WindowOptions(window_seconds=window_seconds, step_seconds=shortest)
    started = time.perf_counter()
    windows = [list(video_windows(model, path, options)) for path, _, _ in sentences]
    pace = (time.perf_counter() - started) / num_seconds * 60
    print(f"window {window_seconds:g} s: {pace:.1f} s for a minute of video")
    show_motion(windows, sentences)
    print("  step  threshold  motion   found  of those right alone  false alarms/min")
    for step, threshold, motion in itertools.product(
        arguments.step, arguments.threshold, arguments.min_motion
    ):
        chosen = replace(
            options, step_seconds=step, threshold=threshold, min_motion=motion
        )
        every = chosen.places_between(model.info.clip.num_frames)
        every //= options.places_between(model.info.clip.num_frames)
        found, alone, false = 0, 0, 0
        for of_video, (_, placed, _) in zip(windows, sentences):
            hits, errors = compare(model, of_video[:: max(every, 1)], placed, chosen)
            found += sum(hits)
            alone += sum(h for h, one in zip(hits, placed) if one.is_right_alone)
            false += errors
        num_signs = sum(len(placed) for _, placed, _ in sentences)
        num_alone = sum(one.is_right_alone for _, p, _ in sentences for one in p)
        print(
            f"  {step:4g}  {threshold:9g}  {motion:6g}  {found / num_signs:6.0%}  "
            f"{alone / max(num_alone, 1):20.0%}  {60 * false / num_seconds:16.1f}",
            flush=True,
        )


def compare(model, windows, placed: Sequence[Placed], options: WindowOptions):
    """Which signs were found, and how many others were named."""
    from wlasl_tfrecord.inference.signs import SignFinder

    finder = SignFinder(options, model.info.glosses)
    signs = [sign for window in windows for sign in finder.push(window)]
    signs += finder.finish()
    hits = [False] * len(placed)
    errors = 0
    for sign in signs:
        middle = (sign.start_seconds + sign.stop_seconds) / 2
        for number, one in enumerate(placed):
            is_within = one.start <= middle <= one.stop
            if is_within and sign.glosses[0] == one.gloss and not hits[number]:
                hits[number] = True
                break
        else:
            errors += 1
    return hits, errors


def show_motion(windows, sentences) -> None:
    """How much moves in windows within a clip, and in those within a still part."""
    moving, still = [], []
    for of_video, (_, placed, _) in zip(windows, sentences):
        for window in of_video:
            middle = window.middle_seconds
            inside = any(one.start <= middle <= one.stop for one in placed)
            (moving if inside else still).append(window.motion)
    for name, motions in (("signs", moving), ("still parts", still)):
        if motions:
            shown = np.quantile(motions, (0.05, 0.25, 0.5, 0.75, 0.95))
            text = " ".join(f"{value:.2f}" for value in shown)
            print(f"  motion in {name}, 5 to 95 %: {text}")


if __name__ == "__main__":
    sys.exit(main())

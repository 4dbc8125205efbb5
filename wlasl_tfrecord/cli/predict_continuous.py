"""The part of `bin/predict` for long videos and cameras."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wlasl_tfrecord.errors import VideoError, WlaslError
from wlasl_tfrecord.files import output_errors, real_folder
from wlasl_tfrecord.inference.ranking import csv_line
from wlasl_tfrecord.inference.window_options import WindowOptions
from wlasl_tfrecord.text import cell_text, text_of

if TYPE_CHECKING:
    from wlasl_tfrecord.inference.signs import Sign
    from wlasl_tfrecord.inference.timeline import Timeline
    from wlasl_tfrecord.inference.trained_model import TrainedModel

__all__ = [
    "add_continuous",
    "is_continuous",
    "predict_windows",
    "watch_camera",
    "window_options",
]

# Option of the command -> field of WindowOptions.
_FIELDS = {
    "window": "window_seconds",
    "step": "step_seconds",
    "threshold": "threshold",
    "min_motion": "min_motion",
}


def add_continuous(parser: argparse.ArgumentParser) -> None:
    """Adds the options for videos and cameras that show many signs."""
    defaults = WindowOptions()
    group = parser.add_argument_group("many signs, one after the other")
    group.add_argument(
        "--windows",
        action="store_true",
        help="slide a window over each video, and name the signs with their times",
    )
    group.add_argument(
        "--camera",
        metavar="DEVICE",
        help="do so live: number of a camera, 0 for the first, or a video file, which "
        "is played at its own pace",
    )
    group.add_argument(
        "--window",
        type=float,
        metavar="SECONDS",
        help=f"how long a window is (default: {defaults.window_seconds})",
    )
    group.add_argument(
        "--step",
        type=float,
        metavar="SECONDS",
        help="from the start of a window to that of the next (default: "
        f"{defaults.step_seconds})",
    )
    group.add_argument(
        "--threshold",
        type=float,
        help="probability from which on a gloss counts (default: "
        f"{defaults.threshold})",
    )
    group.add_argument(
        "--min-motion",
        type=float,
        help="motion from which on a window can show a sign; a still picture has 0 "
        f"(default: {defaults.min_motion})",
    )
    group.add_argument(
        "--out",
        metavar="FOLDER",
        help="with --windows: also write a table, JSON lines, WebVTT subtitles and a "
        "picture for each video",
    )


def is_continuous(arguments: argparse.Namespace) -> bool:
    """Returns whether many signs are looked for.

    Raises:
        ValueError: If options do not fit each other.
    """
    if arguments.camera is not None:
        for name in ("videos", "windows", "start", "stop", "out", "timing"):
            if getattr(arguments, name):
                shown = "videos" if name == "videos" else f"--{name}"
                raise ValueError(f"{shown} cannot be given with --camera")
        return True
    if not arguments.videos:
        raise ValueError("name a video, or a camera with --camera 0")
    if arguments.windows:
        if arguments.timing:
            raise ValueError("--timing is for videos of one sign, not for --windows")
        return True
    for name in (*_FIELDS, "out"):
        if getattr(arguments, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(
                f"{option} is for --windows and --camera; give one of them"
            )
    return False


def window_options(arguments: argparse.Namespace) -> WindowOptions:
    """Returns the choices of a user, with defaults for the others."""
    chosen = {field: getattr(arguments, name) for name, field in _FIELDS.items()}
    given = {field: value for field, value in chosen.items() if value is not None}
    return dataclasses.replace(WindowOptions(), **given)


def predict_windows(
    model: "TrainedModel", videos: Sequence[Path], arguments: argparse.Namespace
) -> int:
    """Prints the signs of long videos, and writes their files."""
    from wlasl_tfrecord.inference import sign_files
    from wlasl_tfrecord.inference.timeline import Timeline

    options = window_options(arguments)
    names = _file_names(videos)
    if arguments.out is not None:
        with output_errors(arguments.out, "choose another folder with --out"):
            real_folder(arguments.out)
    if arguments.csv:
        print(csv_line(["path", *_sign_columns(arguments.top)]))
    num_failed = 0
    for video in videos:
        if not (arguments.csv or arguments.json):
            print(text_of(str(video)), flush=True)
        timeline, signs = Timeline(options=options), []
        try:
            for sign in _signs_of(model, video, arguments, timeline):
                signs.append(sign)
                print(_shown(sign, arguments, video), flush=True)
        except VideoError as error:
            num_failed += 1
            print(error, file=sys.stderr)
            continue
        if arguments.out is not None:
            paths = sign_files.write_sign_files(
                Path(arguments.out), names[video], signs, timeline, arguments.top
            )
            written = ", ".join(path.name for path in paths)
            print(f"{arguments.out}: {written}", file=sys.stderr)
    return 1 if num_failed else 0


def _signs_of(
    model: "TrainedModel",
    video: Path,
    arguments: argparse.Namespace,
    timeline: "Timeline",
) -> Iterator["Sign"]:
    """Yields the signs of a video as they are found, and fills its timeline."""
    from wlasl_tfrecord.inference.signs import SignFinder
    from wlasl_tfrecord.inference.windows import video_windows

    options = timeline.options
    finder = SignFinder(options, model.info.glosses, arguments.top)
    for window in video_windows(
        model, video, options, start=arguments.start, stop=arguments.stop
    ):
        timeline.add(window)
        yield from finder.push(window)
    yield from finder.finish()


def watch_camera(model: "TrainedModel", arguments: argparse.Namespace) -> int:
    """Prints the signs that a camera sees, until it ends or somebody types Ctrl-C."""
    from wlasl_tfrecord.inference import camera as cameras

    options = window_options(arguments)
    camera = cameras.Camera(
        arguments.camera,
        clip=model.info.clip,
        framing=model.info.framing,
        window_seconds=options.window_seconds,
    )
    report = cameras.LiveReport()
    most = cameras.most_delay_seconds(options, cameras.BACKLOG_SECONDS)
    print(
        f"camera {arguments.camera}: a sign is named at most {most:.1f} s after the "
        "last window that shows it (Ctrl-C ends)",
        file=sys.stderr,
    )
    if arguments.csv:
        columns = ["delay", *_sign_columns(arguments.top)]
        print(csv_line(columns), flush=True)
    try:
        for live in cameras.recognise_live(
            model, camera, options, top=arguments.top, report=report
        ):
            delay = round(live.delay_seconds, 2)
            print(_shown(live.sign, arguments, None, delay), flush=True)
    finally:
        camera.close()
        print(
            f"{report.num_windows} windows; results were at most "
            f"{report.most_delay_seconds:.2f} s behind the camera, and "
            f"{report.skipped_seconds:.1f} s were left out to keep pace",
            file=sys.stderr,
        )
    return 0


def _file_names(videos: Sequence[Path]) -> Mapping[Path, str]:
    """Returns what the files of each video are called.

    Raises:
        WlaslError: If two have the same name.
    """
    names: dict[str, Path] = {}
    for video in videos:
        other = names.setdefault(video.stem, video)
        if other != video:
            raise WlaslError(
                f"{text_of(str(other))} and {text_of(str(video))} would be written to "
                "the same files; give them to two commands with different --out"
            )
    return {video: name for name, video in names.items()}


def _sign_columns(top: int) -> list[str]:
    from wlasl_tfrecord.inference import sign_files

    return sign_files.sign_columns(top)


def _shown(
    sign: "Sign",
    arguments: argparse.Namespace,
    video: Path | None,
    delay: float | None = None,
) -> str:
    """Returns a sign in the form that was asked for."""
    from wlasl_tfrecord.inference import sign_files

    if arguments.json:
        more = {"path": str(video)} if delay is None else {"delay": delay}
        return json.dumps({**more, **sign_files.sign_json(sign)}, ensure_ascii=False)
    if arguments.csv:
        first = cell_text(text_of(str(video))) if delay is None else f"{delay:.2f}"
        return csv_line([first, *sign_files.sign_cells(sign, arguments.top)])
    times = f"{_short(sign.start_seconds)} to {_short(sign.stop_seconds)}"
    (gloss, *others), (share, *shares) = sign.glosses, sign.probabilities
    rest = ", ".join(
        f"{' '.join(gloss.splitlines())} {share:.0%}"
        for gloss, share in zip(others, shares)
    )
    shown = f"  {times}  {share:6.1%}  {' '.join(gloss.splitlines())}"
    if rest:
        shown += f"   ({rest})"
    return shown if delay is None else f"{shown}   {delay:.1f} s ago"


def _short(seconds: float) -> str:
    """Returns a time as minutes and seconds, `0:07.2`."""
    tenths = round(10 * seconds)
    return f"{tenths // 600}:{tenths % 600 // 10:02}.{tenths % 10}"

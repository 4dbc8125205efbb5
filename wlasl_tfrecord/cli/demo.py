"""Goes the whole way, from drawn videos to a trained and tested recogniser."""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wlasl_tfrecord
from wlasl_tfrecord.cli.command import make_parser, run
from wlasl_tfrecord.cli.process import import_tensorflow
from wlasl_tfrecord.errors import OutputError, WlaslError

__all__ = ["main"]

# Marks a folder that bin/demo made and may replace.
_MARKER = "demo.json"
_MADE = (
    "WLASL_v0.3.json", "videos", "videos.partial", "shards", "run",
    "hands.weights.h5", "evaluation.json", _MARKER,
)  # fmt: skip

_MIRRORED = (("rise", "fall"), ("open", "close"))


@dataclass(frozen=True, kw_only=True)
class _Size:
    """The size of a demo: signers per split, training steps of the backbone, epochs."""

    signers: tuple[int, int, int]
    backbone_steps: int
    epochs: int


# Recognises about 90 % of the held-out clips (89 to 98 in several runs), in four
# minutes on two cores.
_FULL = _Size(signers=(48, 8, 8), backbone_steps=300, epochs=15)
_QUICK = _Size(signers=(6, 2, 2), backbone_steps=10, epochs=2)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bin/demo`."""
    parser = make_parser(
        "demo",
        "Draws signing videos, shards them, trains a recogniser, and tests it on "
        "signers that it has never seen. Needs no network and no GPU; some minutes on "
        "two cores.",
    )
    parser.add_argument("--out", default="demo", help="folder to make, or to replace")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of signers and first weights",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a tenth of everything: shows that it runs, learns next to nothing",
    )
    return run("demo", parser, _demo, argv)


def _demo(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    size = _QUICK if arguments.quick else _FULL
    if arguments.seed < 0:
        raise ValueError(f"--seed must be at least 0, got {arguments.seed}")
    out = Path(arguments.out)
    _start_over(out)
    options = {"seed": arguments.seed, "quick": arguments.quick}
    (out / _MARKER).write_text(json.dumps(options) + "\n")

    videos = _draw(out, size, arguments.seed)
    _say(2, "Shard them: decode, resize, and store clips that can be read fast")
    # Small clips, so that two cores can train on them in minutes. For real videos use
    # the default, 30 frames of 224 x 224 pixels.
    _command("shard", "--src", out / "videos", "--out", out / "shards",
             "--num-frames", 16, "--size", 64)  # fmt: skip
    _see_hands(out, videos, size, arguments.seed)
    _say(
        4, "Train: the backbone stays as it is, an LSTM learns signs from its features"
    )
    _command("train", "--data", out / "shards", "--out", out / "run",
             "--weights", out / "hands.weights.h5", "--alpha", 0.35,
             "--no-augment", "--epochs", size.epochs,
             "--seed", arguments.seed)  # fmt: skip
    _say(5, "Evaluate it on signers that it has never seen")
    _command("evaluate", "--data", out / "shards", "--run", out / "run",
             "--split", "test")  # fmt: skip
    report = _evaluation(out)
    _say(6, "Name the sign in one of their videos")
    held_out = next(
        video
        for video in videos
        if video.split == "test" and video.gloss == _MIRRORED[0][0]
    )
    path = out / "videos" / f"{held_out.video_id}.mp4"
    _command("predict", path, "--run", out / "run", "--top", 3)
    print(f"(it is {held_out.gloss!r})")
    _finish(out, report, time.monotonic() - started)
    if arguments.quick:
        print(
            "\n--quick learns next to nothing; without it the demo takes minutes more"
        )
    return 0


def _start_over(out: Path) -> None:
    """Makes the folder; removes the files of an earlier demo, and nothing else."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()) and not (out / _MARKER).is_file():
            raise OutputError(
                f"{out} is not empty and holds no earlier demo; choose another folder "
                "with --out"
            )
        for name in _MADE:
            if (out / name).is_dir():
                shutil.rmtree(out / name)
            else:
                (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write to {out} ({error.strerror or error}); choose another folder "
            "with --out"
        ) from error


def _draw(out: Path, size: _Size, seed: int) -> Sequence[Any]:
    from tqdm import tqdm

    from wlasl_tfrecord.synthetic.videos import (
        ANNOTATIONS_NAME,
        SyntheticConfig,
        write_videos,
    )

    train, val, test = size.signers
    config = SyntheticConfig(
        train_signers=train, val_signers=val, test_signers=test, repeats=1, seed=seed
    )
    _say(
        1,
        f"Draw {config.num_videos} videos: {config.num_signers} signers, each with 8 "
        "signs that we made up",
    )
    with tqdm(total=config.num_videos, unit="video", disable=None) as bar:
        videos = write_videos(out, config, on_video=bar.update)
    print(
        f"{out}/videos and {out}/{ANNOTATIONS_NAME}: "
        f"{train} signers to train on, {val} to validate, {test} to test"
    )
    return videos


def _see_hands(out: Path, videos: Sequence[Any], size: _Size, seed: int) -> None:
    _say(
        3,
        "Teach a backbone to see hands: it stands in for ImageNet's weights, which "
        "would be a download",
    )
    import_tensorflow()
    from tqdm import tqdm

    from wlasl_tfrecord.synthetic import hand_backbone

    path = out / "hands.weights.h5"
    with tqdm(total=size.backbone_steps, unit="step", disable=None) as bar:

        def on_step(step: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()
            # In a log, where no bar is drawn, a line every 50 steps.
            if bar.disable and (step + 1) % 50 == 0:
                print(f"step {step + 1} of {size.backbone_steps}", flush=True)

        hand_backbone.train_backbone(
            out / "shards",
            videos,
            path,
            alpha=0.35,
            num_steps=size.backbone_steps,
            seed=seed,
            on_step=on_step,
        )
    print(path)


def _evaluation(out: Path) -> dict[str, Any]:
    """Reads what bin/evaluate wrote, for the last lines of the demo."""
    path = out / "run" / "evaluation-test" / "evaluation.json"
    return json.loads(path.read_text(encoding="utf-8"))


def _finish(out: Path, report: dict[str, Any], seconds: float) -> None:
    clips = report["clips"]
    print(
        f"\nDone in {seconds // 60:.0f} min {seconds % 60:.0f} s. Of {len(clips)} "
        "videos by signers that it has never seen, it names "
        f"{report['per_clip']['top1']:.1%} right; chance is 12.5%."
    )
    for pair in _MIRRORED:
        signed = [clip for clip in clips if clip["signed"] in pair]
        right = sum(clip["signed"] == clip["recognised"] for clip in signed)
        print(
            f"  {pair[0]!r} and {pair[1]!r} show the same poses in opposite order: "
            f"{right} of {len(signed)} right"
        )
    print(
        f"""
  {out}/videos             the videos
  {out}/shards             what training reads
  {out}/run/history.png    the curves of the training
  {out}/run/model.keras    the model; model.json describes its inputs and outputs
  {out}/run/evaluation-test/    every clip of the test, and pictures of what is mixed up

With videos of your own, WLASL's for example, in videos/:
  {_name("shard")} --src videos/
  {_name("train")}
  {_name("evaluate")}
  {_name("predict")} some_video.mp4
  {_name("predict")} long_video.mp4 --windows    many signs, with their times
  {_name("serve")}      a page for a video or a webcam
  {_name("export")}     for TensorFlow Serving, phones and other programs"""
    )


def _say(step: int, text: str) -> None:
    print(f"\n[{step}/6] {text}", flush=True)


def _command(name: str, *arguments: object) -> None:
    """Prints and runs one of our commands as a user would."""
    words = [str(argument) for argument in arguments]
    print(f"$ {_name(name)} {shlex.join(words)}", flush=True)
    done = subprocess.run([*_program(name), *words])
    if done.returncode:
        raise WlaslError(
            f"{_name(name)} failed with exit code {done.returncode}; see above"
        )


def _program(name: str) -> list[str]:
    """Returns the command line that starts one of our commands."""
    launcher = _launcher(name)
    if launcher is not None:
        return [sys.executable, str(launcher)]
    # Not by `-m`, which would look for the library in the current folder first.
    program = (
        f"import sys; sys.path[:] = {sys.path!r}; "
        f"from wlasl_tfrecord.cli.{name} import main; sys.exit(main())"
    )
    return [sys.executable, "-c", program]


def _name(name: str) -> str:
    """Returns a command as the user types it."""
    return f"wlasl-{name}" if _launcher(name) is None else f"bin/{name}"


def _launcher(name: str) -> Path | None:
    """Returns the launcher of a command in a checkout; None if this is no checkout."""
    path = Path(wlasl_tfrecord.__file__).parents[1] / "bin" / name
    return path if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())

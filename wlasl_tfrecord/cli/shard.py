"""Turns a folder of videos into TFRecord shards."""

import argparse
import contextlib
import dataclasses
import shlex
import signal
import sys
from collections.abc import Sequence

from wlasl_tfrecord.annotations.manifest import Manifest
from wlasl_tfrecord.annotations.reader import FORMATS, SPLIT_SOURCES, read_manifest
from wlasl_tfrecord.cli.command import make_parser, run
from wlasl_tfrecord.cli.process import mute
from wlasl_tfrecord.decoder_pool.jobs import VideoLimits
from wlasl_tfrecord.files import num_cores
from wlasl_tfrecord.shard_format.clips import FRAMINGS, ClipSpec
from wlasl_tfrecord.shard_format.codecs import CODECS, codec_facts
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding.beam_run import RUNNERS, BeamRunner
from wlasl_tfrecord.sharding.remote_folder import remote_folder
from wlasl_tfrecord.sharding.remote_videos import RemoteVideos, remote_videos
from wlasl_tfrecord.sharding.run_plan import FolderPlan, check_space, plan_folder
from wlasl_tfrecord.sharding.sharder import write_shards
from wlasl_tfrecord.storage.urls import is_object_url

__all__ = ["main"]


_LOSSY = " or ".join(codec for codec in CODECS if codec_facts(codec).has_quality)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bin/shard`; see `--help`."""
    return run("shard", _parser(), _shard, argv)


def _parser() -> argparse.ArgumentParser:
    defaults, clip, limits = ShardOptions(), ClipSpec(), VideoLimits()
    parser = make_parser(
        "shard",
        "Turns a folder of videos into TFRecord shards, once, before training. Stopped "
        "at any moment, the same command continues; run again, it adds what is new.",
    )
    add = parser.add_argument
    add("--src", required=True, help="folder of videos; or s3://…, gs://…, az://…")
    add(
        "--annotations",
        help="WLASL_v0.3.json, nslt_K.json or a CSV (default: looked for in and beside "
        "--src; else the folders of --src name the glosses); none if folders do",
    )
    add(
        "--format",
        choices=FORMATS,
        help="what --src or --annotations is (default: recognised)",
    )
    add("--subset", type=int, metavar="K", help="only the first K glosses")
    add(
        "--out",
        default="shards",
        help="folder to write, on a local disk; or s3://…, gs://…, az://…",
    )
    add("--num-frames", type=int, default=clip.num_frames, help="frames per clip")
    add("--size", default=str(clip.height), help="pixels: 224, or HEIGHTxWIDTH")
    add(
        "--framing",
        choices=FRAMINGS,
        default=defaults.framing,
        help="center crops, pad adds black, squash changes the aspect",
    )
    add("--codec", choices=CODECS, default=defaults.codec, help="how frames are stored")
    add(
        "--jpeg-quality",
        type=int,
        default=argparse.SUPPRESS,
        help=f"1 to 100 (default: {defaults.jpeg_quality}), for --codec {_LOSSY}",
    )
    add(
        "--landmarks",
        action="store_true",
        help="find hands and upper body in every frame, and store their points",
    )
    add(
        "--landmark-models",
        metavar="DIR",
        help="folder with MediaPipe's networks, for machines without a network "
        "(default: fetched once, 34 MiB)",
    )
    add("--workers", type=int, default=num_cores(), help="processes that decode")
    add("--seed", type=int, default=defaults.seed, help="seed of the order of clips")
    add("--overwrite", action="store_true", help="write a finished folder again")
    add("--strict", action="store_true", help="exit with 1 if any video failed")
    add(
        "--shard-mib",
        type=int,
        default=defaults.shard_mib,
        help="size of a shard, about: the number of shards is a power of two, so they "
        "have 0.7 to 1.4 times this on average",
    )
    add(
        "--split-by",
        choices=SPLIT_SOURCES,
        default=defaults.split_by,
        help="signer makes new splits in which nobody signs twice",
    )
    add(
        "--drop-leaks",
        action="store_true",
        help="leave out train clips whose content is in val or test too",
    )
    add(
        "--timeout",
        type=float,
        default=limits.timeout_seconds,
        help="seconds that reading, or decoding, one video may take",
    )
    add(
        "--worker-mib",
        type=int,
        default=limits.memory_mib,
        help="memory that one worker may take, in MiB",
    )
    add(
        "--retry",
        action="store_true",
        help="try again what took too long or too much memory, or ended its worker",
    )
    add(
        "--join",
        action="store_true",
        help="share the work with all who run this command with the same --out, a "
        "folder that all see or a URL; who comes last finishes",
    )
    add(
        "--runner",
        choices=RUNNERS,
        help="write the shards on the workers of an Apache Beam runner, which see "
        "--src and --out under the same paths or URLs",
    )
    add(
        "--runner-args",
        default="",
        metavar="ARGS",
        help="the runner's own options in one argument, written --runner-args='--a b'",
    )
    add("--dry-run", action="store_true", help="say what would be done, and do nothing")
    return parser


def _shard(arguments: argparse.Namespace) -> int:
    # Schedulers and containers end a program by SIGTERM.
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        if not is_object_url(arguments.src):
            return _write(arguments, None)
        with remote_videos(arguments.src) as videos:
            return _write(arguments, videos)
    except KeyboardInterrupt as stop:
        print("\nstopped; the same command resumes", file=sys.stderr)
        return 143 if isinstance(stop, _Terminated) else 130
    finally:
        signal.signal(signal.SIGTERM, before)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which stops a run as Ctrl-C does."""


def _terminate(*_: object) -> None:
    # A second one ends the process at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise _Terminated


def _write(arguments: argparse.Namespace, videos: RemoteVideos | None) -> int:
    options = ShardOptions(
        clip=_clip(arguments),
        framing=arguments.framing,
        codec=arguments.codec,
        jpeg_quality=_jpeg_quality(arguments),
        seed=arguments.seed,
        subset=arguments.subset,
        shard_mib=arguments.shard_mib,
        split_by=arguments.split_by,
        drop_leaks=arguments.drop_leaks,
        landmark_models=_landmark_models(arguments),
    )
    limits = VideoLimits(
        timeout_seconds=arguments.timeout, memory_mib=arguments.worker_mib
    )
    src = arguments.src if videos is None else videos.folder
    manifest = read_manifest(
        src,
        annotations=arguments.annotations,
        annotation_format=arguments.format,
        subset=arguments.subset,
        split_by=arguments.split_by,
    )
    lines = [*manifest.summary(), *manifest.notes]
    _say(*(lines if videos is None else map(videos.shown, lines)))
    if arguments.dry_run:
        _plan(arguments, manifest, options, limits, videos)
        return 0
    report = write_shards(
        manifest,
        arguments.out,
        options=options,
        limits=limits,
        workers=arguments.workers,
        overwrite=arguments.overwrite,
        retry=arguments.retry,
        join=arguments.join,
        runner=_runner(arguments),
        src=src,
        videos=videos,
        show_progress=sys.stderr.isatty(),
        on_plan=_announce,
        on_wait=lambda num: _say(f"waiting for {num} shards that others are writing"),
    )
    _say(report.summary())
    return 1 if arguments.strict and report.num_failed else 0


def _plan(
    arguments: argparse.Namespace,
    manifest: Manifest,
    options: ShardOptions,
    limits: VideoLimits,
    videos: RemoteVideos | None,
) -> None:
    """Says what a run would do."""
    is_remote = is_object_url(arguments.out)
    remote = remote_folder(arguments.out) if is_remote else contextlib.nullcontext()
    with remote as folder:
        plan = plan_folder(
            manifest,
            arguments.out if folder is None else folder.stage,
            options=options,
            limits=limits,
            overwrite=arguments.overwrite,
            retry=arguments.retry,
            videos=videos,
            show_progress=sys.stderr.isatty(),
        )
    plan = dataclasses.replace(plan, out=arguments.out)
    _say(plan.summary(), *plan.coverage())
    check_space(plan, sends_shards=is_remote)


def _announce(plan: FolderPlan) -> None:
    """Prints the plan; if there is nothing to write, the report says it all."""
    if plan.unwritten:
        _say(plan.summary())


def _say(*lines: str) -> None:
    """Prints lines; the work continues if the terminal or the reader is gone."""
    try:
        for line in lines:
            print(line, flush=True)
    except OSError:
        mute()


def _runner(arguments: argparse.Namespace) -> BeamRunner | None:
    """Returns the runner, and refuses options of one where there is none."""
    if arguments.runner is not None:
        words = tuple(shlex.split(arguments.runner_args))
        return BeamRunner(name=arguments.runner, arguments=words)
    if arguments.runner_args:
        raise ValueError("--runner-args is for --runner, which is missing")
    return None


def _jpeg_quality(arguments: argparse.Namespace) -> int:
    """Returns the quality, and refuses one for a codec that has none."""
    if not hasattr(arguments, "jpeg_quality"):
        return ShardOptions().jpeg_quality
    if not codec_facts(arguments.codec).has_quality:
        raise ValueError(
            f"--jpeg-quality is for --codec {_LOSSY}, not {arguments.codec}"
        )
    return arguments.jpeg_quality


def _landmark_models(arguments: argparse.Namespace) -> str | None:
    """Returns the folder of the networks; None if no landmarks are wanted."""
    if not arguments.landmarks:
        if arguments.landmark_models is not None:
            raise ValueError("--landmark-models is for --landmarks; add that")
        return None
    # Only now: nobody else needs it.
    from wlasl_tfrecord.landmarks.network_files import find_networks

    return find_networks(
        arguments.landmark_models, say=lambda line: print(line, file=sys.stderr)
    )


def _clip(arguments: argparse.Namespace) -> ClipSpec:
    """Reads `--size`: one number, or height and width."""
    sizes = arguments.size.split("x")
    if len(sizes) > 2 or not all(size.isdecimal() for size in sizes):
        raise ValueError(f"--size must be 224 or 224x320, got {arguments.size!r}")
    return ClipSpec(
        num_frames=arguments.num_frames, height=int(sizes[0]), width=int(sizes[-1])
    )


if __name__ == "__main__":
    sys.exit(main())

"""Teaches a backbone to find hands, for bin/train --model mobilenetv2_pose_lstm."""

import argparse
import sys
from collections.abc import Sequence

from wlasl_tfrecord.cli.command import make_parser, run
from wlasl_tfrecord.cli.process import import_tensorflow

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bin/pretrain`; see `--help`."""
    return run("pretrain", _parser(), _pretrain, argv)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "pretrain",
        "Teaches MobileNetV2 to find the hands and the upper body in a frame, from "
        "shards of bin/shard --landmarks, and writes its weights for bin/train --model "
        "mobilenetv2_pose_lstm --weights FILE. Glosses are not used. bin/train "
        "does the same where it is given no such file. Stopped, the same command goes "
        "on.",
    )
    parser.add_argument(
        "--data", default="shards", help="the shard folder of bin/shard --landmarks"
    )
    parser.add_argument(
        "--out",
        default="pose.weights.h5",
        help="file to write, ….weights.h5 (default: %(default)s)",
    )
    parser.add_argument(
        "--weights",
        default="imagenet",
        help="of the backbone, to begin with: imagenet, which is downloaded once, a "
        "copy of Keras's file, or none",
    )
    parser.add_argument(
        "--alpha", type=float, default=0.35, help="width of the backbone"
    )
    parser.add_argument(
        "--frame-size",
        type=int,
        default=128,
        help="side in pixels that frames are scaled to; a multiple of 32",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=3000,
        help="of 64 frames, half a second each on 2 cores",
    )
    parser.add_argument("--learning-rate", type=float, default=1.5e-3, help="its peak")
    parser.add_argument("--seed", type=int, default=0, help="of order and changes")
    return parser


def _pretrain(arguments: argparse.Namespace) -> int:
    import_tensorflow()
    from tqdm import tqdm

    from wlasl_tfrecord.training.pose_training import progress_lines, train_finder
    from wlasl_tfrecord.training.stop_signals import stop_signals

    with (
        stop_signals() as stopped,
        tqdm(total=arguments.steps, unit="step", disable=None) as bar,
    ):

        def say(line: str) -> None:
            tqdm.write(line, file=sys.stderr)

        show_line = progress_lines(say)

        def on_step(done: int, num_steps: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update(done - bar.n)
            # In a log, where no bar is drawn, a line now and then.
            if bar.disable:
                show_line(done, num_steps, loss)

        report = train_finder(
            arguments.data,
            arguments.out,
            weights=arguments.weights,
            alpha=arguments.alpha,
            frame_size=arguments.frame_size,
            num_steps=arguments.steps,
            learning_rate=arguments.learning_rate,
            seed=arguments.seed,
            stopped=stopped,
            say=say,
            on_step=on_step,
        )
    print(report)
    print(
        f"{arguments.out}: bin/train --data {arguments.data} --model "
        f"mobilenetv2_pose_lstm --weights {arguments.out}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The options of every command that uses a trained model."""

import argparse
from collections.abc import Sequence

from wlasl_tfrecord.errors import WlaslError
from wlasl_tfrecord.network import model_info

__all__ = ["add_landmark_models", "add_model", "add_run", "add_top", "extras_of_run"]


def add_landmark_models(parser: argparse.ArgumentParser) -> None:
    """Adds `--landmark-models`, the networks that find landmarks in videos."""
    parser.add_argument(
        "--landmark-models",
        metavar="FOLDER",
        help="folder with the networks that find landmarks, for a model that takes "
        "some (default: the user's cache, filled by pip once)",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Adds `--run`, which names the model."""
    parser.add_argument(
        "--run",
        help="run folder, or the .keras or .h5 file in it (default: the newest in "
        "runs/)",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds `--model`, which names the recipe of a received model."""
    parser.add_argument(
        "--model",
        metavar="RECIPE",
        help="recipe to execute, if the model has layers of its own and was not "
        "trained by you on this machine",
    )


def add_top(parser: argparse.ArgumentParser, default: int = 5) -> None:
    """Adds `--top`, the number of glosses that a result lists."""
    parser.add_argument(
        "--top", type=int, default=default, help="glosses to list for each video"
    )


def extras_of_run(argv: Sequence[str]) -> tuple[str, ...]:
    """Returns what has to be installed for the model that a command line names.

    A launcher asks this before the command starts.

    Args:
        argv: Arguments of a command that has `--run` and finds landmarks itself.

    Returns:
        Extras of setup.cfg. None if there is no such model: the command will say so.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--run", nargs="?")
    run = parser.parse_known_args(argv)[0].run
    try:
        info = model_info.read_model_info(run or model_info.find_run())
    except WlaslError:
        return ()
    return ("landmarks",) if info.takes_landmarks else ()

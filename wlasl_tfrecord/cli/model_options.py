"""The options of every command that uses a trained model."""

import argparse

__all__ = ["add_landmark_models", "add_model", "add_run", "add_top"]


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

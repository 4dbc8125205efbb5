"""The options of bin/train."""

import argparse
from typing import Any

from wlasl_tfrecord.cli.cache_options import add_cache
from wlasl_tfrecord.cli.command import make_parser
from wlasl_tfrecord.network.recipes import LANDMARKS_RECIPE
from wlasl_tfrecord.training.config import CROPS, PRECISIONS, TrainConfig
from wlasl_tfrecord.training.early_stopping import CHOICES
from wlasl_tfrecord.training.schedules import SCHEDULES

__all__ = ["train_parser"]


def train_parser() -> argparse.ArgumentParser:
    """Makes the parser; the defaults are those of `TrainConfig`."""
    default = TrainConfig()
    parser = make_parser(
        "train", "Trains a recogniser on shards, on every GPU of the machine."
    )
    where = parser.add_argument_group("where")
    where.add_argument(
        "--data", default="shards", help="the shard folder, or its s3://… URL"
    )
    add_cache(where)
    where.add_argument(
        "--out",
        help="the run folder; by default runs/ and the time; an interrupted "
        "run is resumed",
    )
    where.add_argument(
        "--resume",
        metavar="RUN",
        help="resume the run in this folder, with its own options",
    )
    where.add_argument(
        "--checkpoint-minutes",
        type=float,
        default=10.0,
        help="minutes between checkpoints",
    )
    where.add_argument(
        "--data-service",
        metavar="grpc://HOST:PORT",
        help="the dispatcher of a tf.data service (bin/dataserver), whose workers read "
        "the shards and make the batches",
    )
    where.add_argument(
        "--check",
        action="store_true",
        help="build, run, save and load the network once, and train nothing",
    )
    where.add_argument("--h5", action="store_true", help="also write model.h5")
    _add(where, default, "max_bad_records", int, "damaged records to skip")

    network = parser.add_argument_group("network")
    network.add_argument(
        "--model",
        help="a recipe's name, or a .py file; it may have defaults of its own "
        f"(default: {LANDMARKS_RECIPE} if the shards have landmarks, else "
        f"{default.recipe})",
    )
    network.add_argument(
        "--weights",
        default=default.weights,
        help="weights of the backbone: imagenet (downloaded once), none, or a file; "
        "….weights.h5 of bin/pretrain spares the pretraining of a recipe that has one",
    )
    for name, kind, explanation in (
        ("--alpha", float, "width of the backbone"),
        ("--lstm-units", int, "size of the state over time"),
        ("--dropout", float, "share left out in training"),
    ):
        network.add_argument(
            name, type=kind, help=f"{explanation} (default: the recipe's)"
        )
    network.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="anything else that the recipe takes",
    )

    phases = parser.add_argument_group("phases")
    phases.add_argument(
        "--schedule",
        choices=SCHEDULES,
        default=default.schedule,
        help="course of the learning rate after its peak",
    )
    for name, kind, explanation in (
        ("epochs", int, "epochs of the first phase"),
        ("batch_size", int, "clips in a global batch"),
        ("learning_rate", float, "peak of the rate in the first phase"),
        ("patience", int, "epochs without a better validation before a phase ends"),
        ("plateau_patience", int, "epochs before --schedule plateau halves the rate"),
        ("fine_tune_epochs", int, "epochs of the second phase; 0 for none"),
        ("fine_tune_blocks", int, "how many of the backbone's last blocks it trains"),
        ("fine_tune_learning_rate", float, "peak of the rate in the second phase"),
        ("feature_views", int, "augmented views of a clip to compute features of"),
    ):
        _add(phases, default, name, kind, explanation)
    phases.add_argument(
        "--choose-by",
        choices=CHOICES,
        default=default.choose_by,
        help="which epoch is kept: that of the best validation, or the last",
    )
    _switch(
        phases, "freeze_backbone", "train the head alone first; else all in one phase"
    )
    _add(phases, default, "train_frames", int, "frames of a clip in a step; 0 for all")
    _switch(
        phases,
        "feature_cache",
        "compute the frozen backbone only once for each view",
    )

    learning = parser.add_argument_group("learning")
    _add(learning, default, "weight_decay", float, "of AdamW")
    _add(learning, default, "label_smoothing", float, "share that goes to all glosses")
    _add(
        learning, default, "mixup", float, "alpha of mixing clips in pairs; 0 for none"
    )
    _add(
        learning,
        default,
        "weight_average",
        float,
        "share that the average of the weights keeps in a step; 0 for no average",
    )
    learning.add_argument(
        "--class-weights", action="store_true", help="count rare glosses more"
    )
    _switch(learning, "augment", "change clips at random")
    _add(learning, default, "min_scale", float, "smallest crop, as a share of a side")
    _add(learning, default, "flip_probability", float, "how often a clip is mirrored")
    learning.add_argument(
        "--crop",
        default=default.crop,
        choices=CROPS,
        help="where clips are cropped at random; auto is on GPUs",
    )
    _add(learning, default, "seed", int, "of weights, order and augmentation")

    devices = parser.add_argument_group("devices")
    devices.add_argument(
        "--strategy",
        choices=("none", "mirrored", "multi_worker"),
        help="by default mirrored with several GPUs, else none",
    )
    devices.add_argument(
        "--workers",
        default="",
        metavar="HOST:PORT,…",
        help="all workers of multi_worker, if TF_CONFIG is not set",
    )
    devices.add_argument(
        "--worker-index", type=int, help="number of this one among --workers, from 0"
    )
    devices.add_argument(
        "--connect-timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="longest wait for the other workers, and for the data service",
    )
    devices.add_argument(
        "--precision",
        default=default.precision,
        choices=PRECISIONS,
        help="what to compute in; auto is 16 bits on GPUs, float32 on CPUs",
    )
    _add(
        devices, default, "accumulate", int, "micro-batches that a batch is computed in"
    )
    devices.add_argument(
        "--fit-memory",
        action="store_true",
        help="try larger values of --accumulate until a step fits in memory",
    )
    devices.add_argument(
        "--remat",
        action="store_true",
        help="compute the backbone twice, to keep less of it in memory",
    )
    devices.add_argument(
        "--deterministic", action="store_true", help="same bits every time; slower"
    )
    devices.add_argument(
        "--logical-cpus",
        type=int,
        default=1,
        help="split the CPU, to try --strategy mirrored without GPUs",
    )
    return parser


def _add(
    group: Any, default: TrainConfig, name: str, kind: type, explanation: str
) -> None:
    """Adds an option whose default is the configuration's."""
    group.add_argument(
        f"--{name.replace('_', '-')}",
        type=kind,
        default=getattr(default, name),
        help=explanation,
    )


def _switch(group: Any, name: str, explanation: str) -> None:
    """Adds --name and --no-name."""
    group.add_argument(
        f"--{name.replace('_', '-')}",
        action=argparse.BooleanOptionalAction,
        default=getattr(TrainConfig(), name),
        help=explanation,
    )

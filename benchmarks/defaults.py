"""Measures the defaults of the head phase: one option at a time, several seeds each.

    python benchmarks/defaults.py --data SHARDS --weights FILE --alpha 0.35 --out DIR

The features of every clip are computed once, into DIR/feature_cache, as `bin/train`
would with `--seed 0`; then each run trains a head on them with another seed for weights
and dropout. Every run adds its line to DIR/results.csv as soon as it is over, and a
second call continues after the last of them. The table at the end is that of
docs/accuracy.md.
"""

import argparse
import csv
import dataclasses
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from wlasl_tfrecord.network import recipes  # noqa: E402
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_folder  # noqa: E402
from wlasl_tfrecord.training.config import TrainConfig  # noqa: E402

# One factor at a time around the defaults, which are the first run.
OPTIONS: tuple[Mapping[str, Any], ...] = (
    {},
    {"learning_rate": 3e-4},
    {"learning_rate": 3e-3},
    {"dropout": 0.2},
    {"weight_decay": 0.0},
    {"weight_decay": 0.1},
    {"label_smoothing": 0.0},
    {"label_smoothing": 0.2},
    {"class_weights": True},
    {"feature_views": 1},
    {"feature_views": 2},
)
COLUMNS = ("options", "seed", "top1", "top5", "loss", "last_top1", "last_top5")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the defaults of the head.")
    parser.add_argument("--data", required=True, help="the shard folder")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="options whose names hold this")
    arguments = parser.parse_args()
    folder = load_folder(arguments.data)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "results.csv"
    done = {(row["options"], int(row["seed"])) for row in read(path)}
    # All options with one seed before the next, so that a part is already a picture.
    for seed in range(arguments.seeds):
        for options in OPTIONS:
            name = title(options)
            if (name, seed) in done or arguments.only not in name:
                continue
            row = {"options": name, "seed": seed}
            row |= train_head(arguments, folder, options, seed)
            append(path, row)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    print(table(list(read(path))))


def train_head(
    arguments: argparse.Namespace,
    folder: ShardFolder,
    options: Mapping[str, Any],
    seed: int,
) -> dict[str, float]:
    """Trains one head and gives what it reached in its best and in its last epoch."""
    import keras

    from wlasl_tfrecord.network import saving
    from wlasl_tfrecord.training import loop, phases, strategies
    from wlasl_tfrecord.training.progress import Progress
    from wlasl_tfrecord.training.run import Run

    changes = dict(options)
    recipe_options = {"alpha": arguments.alpha}
    if "dropout" in changes:
        recipe_options["dropout"] = changes.pop("dropout")
    # The seed of the configuration is that of the features too; it stays.
    config = TrainConfig(
        weights=arguments.weights,
        recipe_options=recipe_options,
        epochs=arguments.epochs,
        patience=arguments.epochs,
        precision="float32",
        seed=0,
    )
    config = dataclasses.replace(config, **changes)
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    recipe = recipes.load_recipe()
    model = saving.build_model(
        recipe, folder, {"weights": config.weights, **recipe_options}, "float32"
    )
    run = Run(
        directory=arguments.out,
        folder=folder,
        config=config,
        recipe=recipe,
        strategy=strategies.make_strategy("none"),
        model=model,
        scored_model=model,
        checkpoint_seconds=float("inf"),
        save_best=lambda: None,
        events=None,
        callbacks=keras.callbacks.CallbackList([], model=model),
        callback_model=model,
        say=partial(print, file=sys.stderr, flush=True),
    )
    progress = Progress()
    loop.run_phase(run, phases.make_phase("head", run), progress, {})
    best = max(progress.rows, key=lambda row: (row["val_top1"], -row["val_loss"]))
    last = progress.rows[-1]
    return {
        "top1": best["val_top1"],
        "top5": best["val_top5"],
        "loss": best["val_loss"],
        "last_top1": last["val_top1"],
        "last_top5": last["val_top5"],
    }


def title(options: Mapping[str, Any]) -> str:
    """Names what is not the default."""
    return " ".join(f"{name}={value}" for name, value in options.items()) or "defaults"


def read(path: Path) -> Iterator[dict[str, str]]:
    """Reads the results so far."""
    if path.exists():
        with path.open(newline="") as file:
            yield from csv.DictReader(file)


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Adds a result."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(COLUMNS)
        writer.writerow([row[column] for column in COLUMNS])


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Writes mean and standard deviation over the seeds, in per cent."""
    lines = ["| options | seeds | top-1 | top-5 | last top-1 | last top-5 |"]
    lines.append("|---|---|---|---|---|---|")
    for name in dict.fromkeys(row["options"] for row in rows):
        cells = [name, str(sum(row["options"] == name for row in rows))]
        for column in ("top1", "top5", "last_top1", "last_top5"):
            values = [100 * float(r[column]) for r in rows if r["options"] == name]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{statistics.mean(values):.1f} ± {spread:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

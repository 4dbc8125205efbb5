"""Compares variants of the training: seeds, intervals, paired, on val and by signer.

    python benchmarks/recipe.py --data SHARDS --weights FILE --alpha 0.35 --out DIR \
        --variants defaults,whole --seeds 3 --folds 5

A variant is a name for options of `bin/train`; `--variant NAME=OPTIONS` adds one. Each
is trained with every seed on train and judged by val, and with `--folds` also by
clips of train whose signers are held out (benchmarks/signer_folds.py). Each finished
run is a line in DIR/results.jsonl, and a second call continues after the last of them;
an interrupted run is resumed. The tables at the end are those of docs/accuracy.md.
"""

import argparse
import dataclasses
import json
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from benchmarks.recipe_table import pooled, table  # noqa: E402
from benchmarks.signer_folds import signer_folds, write_fold  # noqa: E402
from wlasl_tfrecord import files  # noqa: E402
from wlasl_tfrecord.shard_format.layout import INDEX_FILE  # noqa: E402
from wlasl_tfrecord.shard_format.shard_folder import (  # noqa: E402
    ShardFolder,
    load_folder,
    load_records,
)

# Named, because shards with landmarks have another default.
_HEAD = "--model mobilenetv2_lstm"
# All that is trained at once, as docs/accuracy.md describes it.
_WHOLE = (
    f"{_HEAD} --no-freeze-backbone --train-frames 10 --weight-average 0.99 "
    "--min-scale 0.6 --epochs 36 --patience 999 --option temporal_shift=true "
    "--option sequence_frames=10 --option frame_size=96 "
    "--option train_batch_norm=true --option fixed_blocks=3"
)
# Name -> options of bin/train; a later option replaces an earlier one.
VARIANTS: Mapping[str, str] = {
    "defaults": _HEAD,
    "last-epoch": f"{_HEAD} --choose-by last",
    "label-smoothing-0": f"{_HEAD} --label-smoothing 0",
    "label-smoothing-0.2": f"{_HEAD} --label-smoothing 0.2",
    "dropout-0.7": f"{_HEAD} --dropout 0.7",
    "mixup": f"{_HEAD} --mixup 0.2",
    "flip": f"{_HEAD} --flip-probability 0.5",
    "weight-average": f"{_HEAD} --weight-average 0.99",
    "whole": _WHOLE,
    "whole-last-epoch": f"{_WHOLE} --choose-by last",
    "whole-no-shift": f"{_WHOLE} --option temporal_shift=false",
    "whole-no-average": f"{_WHOLE} --weight-average 0",
    "whole-min-scale-0.8": f"{_WHOLE} --min-scale 0.8",
    "whole-label-smoothing-0": f"{_WHOLE} --label-smoothing 0",
    "whole-dropout-0.7": f"{_WHOLE} --dropout 0.7",
    "whole-mixup": f"{_WHOLE} --mixup 0.2",
    "whole-flip": f"{_WHOLE} --flip-probability 0.5",
    "whole-fixed-batch-norm": f"{_WHOLE} --option train_batch_norm=false",
}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training and its judgement.

    Attributes:
        variant: Name of the variant.
        options: Its options of bin/train.
        seed: Seed of the training.
        fold: Number of the fold whose signers are held out; None for val.
        num_folds: Number of folds; 0 for val.
    """

    variant: str
    options: str
    seed: int
    fold: int | None = None
    num_folds: int = 0

    @property
    def name(self) -> str:
        """A name for its run folder."""
        judge = "val" if self.fold is None else f"fold{self.fold}of{self.num_folds}"
        return f"{self.variant}-seed{self.seed}-{judge}"


def main(argv: Sequence[str] | None = None) -> None:
    arguments = make_parser().parse_args(argv)
    variants = dict(VARIANTS)
    for text in arguments.variant:
        name, separator, options = text.partition("=")
        if not separator or not name or set(name) & set("/,"):
            sys.exit(f"--variant must be NAME=OPTIONS, got {text!r}")
        variants[name] = options
    names = [name for name in arguments.variants.split(",") if name]
    unknown = [name for name in names if name not in variants]
    if unknown:
        sys.exit(f"no variant {unknown[0]!r}; known: {', '.join(variants)}")
    common = ["--weights", arguments.weights]
    if arguments.alpha is not None:
        common += ["--alpha", str(arguments.alpha)]
    if arguments.epochs is not None:
        names_options = {n: f"{variants[n]} --epochs {arguments.epochs}" for n in names}
    else:
        names_options = {n: variants[n] for n in names}
    path = arguments.out / "results.jsonl"
    jobs = list(plan_jobs(names_options, arguments.seeds, arguments.folds))
    run_jobs(jobs, load_folder(arguments.data), common, path)
    rows = read_rows(path)
    judges = {"val": pooled(rows, num_folds=0)}
    if arguments.folds:
        title = f"{arguments.folds} folds by signer"
        judges[title] = pooled(rows, arguments.folds)
    for title, judged in judges.items():
        chosen = {name: judged[name] for name in names if name in judged}
        if chosen:
            print(f"\n{title}\n\n{table(chosen)}")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compares variants of the training.")
    parser.add_argument("--data", required=True, help="the shard folder")
    parser.add_argument("--out", type=Path, required=True, help="results and runs")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--alpha", type=float)
    parser.add_argument(
        "--epochs", type=int, help="of every variant, in place of its own"
    )
    parser.add_argument(
        "--variants",
        default="defaults,whole",
        help="names, separated by commas; the others are compared with the first",
    )
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="NAME=OPTIONS",
        help="a variant of your own, made of options of bin/train",
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--folds", type=int, default=0, help="folds by signer; 0 for val only"
    )
    return parser


def plan_jobs(
    variants: Mapping[str, str], num_seeds: int, num_folds: int
) -> Iterator[Job]:
    """Yields the runs: all variants with one seed first, so that a part is a table."""
    for seed in range(num_seeds):
        for name, options in variants.items():
            yield Job(variant=name, options=options, seed=seed)
        for fold in range(num_folds):
            for name, options in variants.items():
                yield Job(
                    variant=name,
                    options=options,
                    seed=seed,
                    fold=fold,
                    num_folds=num_folds,
                )


def run_jobs(
    jobs: Sequence[Job], folder: ShardFolder, common: Sequence[str], path: Path
) -> None:
    """Runs the jobs that have no row in the results yet, and adds their rows.

    Args:
        jobs: What to run, in order.
        folder: The shard folder.
        common: Options of bin/train that all have.
        path: The file of results.
    """
    shards = "".join(folder.table_sha256.values())
    fold_dir = None
    for job in jobs:
        rows = read_rows(path)
        facts = {**dataclasses.asdict(job), "common": list(common), "shards": shards}
        if is_done(job, facts, rows, path):
            continue
        data, split = Path(folder.directory), "val"
        if job.fold is not None:
            fold = f"fold{job.fold}of{job.num_folds}-{shards[:8]}"
            data, split = path.parent / fold, "test"
            if fold_dir not in (None, data):
                shutil.rmtree(fold_dir)  # as large as the whole train split
            fold_dir = data
            if not (data / INDEX_FILE).exists():
                signer_ids = load_records(folder, "train").signer_ids
                clips = signer_folds(signer_ids, job.num_folds)[job.fold]
                write_fold(folder, clips, data)
        run_dir = path.parent / "runs" / job.name
        row = {**facts, **train(job, data, split, run_dir, common)}
        lines = [json.dumps(one) for one in (*rows, row)]
        files.write_whole(path, "".join(f"{line}\n" for line in lines).encode())
        top1 = np.mean(np.array(row["ranks"]) == 0)
        print(f"{job.name}: top-1 {top1:.1%}", flush=True)
    if fold_dir is not None:
        shutil.rmtree(fold_dir)


def is_done(
    job: Job, facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], path: Path
) -> bool:
    """Returns whether a job has its row; ends if that row is of other choices."""
    key = ("variant", "seed", "fold", "num_folds")
    for row in rows:
        if all(row[name] == facts[name] for name in key):
            changed = [name for name in facts if row[name] != facts[name]]
            if changed:
                name = changed[0]
                sys.exit(
                    f"{path} has a run of {job.variant} with {name} {row[name]}, not "
                    f"{facts[name]}; choose another --out, or another name"
                )
            return True
    return False


def train(
    job: Job, data: Path, split: str, run_dir: Path, common: Sequence[str]
) -> dict[str, Any]:
    """Trains a job as `bin/train` would, and judges the model by a split."""
    import keras

    from wlasl_tfrecord.cli import train as command
    from wlasl_tfrecord.training import feature_cache, history

    # Variants of a head read the same features: they are computed once a seed, and go
    # from run to run.
    cached = run_dir / feature_cache.DIRECTORY
    shared = run_dir.parent / f"features-{data.name}"
    if shared.exists() and not cached.exists():
        run_dir.mkdir(parents=True, exist_ok=True)
        shared.rename(cached)
    keras.backend.clear_session()
    code = command.main(
        [
            *("--data", str(data), "--out", str(run_dir), "--seed", str(job.seed)),
            *common,
            *shlex.split(job.options),
        ]
    )
    if code:
        sys.exit(code)
    rows = history.read_history(run_dir)
    judged = judge(data, split, run_dir)
    shutil.rmtree(run_dir / "checkpoints")
    if cached.exists():
        shutil.rmtree(shared, ignore_errors=True)
        cached.rename(shared)
    return {**judged, "seconds": round(sum(row["seconds"] for row in rows), 1)}


def judge(data: Path, split: str, run_dir: Path) -> dict[str, Any]:
    """Scores a trained model on a split, clip by clip, and with its frames shuffled."""
    import tensorflow as tf

    from wlasl_tfrecord.evaluation.metrics import make_predictor, score_clips
    from wlasl_tfrecord.evaluation.report import report_clips
    from wlasl_tfrecord.input_pipeline import dataset
    from wlasl_tfrecord.input_pipeline.elements import batches_of_clips, clip_element
    from wlasl_tfrecord.network import inputs, saving
    from wlasl_tfrecord.network.outputs import logits_model

    folder = load_folder(data)
    model = logits_model(saving.load_network(run_dir / "model.keras"))
    predict = make_predictor(tf.distribute.get_strategy(), model)
    names = inputs.input_names(model)

    def batches(change: Callable[[Any], Any], _: Any) -> tf.data.Dataset:
        element = clip_element(names)
        clips = dataset.input_fn(folder, split, 16, training=False, element=element)
        return batches_of_clips(clips, names).map(change)

    report = report_clips(folder, split, [predict(partial(batches, lambda one: one))])
    shuffled = score_clips(predict(partial(batches, shuffle_frames)))
    groups = report.groups
    copies = groups.is_copy
    if copies is None:
        copies = np.zeros(len(report.video_ids), bool)
    return {
        "video_ids": list(report.video_ids),
        "ranks": report.scores.ranks.tolist(),
        "shuffled_ranks": shuffled.ranks.tolist(),
        "is_signer_seen": groups.is_signer_seen.tolist(),
        "is_copy": copies.tolist(),
        "loss": report.scores.loss,
    }


def shuffle_frames(batch: Any) -> Any:
    """Puts the frames of each clip, [B, T, ...], in a random order, always the same."""
    import tensorflow as tf

    num_frames = tf.nest.flatten(batch.inputs)[0].shape[1]
    order = tf.map_fn(
        lambda record: tf.argsort(
            tf.random.stateless_uniform([num_frames], tf.stack([record, 0]))
        ),
        batch.records,
        fn_output_signature=tf.TensorSpec([num_frames], tf.int32),
    )
    # Landmarks go with their frames.
    mixed = tf.nest.map_structure(
        lambda one: tf.gather(one, order, batch_dims=1), batch.inputs
    )
    return batch._replace(inputs=mixed)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Reads the results so far."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


if __name__ == "__main__":
    main()

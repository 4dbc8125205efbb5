"""Measures training: ours beside the usual guide's, cached features, any Keras backend.

    python benchmarks/train.py guide            # ours against Keras's TimeDistributed
    python benchmarks/train.py cache            # a head epoch with and without cache
    python benchmarks/train.py memory           # of a step, with --accumulate, --remat
    KERAS_BACKEND=jax python benchmarks/train.py recipe     # the network alone

Each measurement is a process of its own, so that its start-up and its peak memory are
its own too. All but `recipe` want TensorFlow; that one takes Keras on any backend, and
tells what a GPU can take, clips a second, to set beside what `bin/bench input` says
that the shards can give.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from wlasl_tfrecord.network import recipes  # noqa: E402
from wlasl_tfrecord.shard_format.clips import ClipSpec  # noqa: E402

# Dense 16-bit and 32-bit (TF32) peaks in TFLOP/s, from NVIDIA's data sheets.
PEAKS = {"H100": (989, 494), "H200": (989, 494), "A100": (312, 156), "L4": (121, 60)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures training.")
    parser.add_argument("what", choices=("guide", "cache", "memory", "recipe", "one"))
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--num-frames", type=int, default=30)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--alpha", type=float, default=0.35)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--blocks", type=int, default=18, help="that memory trains")
    parser.add_argument(
        "--case", default="", help="only the cases whose names hold this"
    )
    arguments = parser.parse_args()
    if arguments.what == "one":
        print(json.dumps(CASES[arguments.case](arguments)))
        return
    cases = {
        "guide": ("guide-frozen", "ours-frozen", "guide-tuned", "ours-tuned"),
        "cache": ("head-cached", "head-uncached"),
        "memory": tuple(case for case in CASES if case.startswith("memory")),
        "recipe": ("infer-float32", "frozen-float32", "tuned-float32",
                   "infer-mixed_bfloat16", "frozen-mixed_bfloat16",
                   "tuned-mixed_bfloat16"),
    }[arguments.what]  # fmt: skip
    results = {case: measure(case) for case in cases if arguments.case in case}
    for case, values in results.items():
        shown = "  ".join(f"{name} {value:g}" for name, value in values.items())
        print(f"{case:22s} {shown}")
    if arguments.what == "guide":
        for kind in ("frozen", "tuned"):
            theirs = results.get(f"guide-{kind}", {})
            for name, value in theirs.items():
                ratio = results[f"ours-{kind}"][name] / value
                print(f"{kind}: ours / guide, {name}: {ratio:.2f}")
    elif arguments.what == "cache":
        ratio = results["head-uncached"]["epoch_s"] / results["head-cached"]["epoch_s"]
        print(f"an epoch of the head without the cache takes {ratio:.1f} times longer")


def measure(case: str) -> dict[str, float]:
    """Runs one case in a process of its own."""
    command = [sys.executable, __file__, "one", *sys.argv[2:], "--case", case]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
    found = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    return json.loads(found.stdout.splitlines()[-1])


def build(arguments: argparse.Namespace, fold_time: bool = True) -> Any:
    """Builds the recipe with random weights, but as if they were pretrained."""
    import keras

    from wlasl_tfrecord.network.layers import layers_within

    clip = ClipSpec(
        num_frames=arguments.num_frames, height=arguments.size, width=arguments.size
    )
    options = {"weights": "none", "alpha": arguments.alpha, "fold_time": fold_time}
    model = recipes.load_recipe().build(clip, 100, options)
    for layer in layers_within(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return model


def tune(model: Any, blocks: int | None) -> None:
    """Leaves only the head, or also the last blocks of the backbone, trainable."""
    import keras

    from wlasl_tfrecord.network.layers import layers_within

    backbone = next(layer for layer in layers_within(model) if layer.name == "backbone")
    if blocks is None:
        backbone.trainable = False
        return
    last = {"block_13", "block_14", "block_15", "block_16", "Conv_1"}
    for layer in backbone.layers:
        fixed = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = not fixed and any(layer.name.startswith(n) for n in last)


def times_of_steps(arguments: argparse.Namespace, fold_time: bool, blocks: int | None):
    """Times `fit`'s own step on one batch that lies in memory."""
    import keras

    random = np.random.default_rng(0)
    shape = (arguments.num_frames, arguments.size, arguments.size, 3)
    frames = random.integers(0, 256, (arguments.batch_size, *shape), np.uint8)
    labels = random.integers(0, 100, arguments.batch_size)
    start = time.perf_counter()
    model = build(arguments, fold_time)
    tune(model, blocks)
    loss = keras.losses.SparseCategoricalCrossentropy()
    # XLA would compile for minutes on a CPU, and "auto" is off under strategies.
    jit = keras.backend.backend() == "jax"
    model.compile(keras.optimizers.AdamW(1e-3), loss, jit_compile=jit)
    model.train_on_batch(frames, labels)
    first = time.perf_counter() - start
    laps = []
    for _ in range(arguments.steps):
        start = time.perf_counter()
        float(np.asarray(model.train_on_batch(frames, labels)))
        laps.append(time.perf_counter() - start)
    return {
        "first_step_s": round(first, 2),
        "step_s": round(float(np.median(laps)), 3),
        "peak_mib": round(peak_mib()),
    }


def memory_of_step(
    arguments: argparse.Namespace, policy: str, accumulate: int, remat: bool
) -> dict[str, float]:
    """Measures what a step of bin/train's second phase takes besides the network."""
    import keras
    import tensorflow as tf

    from wlasl_tfrecord.input_pipeline import elements
    from wlasl_tfrecord.network.outputs import logits_model
    from wlasl_tfrecord.network.rematerialisation import rematerialised
    from wlasl_tfrecord.training.step import TrainingStep

    if arguments.batch_size % accumulate:
        return {}
    keras.config.set_dtype_policy(policy)
    model = build(arguments)
    blocks = recipes.load_recipe().backbone_blocks(model)  # pyright: ignore
    for block in blocks[: -arguments.blocks]:
        for layer in block:
            layer.trainable = False
    trained = logits_model(model)
    if remat:
        trained = rematerialised(trained, blocks)
    step = TrainingStep(
        tf.distribute.get_strategy(),
        trained,
        keras.optimizers.AdamW(1e-3),
        accumulate=accumulate,
        scale_loss=policy == "mixed_float16",
    )
    size, clip = arguments.batch_size, model.input_shape[1:]
    random = np.random.default_rng(0)
    batch = elements.Batch(
        inputs=tf.constant(random.integers(0, 256, (size, *clip), np.uint8)),
        labels=tf.range(size, dtype=tf.int64),
        weights=tf.ones([size]),
        seeds=tf.zeros([size, 2], tf.int64),
        records=tf.range(size, dtype=tf.int64),
    )
    run: Any = step.run
    run.get_concrete_function(batch)  # what tracing takes is not the step's
    gpus = tf.config.list_logical_devices("GPU")
    if gpus:
        tf.config.experimental.reset_memory_stats("GPU:0")
        before = tf.config.experimental.get_memory_info("GPU:0")["current"] / 2**20
    else:
        Path("/proc/self/clear_refs").write_text("5")  # the high water starts here
        before = status_mib("VmRSS")
    laps = []
    for _ in range(arguments.steps):
        start = time.perf_counter()
        float(step.run(batch).sums[0])
        laps.append(time.perf_counter() - start)
    peak = status_mib("VmHWM")
    if gpus:
        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    return {"step_s": round(min(laps), 2), "step_mib": round(peak - before)}


def status_mib(key: str) -> float:
    """Reads what the kernel says of this process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(one.split()[1]) / 1024 for one in lines if one.startswith(key))


def head_epoch(arguments: argparse.Namespace, cached: bool) -> dict[str, float]:
    """Times an epoch of bin/train's head phase on drawn shards."""
    from wlasl_tfrecord.training import history, trainer
    from wlasl_tfrecord.training.config import TrainConfig

    with tempfile.TemporaryDirectory() as folder:
        write_shards(Path(folder) / "shards", arguments, num_clips=16)
        weights = Path(folder) / "backbone.weights.h5"
        write_weights(weights, arguments)
        config = TrainConfig(
            weights=str(weights),
            recipe_options={"alpha": arguments.alpha},
            batch_size=4,
            epochs=4,
            feature_cache=cached,
            feature_views=1,
        )
        trainer.train(Path(folder) / "shards", Path(folder) / "run", config)
        rows = history.read_history(Path(folder) / "run")
    # The first epoch traces the step.
    return {"epoch_s": round(float(np.median([r["seconds"] for r in rows[1:]])), 3)}


def write_weights(path: Path, arguments: argparse.Namespace) -> None:
    """Writes random weights that the recipe takes for pretrained ones."""
    import keras

    shape = (arguments.size, arguments.size, 3)
    keras.applications.MobileNetV2(
        shape,
        arguments.alpha,
        include_top=False,
        weights=None,  # pyright: ignore
    ).save_weights(path)


def write_shards(folder: Path, arguments: argparse.Namespace, num_clips: int) -> None:
    """Draws random clips and shards them with bin/shard, as a user would."""
    import cv2

    random = np.random.default_rng(0)
    for index in range(num_clips + 4):
        split = "train" if index < num_clips else "val"
        path = folder.parent / "videos" / split / f"sign{index % 4}" / f"{index}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (arguments.size, arguments.size)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, size)
        for _ in range(arguments.num_frames):
            noise = random.integers(0, 256, (8, 8, 3), np.uint8)
            writer.write(cv2.resize(noise, size))
        writer.release()
    command = [
        sys.executable, "-m", "wlasl_tfrecord.cli.shard", "--src",
        str(folder.parent / "videos"), "--out", str(folder), "--num-frames",
        str(arguments.num_frames), "--size", str(arguments.size),
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=CHECKOUT, stdout=subprocess.DEVNULL)


def recipe_alone(arguments: argparse.Namespace, kind: str, policy: str):
    """Times the network on whichever backend Keras runs on."""
    import keras

    keras.config.set_dtype_policy(policy)
    if kind != "infer":
        blocks = None if kind == "frozen" else 5
        values = times_of_steps(arguments, True, blocks)
    else:
        random = np.random.default_rng(0)
        shape = (arguments.num_frames, arguments.size, arguments.size, 3)
        frames = random.integers(0, 256, (arguments.batch_size, *shape), np.uint8)
        model = build(arguments)
        start = time.perf_counter()
        model.predict_on_batch(frames)
        first, laps = time.perf_counter() - start, []
        for _ in range(arguments.steps):
            start = time.perf_counter()
            np.asarray(model.predict_on_batch(frames))
            laps.append(time.perf_counter() - start)
        values = {"first_step_s": round(first, 2), "step_s": float(np.median(laps))}
    rate = arguments.batch_size / values["step_s"]
    values["clips_per_s"] = round(rate, 1)
    # Forward alone; a tuned step costs up to three times as much.
    achieved = rate * 2 * multiplications(build(arguments)) / 1e12
    values["forward_tflops"] = round(achieved, 3)
    share = peak_share(achieved, policy)
    return values if share is None else {**values, "share_of_peak": share}


def multiplications(model: Any) -> float:
    """Counts the backbone's multiply-adds for one clip."""
    import keras

    total = 0
    for layer in model.get_layer("backbone").layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            # Depthwise or not, each weight of the kernel meets each output pixel once.
            output: Any = layer.output
            kernel: Any = layer.kernel
            _, height, width, _ = output.shape
            total += float(np.prod(kernel.shape)) * height * width
    return float(total * model.input_shape[1])


def peak_share(tflops: float, policy: str) -> float | None:
    """Gives the share of the GPU's peak; None where it is not a known GPU."""
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        name = subprocess.run(query, capture_output=True, text=True).stdout
    except OSError:
        return None
    for known, (half, single) in PEAKS.items():
        if known in name:
            return round(tflops / (single if policy == "float32" else half), 4)
    return None


def peak_mib() -> float:
    """Gives the most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


CASES = {
    "guide-frozen": lambda a: times_of_steps(a, False, None),
    "ours-frozen": lambda a: times_of_steps(a, True, None),
    "guide-tuned": lambda a: times_of_steps(a, False, 5),
    "ours-tuned": lambda a: times_of_steps(a, True, 5),
    "head-cached": lambda a: head_epoch(a, True),
    "head-uncached": lambda a: head_epoch(a, False),
    **{
        f"memory-{policy}-accumulate-{parts}{'-remat' * remat}": (
            lambda a, p=policy, n=parts, r=remat: memory_of_step(a, p, n, r)
        )
        for policy in ("float32", "mixed_bfloat16")
        for parts in (1, 4, 16)
        for remat in (False, True)
    },
    **{
        f"{kind}-{policy}": lambda a, k=kind, p=policy: recipe_alone(a, k, p)
        for kind in ("infer", "frozen", "tuned")
        for policy in ("float32", "mixed_bfloat16")
    },
}


if __name__ == "__main__":
    main()

"""The smallest number of micro-batches with which a run fits in memory, by trying.

Each try takes some steps of the largest phase in a process of its own: where a CPU's
memory ends, the system may kill the process, and TensorFlow keeps what it has of a
GPU's memory as long as its process lives.
"""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import keras
import tensorflow as tf

from wlasl_tfrecord.errors import OutOfMemoryError, TrainingError, WlaslError
from wlasl_tfrecord.figures import ignore_matplotlibrc
from wlasl_tfrecord.network import recipes
from wlasl_tfrecord.shard_format.shard_folder import load_folder
from wlasl_tfrecord.training import strategies
from wlasl_tfrecord.training.config import TrainConfig
from wlasl_tfrecord.training.loop import run_phase
from wlasl_tfrecord.training.memory import memory_advice
from wlasl_tfrecord.training.phases import make_phase, phase_names
from wlasl_tfrecord.training.progress import Progress
from wlasl_tfrecord.training.trainer import begin_run

__all__ = ["fit_accumulate", "main"]

# The loop starts a step before it has waited for the one before: with the fourth, two
# are over for certain.
_NUM_STEPS = 3
_DOES_NOT_FIT = 3
# The system kills the process that takes too much; std::bad_alloc aborts.
_ENDED_BY_MEMORY = (_DOES_NOT_FIT, -signal.SIGKILL, -signal.SIGABRT)
# Isolated, with the path of this process: no module of the current folder is executed.
_PROGRAM = """import sys
sys.path[:] = sys.argv[1:]
from wlasl_tfrecord.training import fit_memory
fit_memory.main()
"""


def fit_accumulate(
    data: str | os.PathLike[str],
    config: TrainConfig,
    *,
    strategy: strategies.StrategyName | None = None,
    logical_cpus: int = 1,
    say: Callable[[str], None],
) -> TrainConfig:
    """Finds the smallest `accumulate` with which a run fits in memory.

    Call it before this process uses a GPU, whose memory it would keep from the tries.

    Args:
        data: The shard folder.
        config: Choices of the run; no smaller `accumulate` than this one is tried.
        strategy: "none" or "mirrored"; by default as `make_strategy`.
        logical_cpus: Number of devices that the CPU is split into.
        say: Takes a line for each try.

    Returns:
        The choices with that `accumulate`.

    Raises:
        OutOfMemoryError: If not even one clip at a time fits.
        TrainingError: If a try fails for another reason.
    """
    num_replicas = _num_replicas(strategy, logical_cpus)
    share = config.batch_size // num_replicas
    for accumulate in range(config.accumulate, share + 1):
        if share % accumulate:
            continue
        tried = dataclasses.replace(config, accumulate=accumulate)
        fits = _try(data, tried, strategy, logical_cpus)
        does = "fit" if fits else "do not fit"
        say(
            f"--fit-memory: {share // accumulate} clip(s) of a device's {share} {does} "
            f"at once, with --accumulate {accumulate}"
        )
        if fits:
            return tried
    last = dataclasses.replace(config, accumulate=share)
    raise OutOfMemoryError(memory_advice(load_folder(data), last, num_replicas))


def _num_replicas(strategy: str | None, logical_cpus: int) -> int:
    """Counts the devices that will share a batch, without using one."""
    num_gpus = len(tf.config.list_physical_devices("GPU"))
    if strategy == "mirrored" or (strategy is None and num_gpus > 1):
        return num_gpus or logical_cpus
    return 1


def _try(
    data: str | os.PathLike[str],
    config: TrainConfig,
    strategy: str | None,
    logical_cpus: int,
) -> bool:
    """Returns whether some steps fit in memory, in a process of their own."""
    request = {
        "data": os.fspath(data),
        "config": dataclasses.asdict(config),
        "strategy": strategy,
        "logical_cpus": logical_cpus,
    }
    with tempfile.TemporaryFile("w+") as printed:
        with subprocess.Popen(
            [sys.executable, "-I", "-c", _PROGRAM, *filter(None, sys.path)],
            stdin=subprocess.PIPE,
            stdout=printed,
            stderr=printed,
            text=True,
        ) as process:
            try:
                assert process.stdin is not None
                # It stays open: that it closes tells the process that this one is gone.
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(json.dumps(request) + "\n")
                    process.stdin.flush()
                code = process.wait()
            finally:
                process.kill()
        if code == 0 or code in _ENDED_BY_MEMORY:
            return code == 0
        printed.seek(0)
        lines = printed.read().split("\n")
    reason = next((one for one in reversed(lines) if one.strip()), f"exit code {code}")
    raise TrainingError(f"--fit-memory could not try a step: {reason}")


class _EnoughError(Exception):
    """Some steps were taken, or an epoch: they fit."""


def _enough(number: int, logs: Any = None) -> None:
    """Ends a training whose memory has been as full as it will be; a callback."""
    del number, logs
    raise _EnoughError


def _enough_steps(step: int, logs: Any = None) -> None:
    """Ends it after some steps; a callback."""
    if step == _NUM_STEPS:
        _enough(step, logs)


def _take_steps(request: dict[str, Any]) -> None:
    """Takes some steps of the last phase, which is the one that trains the most."""
    # Without the cache, a step of the head computes the features of its clips as well.
    config = dataclasses.replace(TrainConfig(**request["config"]), feature_cache=False)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = strategies.make_strategy(request["strategy"])
    folder = load_folder(request["data"], check_shards=False)
    recipe = recipes.load_recipe(config.recipe)
    with tempfile.TemporaryDirectory() as run_dir:
        run = begin_run(
            run_dir,
            folder,
            recipe,
            config,
            strategy=strategy,
            callbacks=[
                keras.callbacks.LambdaCallback(
                    on_train_batch_begin=_enough_steps, on_epoch_end=_enough
                )
            ],
        )
        name = phase_names(run.model, recipe, config)[-1]
        run_phase(run, make_phase(name, run), Progress(), {})


def main() -> NoReturn:
    """Takes a request from stdin; the exit code tells what came of it."""
    code = _answer()
    sys.stdout.flush()
    sys.stderr.flush()
    # Python's own exit would wait for the thread that reads.
    os._exit(code)


def _answer() -> int:
    """Tries some steps, and returns the exit code."""
    ignore_matplotlibrc()
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if request["logical_cpus"] > 1:
        [cpu] = tf.config.list_physical_devices("CPU")
        half = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(
            cpu, [half] * request["logical_cpus"]
        )
    try:
        _take_steps(request)
    except _EnoughError:
        return 0
    except (tf.errors.ResourceExhaustedError, MemoryError, OutOfMemoryError):
        return _DOES_NOT_FIT
    except (WlaslError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _end_with_parent() -> None:
    """Ends this process when the one that started it has closed its stdin."""
    sys.stdin.read()
    os._exit(1)

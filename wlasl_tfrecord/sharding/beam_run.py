"""A run whose shards are written by the workers of an Apache Beam runner.

A shard is a function of its tasks, so Beam has one element for each shard: its name.
The tasks lie in the working folder, because a runner limits what is sent with a job
(Dataflow to 10 MB, which is 40,000 clips). What a worker has written is noted beside
them, as in every run: an element that is tried again finds what is finished, and so
does the next run if the job fails.
"""

import contextlib
import importlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

from tqdm import tqdm

import wlasl_tfrecord
from wlasl_tfrecord.decoder_pool.jobs import (
    Job,
    Task,
    VideoLimits,
    job_line,
    read_job,
)
from wlasl_tfrecord.decoder_pool.pool import decode_in_order
from wlasl_tfrecord.errors import OutputError, WlaslError
from wlasl_tfrecord.files import read_bytes, written_whole
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding.output_folder import WORK_DIR, output_errors
from wlasl_tfrecord.sharding.plan import PlannedShard
from wlasl_tfrecord.sharding.run_plan import FolderPlan
from wlasl_tfrecord.sharding.shard_writer import settle_shard, write_shard
from wlasl_tfrecord.sharding.written_shard import (
    WrittenShard,
    describes,
    is_intact,
    load_state,
    state_name,
)

__all__ = ["RUNNERS", "BeamRunner", "RunnerName", "import_beam", "write_on_runner"]

RunnerName = Literal[
    "DirectRunner", "FlinkRunner", "SparkRunner", "DataflowRunner", "DaskRunner"
]
RUNNERS: tuple[RunnerName, ...] = get_args(RunnerName)
# One that Beam does not know by its name alone.
_CLASSES = {"DaskRunner": "apache_beam.runners.dask.dask_runner.DaskRunner"}


@dataclass(frozen=True, kw_only=True)
class BeamRunner:
    """What runs a Beam pipeline.

    Attributes:
        name: The runner.
        arguments: Its own options, as on a command line.

    Raises:
        ValueError: If there is no such runner.
    """

    name: RunnerName
    arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Reject a runner that was not meant."""
        if self.name not in RUNNERS:
            raise ValueError(
                f"runner must be one of {', '.join(RUNNERS)}, got {self.name!r}"
            )


def import_beam() -> Any:
    """Returns the package apache_beam, which takes seconds to import.

    Raises:
        WlaslError: If it is not installed.
    """
    try:
        return importlib.import_module("apache_beam")
    except ImportError as error:
        raise WlaslError(
            f"--runner needs Apache Beam ({error}); pip install 'wlasl-tfrecord[beam]'"
        ) from error


def write_on_runner(
    plan: FolderPlan, limits: VideoLimits, num_workers: int, runner: BeamRunner
) -> dict[str, WrittenShard]:
    """Writes what is missing of a folder on the workers of a runner.

    The working folder is open already. All workers see it, and the videos, under the
    same paths.

    Args:
        plan: The plan.
        limits: What one video may cost.
        num_workers: Processes that decode, for each shard that is being written.
        runner: What runs it.

    Returns:
        Name -> shard.

    Raises:
        WlaslError: If Beam is not installed.
        OutputError: If the job fails, or leaves a shard out.
    """
    beam = import_beam()
    with output_errors(plan.out):
        for shard in plan.unwritten:
            _save_tasks(shard, os.path.join(plan.out, WORK_DIR))
    write = partial(
        write_planned,
        work_dir=os.path.abspath(os.path.join(plan.out, WORK_DIR)),
        options=plan.options,
        limits=limits,
        num_workers=num_workers,
    )
    try:
        _run(beam, runner, [shard.name for shard in plan.unwritten], write)
    except Exception as error:  # each runner has errors of its own
        raise _failed(plan, runner, error) from error
    written = _written(plan)
    if len(written) < len(plan.unwritten):
        raise _failed(plan, runner, "it ended too early")
    return written


def _run(
    beam: Any, runner: BeamRunner, names: Sequence[str], write: Callable[[str], int]
) -> None:
    """Runs a pipeline with an element for each shard, to its end."""
    name = _CLASSES.get(runner.name, runner.name)
    options = importlib.import_module("apache_beam.options.pipeline_options")
    pipeline = beam.Pipeline(
        options=options.PipelineOptions([f"--runner={name}", *runner.arguments])
    )
    _ = (
        pipeline
        | "shards" >> beam.Create(list(names))
        # Each shard is a bundle of its own, and is tried again by itself.
        | "spread" >> beam.Reshuffle()
        | "write" >> beam.Map(write)
    )
    with _safe_path():
        pipeline.run().wait_until_finish()


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """Has workers on this machine find this library, and no module beside the videos.

    Beam starts them by `python -m`, which looks in the current folder first.
    """
    library = os.path.dirname(os.path.dirname(wlasl_tfrecord.__file__))
    paths = [library, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    wanted = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(paths)}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def write_planned(
    name: str,
    *,
    work_dir: str,
    options: ShardOptions,
    limits: VideoLimits,
    num_workers: int,
) -> int:
    """Writes one shard, unless it is finished; runs on a worker.

    Args:
        name: Its file name.
        work_dir: The working folder, where its tasks are.
        options: What decides the bytes.
        limits: What one video may cost.
        num_workers: Processes that decode.

    Returns:
        The number of its clips.

    Raises:
        OSError: If the tasks cannot be read, or the shard cannot be written.
    """
    shard, path = _load_tasks(name, work_dir), os.path.join(work_dir, name)
    state = load_state(os.path.join(work_dir, state_name(name)))
    if state is None or not _is_written(shard, state, path):
        decoded = decode_in_order(
            shard.tasks,
            options=options,
            limits=limits,
            num_workers=max(1, min(num_workers, len(shard.tasks))),
        )
        # So that the decoders end when writing fails.
        with contextlib.closing(decoded), tqdm(disable=True) as progress:
            state = write_shard(shard, decoded, path, progress)
        settle_shard(state, path)
    return len(state.clips)


def _is_written(shard: PlannedShard, state: WrittenShard, path: str) -> bool:
    return describes(state, shard) and is_intact(path, state)


def _written(plan: FolderPlan) -> dict[str, WrittenShard]:
    """Returns those of the shards that are finished in the working folder."""
    work_dir = os.path.join(plan.out, WORK_DIR)
    written: dict[str, WrittenShard] = {}
    for shard in plan.unwritten:
        state = load_state(os.path.join(work_dir, state_name(shard.name)))
        path = os.path.join(work_dir, shard.name)
        if state is not None and _is_written(shard, state, path):
            written[shard.name] = state
    return written


def _failed(plan: FolderPlan, runner: BeamRunner, why: Exception | str) -> OutputError:
    reason = str(why).strip().splitlines() or [type(why).__name__]
    return OutputError(
        f"{runner.name} did not finish ({reason[-1]}): {len(_written(plan))} of "
        f"{len(plan.unwritten)} shards are written; run the same command again: it "
        "resumes"
    )


def _tasks_path(name: str, work_dir: str) -> str:
    return os.path.join(work_dir, f"{name}.tasks")


def _save_tasks(shard: PlannedShard, work_dir: str) -> None:
    """Writes a planned shard as `_load_tasks` reads it: a line a task."""
    head = {
        "split": shard.split,
        "shard_index": shard.shard_index,
        "fingerprint": shard.fingerprint,
    }
    lines = [job_line(Job(number=0, task=_whole_path(task))) for task in shard.tasks]
    path = _tasks_path(shard.name, work_dir)
    with written_whole(path, sync=False) as aside:
        aside.write_bytes(json.dumps(head).encode() + b"\n" + b"".join(lines))


def _whole_path(task: Task) -> Task:
    """Returns a task whose path is the same in every current folder."""
    path = os.path.abspath(task.instance.path or "")
    return replace(task, instance=replace(task.instance, path=path))


def _load_tasks(name: str, work_dir: str) -> PlannedShard:
    head, *lines = read_bytes(_tasks_path(name, work_dir)).split(b"\n")
    tasks: Sequence[Task] = [read_job(line)[0] for line in lines if line]
    return PlannedShard(name=name, tasks=tuple(tasks), **json.loads(head))

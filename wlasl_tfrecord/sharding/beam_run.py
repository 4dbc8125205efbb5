"""A run whose shards are written by the workers of an Apache Beam runner.

A shard is a function of its tasks, so Beam has one element for each shard: its name.
The tasks lie in the working folder, because a runner limits what is sent with a job
(Dataflow to 10 MB, which is 40,000 clips). What a worker has written is noted beside
them, as in every run: an element that is tried again finds what is finished, and so
does the next run if the job fails.
"""

import contextlib
import hashlib
import importlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from wlasl_tfrecord.files import read_bytes, temporary_folder, written_whole
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding.output_folder import WORK_DIR, output_errors
from wlasl_tfrecord.sharding.plan import PlannedShard
from wlasl_tfrecord.sharding.remote_folder import RemoteFolder, remote_folder
from wlasl_tfrecord.sharding.remote_videos import RemoteVideos
from wlasl_tfrecord.sharding.run_plan import FolderPlan
from wlasl_tfrecord.sharding.shard_writer import settle_shard, write_shard
from wlasl_tfrecord.sharding.written_shard import (
    WrittenShard,
    describes,
    is_intact,
    load_state,
    state_name,
)
from wlasl_tfrecord.storage.urls import is_object_url

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
    plan: FolderPlan,
    limits: VideoLimits,
    num_workers: int,
    runner: BeamRunner,
    remote: RemoteFolder | None = None,
    videos: RemoteVideos | None = None,
) -> dict[str, WrittenShard]:
    """Writes what is missing of a folder on the workers of a runner.

    The working folder is open already. All workers see it, and the videos, under the
    same paths, or at the same URLs.

    Args:
        plan: The plan.
        limits: What one video may cost.
        num_workers: Processes that decode, for each shard that is being written.
        runner: What runs it.
        remote: The folder at a URL, if `plan.out` stands for one.
        videos: Where the videos are, if they come from a URL.

    Returns:
        Name -> shard.

    Raises:
        WlaslError: If Beam is not installed.
        OutputError: If the job fails, or leaves a shard out.
    """
    beam = import_beam()
    if remote is not None:
        remote.open_work_folder(plan.work_files, is_unfinished=True)
    digests: dict[str, str] = {}
    with output_errors(plan.out):
        for shard in plan.unwritten:
            work_dir = os.path.join(plan.out, WORK_DIR)
            digests[shard.name] = _save_tasks(shard, work_dir, videos)
            if remote is not None:
                remote.send_work_file(_tasks_name(shard.name))
    write = partial(
        write_planned,
        out=os.path.abspath(plan.out) if remote is None else remote.url,
        digests=digests,
        options=plan.options,
        limits=limits,
        num_workers=num_workers,
    )
    try:
        _run(beam, runner, [shard.name for shard in plan.unwritten], write)
    except Exception as error:  # each runner has errors of its own
        raise _failed(plan, runner, error, remote) from error
    written = _written(plan, remote)
    if len(written) < len(plan.unwritten):
        raise _failed(plan, runner, "it ended too early", remote)
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
    out: str,
    digests: Mapping[str, str],
    options: ShardOptions,
    limits: VideoLimits,
    num_workers: int,
) -> int:
    """Writes one shard, unless it is finished; runs on a worker.

    Args:
        name: Its file name.
        out: The folder, or its URL; its tasks are in the working folder.
        digests: Name of a shard -> the hex SHA-256 of its tasks, by the runner: they
            name files to make and URLs to read, and others may write to the folder.
        options: What decides the bytes.
        limits: What one video may cost.
        num_workers: Processes that decode.

    Returns:
        The number of its clips.

    Raises:
        OSError: If the tasks cannot be read, or the shard cannot be written.
        OutputError: The same at a URL, or if the tasks are not those of the plan.
        StoreError: If the store of the videos fails.
    """
    with contextlib.ExitStack() as held:
        remote = None
        if is_object_url(out):
            remote = held.enter_context(remote_folder(out, is_planned=True))
            remote.fetch_work_file(_tasks_name(name))
            remote.fetch_notes([name])
        work_dir = os.path.join(out if remote is None else remote.stage, WORK_DIR)
        shard, at_url = _load_tasks(name, work_dir, digests[name])
        path = os.path.join(work_dir, name)
        state = load_state(os.path.join(work_dir, state_name(name)))
        if state is None or not _is_written(shard, state, path):
            videos = None
            if at_url is not None:
                url, sizes = at_url
                folder = held.enter_context(temporary_folder("wlasl-videos-"))
                videos = RemoteVideos(url, folder)
                videos.expect(sizes)
                shard = _moved(shard, videos.path_of)
            state = _write(shard, path, options, limits, num_workers, videos)
            if remote is not None:
                remote.send_shard(state, path)
        return len(state.clips)


def _write(
    shard: PlannedShard,
    path: str,
    options: ShardOptions,
    limits: VideoLimits,
    num_workers: int,
    videos: RemoteVideos | None,
) -> WrittenShard:
    """Writes a shard on this machine, and notes it."""
    tasks = iter(shard.tasks)
    decoded = decode_in_order(
        tasks if videos is None else videos.fetched(tasks),
        options=options,
        limits=limits,
        num_workers=max(1, min(num_workers, len(shard.tasks))),
    )
    results = decoded if videos is None else videos.released(decoded)
    # So that the decoders end when writing fails.
    with contextlib.closing(decoded), tqdm(disable=True) as progress:
        state = write_shard(shard, results, path, progress)
    settle_shard(state, path)
    return state


def _is_written(shard: PlannedShard, state: WrittenShard, path: str) -> bool:
    return describes(state, shard) and is_intact(path, state)


def _written(plan: FolderPlan, remote: RemoteFolder | None) -> dict[str, WrittenShard]:
    """Returns those of the shards that are finished in the working folder."""
    work_dir = os.path.join(plan.out, WORK_DIR)
    if remote is not None:
        remote.fetch_notes([shard.name for shard in plan.unwritten])
    written: dict[str, WrittenShard] = {}
    for shard in plan.unwritten:
        state = load_state(os.path.join(work_dir, state_name(shard.name)))
        path = os.path.join(work_dir, shard.name)
        if state is not None and _is_written(shard, state, path):
            written[shard.name] = state
    return written


def _failed(
    plan: FolderPlan,
    runner: BeamRunner,
    why: Exception | str,
    remote: RemoteFolder | None,
) -> OutputError:
    reason = str(why).strip().splitlines() or [type(why).__name__]
    return OutputError(
        f"{runner.name} did not finish ({reason[-1]}): {len(_written(plan, remote))} "
        f"of {len(plan.unwritten)} shards are written; run the same command again: it "
        "resumes"
    )


def _tasks_name(shard_name: str) -> str:
    return f"{shard_name}.tasks"


def _save_tasks(shard: PlannedShard, work_dir: str, videos: RemoteVideos | None) -> str:
    """Writes a planned shard as `_load_tasks` reads it: a line a task.

    Returns:
        The hex SHA-256 of what it has written.

    Raises:
        OutputError: If one is of a folder of images at a URL.
    """
    head: dict[str, Any] = {
        "split": shard.split,
        "shard_index": shard.shard_index,
        "fingerprint": shard.fingerprint,
    }
    if videos is None:
        # The same in every current folder.
        shard = _moved(shard, os.path.abspath)
    else:
        names = {
            path: _name_at(videos, path)
            for path in (task.instance.path or "" for task in shard.tasks)
        }
        head["videos"] = [videos.url, dict(names.values())]
        shard = _moved(shard, lambda path: names[path][0])
    lines = [job_line(Job(number=0, task=task)) for task in shard.tasks]
    content = json.dumps(head).encode() + b"\n" + b"".join(lines)
    path = os.path.join(work_dir, _tasks_name(shard.name))
    with written_whole(path, sync=False) as aside:
        aside.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _name_at(videos: RemoteVideos, path: str) -> tuple[str, int]:
    found = videos.name_of(path)
    if found is None:
        raise OutputError(
            f"{videos.shown(path)} is no single file, as the workers of a runner need "
            "them; use --join, or copy --src to a disk that all see"
        )
    return found


def _moved(shard: PlannedShard, path_of: Callable[[str], str]) -> PlannedShard:
    """Returns a shard whose videos have other paths."""
    tasks = [
        replace(t, instance=replace(t.instance, path=path_of(t.instance.path or "")))
        for t in shard.tasks
    ]
    return replace(shard, tasks=tuple(tasks))


def _load_tasks(
    name: str, work_dir: str, sha256: str
) -> tuple[PlannedShard, tuple[str, dict[str, int]] | None]:
    """Returns a planned shard; and if its videos are at a URL, that and their sizes.

    Raises:
        OutputError: If the file has another hash.
    """
    content = read_bytes(os.path.join(work_dir, _tasks_name(name)))
    if hashlib.sha256(content).hexdigest() != sha256:
        raise OutputError(
            f"{_tasks_name(name)} in {work_dir} is not what was planned; run the same "
            "command again"
        )
    first, *lines = content.split(b"\n")
    head = json.loads(first)
    at_url = head.pop("videos", None)
    tasks: Sequence[Task] = [read_job(line)[0] for line in lines if line]
    shard = PlannedShard(name=name, tasks=tuple(tasks), **head)
    return shard, None if at_url is None else (at_url[0], at_url[1])

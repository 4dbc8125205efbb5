"""Sharding: every instance of a manifest is decoded and stored, or reported."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping
from functools import partial

from wlasl_tfrecord.annotations.manifest import Manifest
from wlasl_tfrecord.decoder_pool.jobs import VideoLimits
from wlasl_tfrecord.errors import ManifestError, OutputError
from wlasl_tfrecord.files import num_cores
from wlasl_tfrecord.shard_format.layout import FAILURES_FILE
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding.beam_run import BeamRunner, import_beam
from wlasl_tfrecord.sharding.folder_content import (
    all_files,
    is_complete,
    splits_with_clips,
)
from wlasl_tfrecord.sharding.joined_run import (
    JoinedRun,
    alone_at,
    joined_run,
    remove_left_work,
)
from wlasl_tfrecord.sharding.outcomes import unless_kept
from wlasl_tfrecord.sharding.output_folder import (
    WORK_DIR,
    finish_folder,
    local_folder,
    locked_folder,
    open_work_folder,
    output_errors,
    remove_work_folder,
)
from wlasl_tfrecord.sharding.plan_writer import PlanWriter
from wlasl_tfrecord.sharding.remote_folder import RemoteFolder, remote_folder
from wlasl_tfrecord.sharding.remote_videos import RemoteVideos
from wlasl_tfrecord.sharding.report import ShardReport
from wlasl_tfrecord.sharding.run_plan import (
    FolderPlan,
    check_space,
    plan_folder,
)
from wlasl_tfrecord.sharding.shared_folder import DiskFolder, SharedFolder, StoreFolder
from wlasl_tfrecord.sharding.shared_hashes import HASHES_DIR
from wlasl_tfrecord.sharding.written_shard import (
    WrittenShard,
    save_state,
    shard_outcomes,
    state_name,
)
from wlasl_tfrecord.storage.urls import is_object_url, join_path

__all__ = ["ShardOptions", "ShardReport", "VideoLimits", "write_shards"]


def write_shards(
    manifest: Manifest,
    out: str | os.PathLike[str],
    *,
    options: ShardOptions | None = None,
    limits: VideoLimits | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    retry: bool = False,
    join: bool = False,
    runner: BeamRunner | None = None,
    src: str | os.PathLike[str] | None = None,
    videos: RemoteVideos | None = None,
    show_progress: bool = False,
    on_plan: Callable[[FolderPlan], None] | None = None,
    on_wait: Callable[[int], None] | None = None,
) -> ShardReport:
    """Writes the shard folder of a manifest, or the shards of it that are missing.

    Killed at any moment and called again, it resumes, and the folder has the same bytes
    at the end. A second call with nothing new writes nothing.

    Args:
        manifest: The instances.
        out: The folder; made if it does not exist. Or a URL, to which each shard is
            sent when it is finished.
        options: What decides the bytes; by default `ShardOptions()`.
        limits: What one video may cost; by default `VideoLimits()`.
        workers: How many processes decode; by default one for each core.
        overwrite: Write a finished folder again.
        retry: Write shards again in which a video took too long or too much memory, or
            ended its worker.
        join: Share the work with the processes that call this with the same arguments
            and write to the same folder or URL, on any number of machines. The bytes
            are those of one process. One that dies is replaced after two minutes.
        runner: Apache Beam's runner, on whose workers the shards are written; they see
            the videos and the folder under the same paths or URLs. `workers` is then
            the number of decoders for each shard that is being written.
        src: The folder to which the paths in the report are relative.
        videos: Where the videos are, if they come from a URL.
        show_progress: Show a bar with clips/s on stderr.
        on_plan: Called with the plan, before anything is written.
        on_wait: Called with the number of shards that other processes are writing, when
            nothing else is left to do and whenever it changes.

    Returns:
        The outcome of every instance.

    Raises:
        OutputError: If the folder cannot be written, is in use, was written with other
            options, or the clips do not fit on the disk.
        ManifestError: If no video at all became a clip; the report is written, but a
            finished folder is left alone.
        StoreError: If the object store of a URL cannot be used.
        ValueError: If `workers` is below 1, `out` is no folder, or `join` is set with
            `overwrite`, `retry` or `runner`.
        WlaslError: If there is a runner, and Apache Beam is not installed.
    """
    options = options or ShardOptions()
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if join and (overwrite or retry):
        raise ValueError(
            "--join cannot tell what the others of this run have written from what is "
            "to be written again; leave out --overwrite and --retry, or delete --out"
        )
    if join and runner is not None:
        raise ValueError(
            "--join and --runner are two ways to use several machines; leave out one"
        )
    if runner is not None:
        import_beam()  # hashing thousands of videos first would take minutes
    write = partial(
        _write,
        manifest,
        options=options,
        limits=limits or VideoLimits(),
        workers=workers or num_cores(),
        overwrite=overwrite,
        retry=retry,
        join=join,
        runner=runner,
        src=src,
        videos=videos,
        show_progress=show_progress,
        on_plan=on_plan,
        on_wait=on_wait,
    )
    if not is_object_url(os.fspath(out)):
        return write(local_folder(out))
    with contextlib.ExitStack() as held:
        remote = held.enter_context(remote_folder(os.fspath(out)))
        if not join:
            held.enter_context(alone_at(remote))
        report = write(remote.stage, remote=remote)
    return dataclasses.replace(report, out=remote.url)


def _write(
    manifest: Manifest,
    root: str,
    *,
    options: ShardOptions,
    limits: VideoLimits,
    workers: int,
    overwrite: bool,
    retry: bool,
    join: bool,
    runner: BeamRunner | None,
    src: str | os.PathLike[str] | None,
    videos: RemoteVideos | None,
    show_progress: bool,
    on_plan: Callable[[FolderPlan], None] | None,
    on_wait: Callable[[int], None] | None,
    remote: RemoteFolder | None = None,
) -> ShardReport:
    """Writes a folder of this machine, which may stand for one at a URL."""
    with locked_folder(root, shared=join):
        plan = plan_folder(
            manifest,
            root,
            options=options,
            limits=limits,
            overwrite=overwrite,
            retry=retry,
            hashes=_hashes_folder(root, remote) if join else None,
            videos=videos,
            show_progress=show_progress,
        )
        if on_plan is not None:
            shown = root if remote is None else remote.url
            on_plan(dataclasses.replace(plan, out=shown))
        check_space(plan, sends_shards=remote is not None)
        writer = PlanWriter(
            plan, limits, workers, show_progress, runner, remote, videos
        )
        if join:
            report = _write_joined(writer, src, on_wait)
        else:
            report = _write_alone(writer, src)
    if not report.num_written:
        raise ManifestError(
            f"none of the {report.num_failed:,} videos became a clip; "
            f"{os.path.join(root, FAILURES_FILE)} says why"
        )
    return report


def _hashes_folder(root: str, remote: RemoteFolder | None) -> SharedFolder:
    """Returns where processes that plan the same run note the hashes of videos."""
    if remote is not None:
        return StoreFolder(join_path(remote.url, HASHES_DIR))
    return DiskFolder(os.path.join(root, HASHES_DIR))


def _write_alone(writer: PlanWriter, src: str | os.PathLike[str] | None) -> ShardReport:
    """Writes what is missing of a folder, and finishes it."""
    plan = writer.plan
    written = dict(plan.finished)
    if plan.unwritten:
        with output_errors(plan.out):
            open_work_folder(plan.out, plan.options, plan.work_files)
        written.update(writer.write_missing())
    report = _report(plan, written, len(plan.unwritten), src)
    _refuse_to_empty(plan, report)
    if is_complete(plan, written, report):
        remove_work_folder(plan.out)
        if writer.remote is not None:
            writer.remote.finish()  # files that a run left which was killed at its end
        return report
    if not plan.unwritten:
        with output_errors(plan.out):
            open_work_folder(plan.out, plan.options, plan.work_files)
    _finish(writer, written, report)
    return report


def _write_joined(
    writer: PlanWriter,
    src: str | os.PathLike[str] | None,
    on_wait: Callable[[int], None] | None,
) -> ShardReport:
    """Writes a share of what is missing; the last one of all finishes the folder."""
    plan = writer.plan
    hashes = _hashes_folder(plan.out, writer.remote)
    if not plan.unwritten:
        report = _report(plan, plan.finished, 0, src)
        if is_complete(plan, plan.finished, report):
            hashes.clear()
            remove_left_work(plan, writer.remote)
            return report
    num_shards, num_waiting = 0, 0
    with joined_run(plan, writer.remote) as run:
        while (left := run.unwritten()) and not run.is_over():
            try:
                own = writer.write(run.claimed(left), run.release)
            except OutputError:
                if run.is_over():  # they did not wait: this machine stood still
                    break
                raise
            run.written.update(own)
            num_shards += len(own)
            if not own:
                if on_wait is not None and len(left) != num_waiting:
                    on_wait(len(left))
                num_waiting = len(left)
                run.wait()
        while True:
            is_last = run.may_finish()
            report = _report(plan, run.written, num_shards, src)
            if not is_last or _finish_shared(writer, run, report):
                break
        if is_last:
            hashes.clear()
    if not is_last:
        remove_left_work(plan, writer.remote)
    return report


def _finish_shared(writer: PlanWriter, run: JoinedRun, report: ShardReport) -> bool:
    """Finishes the folder; returns False if another process does instead."""
    _refuse_to_empty(writer.plan, report)
    try:
        _finish(writer, run.written, report)
    except OutputError:
        if run.is_finishing():
            raise
        return False  # they did not wait: this machine stood still
    return True


def _refuse_to_empty(plan: FolderPlan, report: ShardReport) -> None:
    """Leaves a finished folder alone if no video could be read this time.

    Raises:
        ManifestError: If it would lose all of its clips.
    """
    if plan.is_finished and not report.num_written:
        # A disk that was out of reach for a moment must not cost the clips.
        remove_work_folder(plan.out)
        reason = next((o.reason for o in report.outcomes), "there are none")
        raise ManifestError(
            f"none of the {len(report.outcomes):,} videos became a clip "
            f"({reason}); {plan.out} is left as it was"
        )


def _report(
    plan: FolderPlan,
    written: Mapping[str, WrittenShard],
    num_shards_written: int,
    src: str | os.PathLike[str] | None,
) -> ShardReport:
    """Returns the outcome of every instance, in the order of the manifest."""
    outcomes = dict(plan.outcomes)
    for shard in plan.shards:
        for outcome in shard_outcomes(shard, written[shard.name], plan.duplicates):
            outcomes[outcome.instance.video_id] = outcome
    for video_id, outcome in plan.outcomes.items():
        if outcome.kind == "left out":
            outcomes[video_id] = unless_kept(outcome, outcomes)
    return ShardReport(
        out=plan.out,
        options=plan.options,
        glosses=plan.glosses,
        outcomes=tuple(outcomes[i.video_id] for i in plan.instances),
        fingerprints={shard.name: shard.fingerprint for shard in plan.shards},
        num_shards_written=num_shards_written,
        held=plan.held,
        src=None if src is None else os.fspath(src),
    )


def _finish(
    writer: PlanWriter, written: Mapping[str, WrittenShard], report: ShardReport
) -> None:
    """Writes the files besides the shards, and moves everything to its place."""
    plan = writer.plan
    work_dir = os.path.join(plan.out, WORK_DIR)
    with output_errors(plan.out):
        for shard in plan.shards:
            # Until the end, the folder's own files do not describe its shards.
            save_state(
                written[shard.name], os.path.join(work_dir, state_name(shard.name))
            )
        by_split = splits_with_clips(plan, written)
        names = [shard.name for shards in by_split.values() for shard in shards]
        finish_folder(plan.out, work_dir, names, all_files(plan, written, report))
    if writer.remote is not None:
        writer.remote.finish()

"""Sharding: every instance of a manifest is decoded and stored, or reported."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from tqdm import tqdm

from wlasl_tfrecord.annotations.manifest import Manifest
from wlasl_tfrecord.decoder_pool.jobs import VideoLimits
from wlasl_tfrecord.decoder_pool.pool import decode_in_order
from wlasl_tfrecord.errors import ManifestError, OutputError
from wlasl_tfrecord.files import num_cores
from wlasl_tfrecord.shard_format.layout import FAILURES_FILE
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding.beam_run import BeamRunner, import_beam, write_on_runner
from wlasl_tfrecord.sharding.folder_content import (
    all_files,
    is_complete,
    splits_with_clips,
)
from wlasl_tfrecord.sharding.joined_run import joined_run
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
from wlasl_tfrecord.sharding.plan import PlannedShard
from wlasl_tfrecord.sharding.report import ShardReport
from wlasl_tfrecord.sharding.run_plan import FolderPlan, check_space, plan_folder
from wlasl_tfrecord.sharding.shard_writer import settle_shard, write_shard
from wlasl_tfrecord.sharding.shared_hashes import remove_shared_hashes
from wlasl_tfrecord.sharding.written_shard import (
    WrittenShard,
    save_state,
    shard_outcomes,
    state_name,
)

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
    show_progress: bool = False,
    on_plan: Callable[[FolderPlan], None] | None = None,
    on_wait: Callable[[int], None] | None = None,
) -> ShardReport:
    """Writes the shard folder of a manifest, or the shards of it that are missing.

    Killed at any moment and called again, it resumes, and the folder has the same bytes
    at the end. A second call with nothing new writes nothing.

    Args:
        manifest: The instances.
        out: The folder; made if it does not exist.
        options: What decides the bytes; by default `ShardOptions()`.
        limits: What one video may cost; by default `VideoLimits()`.
        workers: How many processes decode; by default one for each core.
        overwrite: Write a finished folder again.
        retry: Write shards again in which a video took too long or too much memory, or
            ended its worker.
        join: Share the work with the processes that call this with the same arguments
            and write to the same folder, on any number of machines. The bytes are those
            of one process. One that dies is replaced after two minutes.
        runner: Apache Beam's runner, on whose workers the shards are written; they see
            the videos and the folder under the same paths. `workers` is then the number
            of decoders for each shard that is being written.
        src: The folder to which the paths in the report are relative.
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
        ValueError: If `workers` is below 1, `out` is no local folder, or `join` is set
            with `overwrite`, `retry` or `runner`.
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
    root = local_folder(out)
    with locked_folder(root, shared=join):
        plan = plan_folder(
            manifest,
            root,
            options=options,
            limits=limits,
            overwrite=overwrite,
            retry=retry,
            join=join,
            show_progress=show_progress,
        )
        if on_plan is not None:
            on_plan(plan)
        check_space(plan)
        writer = _Writer(
            plan,
            limits or VideoLimits(),
            workers or num_cores(),
            show_progress,
            runner,
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


@dataclass(frozen=True)
class _Writer:
    """What writes shards of a plan into the working folder."""

    plan: FolderPlan
    limits: VideoLimits
    num_workers: int
    show_progress: bool
    runner: BeamRunner | None

    def write_missing(self) -> dict[str, WrittenShard]:
        """Writes the shards that are not finished, here or on a runner.

        Returns:
            Name -> shard.
        """
        plan = self.plan
        if self.runner is None:
            return self.write(plan.unwritten)
        return write_on_runner(plan, self.limits, self.num_workers, self.runner)

    def write(
        self,
        shards: Iterable[PlannedShard],
        settled: Callable[[PlannedShard], None] = lambda _: None,
    ) -> dict[str, WrittenShard]:
        """Writes shards, which may be chosen while others are written.

        Args:
            shards: What to write.
            settled: Called when a shard is on the disk and noted, in another thread.

        Returns:
            Name -> shard.
        """
        plan = self.plan
        work_dir = os.path.join(plan.out, WORK_DIR)
        num_tasks = sum(len(shard.tasks) for shard in plan.unwritten)
        written: dict[str, WrittenShard] = {}
        # The disk takes its time; meanwhile the next shard is written.
        settler = ThreadPoolExecutor(max_workers=1)
        settling: list[Future[None]] = []
        to_decode, to_write = itertools.tee(shards)
        decoded = decode_in_order(
            (task for shard in to_decode for task in shard.tasks),
            options=plan.options,
            limits=self.limits,
            num_workers=min(self.num_workers, max(num_tasks, 1)),
        )

        def settle(shard: PlannedShard, path: str) -> None:
            settle_shard(written[shard.name], path)
            settled(shard)

        with (
            # So that the workers end when writing fails, and not when Python exits.
            contextlib.closing(decoded),
            tqdm(total=num_tasks, unit="clip", disable=not self.show_progress) as bar,
            output_errors(plan.out),
            _cancelled_at_end(settler),
        ):
            for shard in to_write:
                path = os.path.join(work_dir, shard.name)
                written[shard.name] = write_shard(shard, decoded, path, bar)
                settling.append(settler.submit(settle, shard, path))
            for future in settling:
                future.result()
        return written


def _write_alone(writer: _Writer, src: str | os.PathLike[str] | None) -> ShardReport:
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
        return report
    if not plan.unwritten:
        with output_errors(plan.out):
            open_work_folder(plan.out, plan.options, plan.work_files)
    _finish(plan, written, report)
    return report


def _write_joined(
    writer: _Writer,
    src: str | os.PathLike[str] | None,
    on_wait: Callable[[int], None] | None,
) -> ShardReport:
    """Writes a share of what is missing; the last one of all finishes the folder."""
    plan = writer.plan
    if not plan.unwritten:
        report = _report(plan, plan.finished, 0, src)
        if is_complete(plan, plan.finished, report):
            remove_shared_hashes(plan.out)
            return report
    num_shards, num_waiting = 0, 0
    with joined_run(plan) as run:
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
        is_last = run.may_finish()
        report = _report(plan, run.written, num_shards, src)
        if is_last:
            _refuse_to_empty(plan, report)
            _finish(plan, run.written, report)
            remove_shared_hashes(plan.out)
    return report


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


@contextlib.contextmanager
def _cancelled_at_end(pool: ThreadPoolExecutor) -> Iterator[None]:
    """Ends a pool, and cancels what it has not begun."""
    try:
        yield
    finally:
        pool.shutdown(cancel_futures=True)


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
    plan: FolderPlan, written: Mapping[str, WrittenShard], report: ShardReport
) -> None:
    """Writes the files besides the shards, and moves everything to its place."""
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

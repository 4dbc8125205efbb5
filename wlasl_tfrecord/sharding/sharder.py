"""Sharding: every instance of a manifest is decoded and stored, or reported."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from tqdm import tqdm

from wlasl_tfrecord.annotations.manifest import Manifest
from wlasl_tfrecord.decoder_pool.jobs import VideoLimits
from wlasl_tfrecord.decoder_pool.pool import decode_in_order
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.files import num_cores, read_bytes
from wlasl_tfrecord.shard_format import clip_proto, shard_folder
from wlasl_tfrecord.shard_format.folder_files import folder_files
from wlasl_tfrecord.shard_format.layout import FAILURES_FILE
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
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
from wlasl_tfrecord.sharding.report import ShardReport, report_files
from wlasl_tfrecord.sharding.run_plan import FolderPlan, check_space, plan_folder
from wlasl_tfrecord.sharding.shard_writer import settle_shard, write_shard
from wlasl_tfrecord.sharding.written_shard import (
    WrittenShard,
    merge_records,
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
    src: str | os.PathLike[str] | None = None,
    show_progress: bool = False,
    on_plan: Callable[[FolderPlan], None] | None = None,
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
        src: The folder to which the paths in the report are relative.
        show_progress: Show a bar with clips/s on stderr.
        on_plan: Called with the plan, before anything is written.

    Returns:
        The outcome of every instance.

    Raises:
        OutputError: If the folder cannot be written, is in use, was written with other
            options, or the clips do not fit on the disk.
        ManifestError: If no video at all became a clip; the report is written, but a
            finished folder is left alone.
        ValueError: If `workers` is below 1, or `out` is no local folder.
    """
    options = options or ShardOptions()
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    root = local_folder(out)
    with locked_folder(root):
        plan = plan_folder(
            manifest,
            root,
            options=options,
            limits=limits,
            overwrite=overwrite,
            retry=retry,
            show_progress=show_progress,
        )
        if on_plan is not None:
            on_plan(plan)
        check_space(plan)
        num_unwritten = len(plan.unwritten)
        written = _write_unwritten(
            plan, limits or VideoLimits(), workers or num_cores(), show_progress
        )
        report = _report(plan, written, num_unwritten, src)
        if plan.is_finished and not report.num_written:
            # A disk that was out of reach for a moment must not cost the clips.
            remove_work_folder(root)
            reason = next((o.reason for o in report.outcomes), "there are none")
            raise ManifestError(
                f"none of the {len(report.outcomes):,} videos became a clip "
                f"({reason}); {root} is left as it was"
            )
        _finish(plan, written, report)
    if not report.num_written:
        raise ManifestError(
            f"none of the {report.num_failed:,} videos became a clip; "
            f"{os.path.join(root, FAILURES_FILE)} says why"
        )
    return report


def _write_unwritten(
    plan: FolderPlan, limits: VideoLimits, num_workers: int, show_progress: bool
) -> dict[str, WrittenShard]:
    """Writes the missing shards into the working folder; returns all, by name."""
    written = dict(plan.finished)
    if not plan.unwritten:
        return written
    with output_errors(plan.out):
        work_dir = open_work_folder(plan.out, plan.options, plan.work_files)
    tasks = [task for shard in plan.unwritten for task in shard.tasks]
    # The disk takes its time; meanwhile the next shard is written.
    settler = ThreadPoolExecutor(max_workers=1)
    settling: list[Future[None]] = []
    decoded = decode_in_order(
        tasks,
        options=plan.options,
        limits=limits,
        num_workers=min(num_workers, max(len(tasks), 1)),
    )
    with (
        # So that the workers end when writing fails, and not when Python exits.
        contextlib.closing(decoded),
        tqdm(total=len(tasks), unit="clip", disable=not show_progress) as progress,
        output_errors(plan.out),
        _cancelled_at_end(settler),
    ):
        for shard in plan.unwritten:
            path = os.path.join(work_dir, shard.name)
            finished = write_shard(shard, decoded, path, progress)
            written[shard.name] = finished
            settling.append(settler.submit(settle_shard, finished, path))
        for future in settling:
            future.result()
    return written


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
    by_split: dict[str, list[PlannedShard]] = {}
    for shard in plan.shards:
        by_split.setdefault(shard.split, []).append(shard)
    # A split of which no video could be decoded is no split.
    by_split = {
        split: shards
        for split, shards in by_split.items()
        if any(written[shard.name].clips for shard in shards)
    }
    # A folder without any clip has a report, and nothing that a reader could mistake.
    files = _folder_files(plan, by_split, written) if by_split else {}
    files.update(report_files(report))
    work_dir = os.path.join(plan.out, WORK_DIR)
    with output_errors(plan.out):
        if plan.is_finished and not plan.unwritten and _are_there(plan.out, files):
            remove_work_folder(plan.out)
            return
        if not plan.unwritten:
            open_work_folder(plan.out, plan.options, plan.work_files)
        for shard in plan.shards:
            # Until the end, the folder's own files do not describe its shards.
            save_state(
                written[shard.name], os.path.join(work_dir, state_name(shard.name))
            )
        names = [shard.name for shards in by_split.values() for shard in shards]
        finish_folder(plan.out, work_dir, names, files)


def _folder_files(
    plan: FolderPlan,
    by_split: Mapping[str, Sequence[PlannedShard]],
    written: Mapping[str, WrittenShard],
) -> dict[str, bytes]:
    """Returns the index, the tables of records and the metadata of the folder."""
    options = plan.options
    named = options.to_dict()
    for name in ("num_frames", "height", "width", "codec", "framing"):
        del named[name]
    folder = shard_folder.ShardFolder(
        directory=plan.out,
        clip=options.clip,
        codec=options.codec,
        framing=options.framing,
        glosses=plan.glosses,
        shards={
            split: tuple(written[shard.name].shard for shard in shards)
            for split, shards in by_split.items()
        },
        options=named,
    )
    records = {
        split: merge_records(shards, written) for split, shards in by_split.items()
    }
    features = clip_proto.tfds_features(options.clip, options.codec, len(plan.glosses))
    return folder_files(folder, records, features)


def _are_there(out: str, files: Mapping[str, bytes]) -> bool:
    """Whether a folder has these files, with this content."""
    try:
        return all(
            read_bytes(os.path.join(out, name)) == content
            for name, content in files.items()
        )
    except OSError:
        return False

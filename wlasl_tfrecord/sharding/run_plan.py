"""The plan of a run: what a shard folder will hold, and what of it is there already."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tqdm import tqdm

from wlasl_tfrecord import files
from wlasl_tfrecord.annotations.manifest import Instance, Manifest
from wlasl_tfrecord.decoder_pool.jobs import Task, Undecoded, VideoLimits
from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.shard_format import layout
from wlasl_tfrecord.shard_format.codecs import SMALLEST_CODEC
from wlasl_tfrecord.shard_format.shard_options import ShardOptions, record_bytes
from wlasl_tfrecord.sharding.coverage import dropped_lines, gap_lines
from wlasl_tfrecord.sharding.outcomes import (
    KINDS,
    Outcome,
    failure,
    find_duplicates,
    left_out,
    missing,
    unusable,
)
from wlasl_tfrecord.sharding.output_folder import check_place, local_folder
from wlasl_tfrecord.sharding.plan import PlannedShard, plan_shards
from wlasl_tfrecord.sharding.resume import finished_shards, known_shards
from wlasl_tfrecord.sharding.video_hashes import read_digests
from wlasl_tfrecord.sharding.written_shard import WrittenShard
from wlasl_tfrecord.text import size_text

__all__ = ["FolderPlan", "check_space", "plan_folder"]


@dataclass(frozen=True, kw_only=True)
class FolderPlan:
    """What a run is to do.

    Attributes:
        out: The folder.
        options: What decides the bytes.
        glosses: The words, by label.
        instances: All of the manifest, in its order.
        outcomes: Id -> what became of an instance that is not in any shard.
        duplicates: Id -> the ids of others that show the same.
        shards: All shards of the folder to be.
        finished: Name -> the shards that are there already, whole.
        held: The ids of the clips that the finished folder holds.
        work_files: Files of the working folder that these need.
        is_finished: Whether the folder was left finished by an earlier run.
        free_bytes: Free space where the folder lies.
    """

    out: str
    options: ShardOptions
    glosses: tuple[str, ...]
    instances: tuple[Instance, ...]
    outcomes: Mapping[str, Outcome]
    duplicates: Mapping[str, tuple[str, ...]]
    shards: tuple[PlannedShard, ...]
    finished: Mapping[str, WrittenShard]
    held: frozenset[str]
    work_files: frozenset[str]
    is_finished: bool
    free_bytes: int

    @property
    def unwritten(self) -> tuple[PlannedShard, ...]:
        """The shards that are to be written."""
        return tuple(shard for shard in self.shards if shard.name not in self.finished)

    def summary(self) -> str:
        """Says what a run is to do, for a person."""
        counts = {split: Counter[str]() for split in layout.SPLITS}
        for instance in self.instances:
            outcome = self.outcomes.get(instance.video_id)
            columns = "instances", "to hold" if outcome is None else outcome.kind
            counts[instance.split].update(columns)
        columns = [
            column
            for column in ("instances", "to hold", *KINDS)
            if any(column in split for split in counts.values())
        ]
        lines = ["".join([f"{'split':<8}", *(f"{name:>13}" for name in columns)])]
        for split, numbers in counts.items():
            if numbers:
                cells = "".join(f"{numbers[column]:>13,}" for column in columns)
                lines.append(f"{split:<8}{cells}")
        num_tasks = sum(len(shard.tasks) for shard in self.unwritten)
        lines.append(
            f"{self.out}: {len(self.unwritten)} of {len(self.shards)} shards to write, "
            f"{num_tasks:,} clips, about {size_text(self.bytes_to_write)}; free are "
            f"{size_text(self.free_bytes)}"
        )
        planned = {i.video_id for i in self.instances} - self.outcomes.keys()
        lines += dropped_lines(self.held - planned, "holds will go")
        return "\n".join(lines)

    def gaps(self) -> list[str]:
        """Says which glosses will have no train or test clip, for a person."""
        fates: list[tuple[Instance, str]] = []
        for instance in self.instances:
            outcome = self.outcomes.get(instance.video_id)
            fates.append((instance, "written" if outcome is None else outcome.kind))
        return gap_lines(self.glosses, fates, "will have")

    @property
    def bytes_to_write(self) -> int:
        """About how many bytes are to come."""
        num_clips = sum(len(shard.tasks) for shard in self.unwritten)
        return num_clips * record_bytes(self.options)


def plan_folder(
    manifest: Manifest,
    out: str | os.PathLike[str],
    *,
    options: ShardOptions,
    limits: VideoLimits | None = None,
    overwrite: bool = False,
    retry: bool = False,
    show_progress: bool = False,
) -> FolderPlan:
    """Plans a run, and changes nothing.

    Every video is read once, without decoding it: its digest says whether a shard that
    is there already still holds what it should, and finds the same content under two
    names.

    Args:
        manifest: The instances.
        out: The folder of shards, which need not exist.
        options: What decides the bytes.
        limits: What reading one video may cost; by default `VideoLimits()`.
        overwrite: Count nothing of a finished folder as there.
        retry: Count no shard as there in which a video took too long, took too much
            memory, or ended its decoder: another machine may have done better.
        show_progress: Show a bar on stderr.

    Raises:
        OutputError: If the folder, or what an interrupted run has finished of it, was
            written with other options, and `overwrite` is not set; or if it is no
            folder, or one with somebody else's files.
        ValueError: If `out` is no local folder.
    """
    root = local_folder(out)
    check_place(root)
    # First: reading thousands of videos takes minutes.
    known = known_shards(root, options, overwrite=overwrite)
    outcomes: dict[str, Outcome] = {}
    present: list[Instance] = []
    for instance in manifest.instances:
        if instance.problem is not None:
            outcomes[instance.video_id] = unusable(instance)
        elif instance.path is None:
            outcomes[instance.video_id] = missing(instance)
        else:
            present.append(instance)
    tasks: list[Task] = []
    paths = [instance.path for instance in present if instance.path is not None]
    digests = tqdm(
        read_digests(paths, (limits or VideoLimits()).timeout_seconds),
        desc="reading",
        unit="video",
        total=len(paths),
        disable=not show_progress,
        leave=False,
    )
    for instance, (_, result) in zip(present, digests):
        if isinstance(result, str):
            tasks.append(Task(instance=instance, sha256=result))
        else:
            outcomes[instance.video_id] = failure(
                instance, Undecoded.of(result), stage="read"
            )
    duplicates = find_duplicates(tasks)
    if options.drop_leaks:
        splits = {task.instance.video_id: task.instance.split for task in tasks}
        for task in tasks:
            others = [
                video_id
                for video_id in duplicates.get(task.instance.video_id, ())
                if splits[video_id] != "train"
            ]
            if task.instance.split == "train" and others:
                outcomes[task.instance.video_id] = left_out(task, others)
        tasks = [task for task in tasks if task.instance.video_id not in outcomes]
    shards = tuple(plan_shards(tasks, options))
    finished = finished_shards(root, shards, known, retry=retry)
    return FolderPlan(
        out=root,
        options=options,
        glosses=manifest.glosses,
        instances=manifest.instances,
        outcomes=outcomes,
        duplicates=duplicates,
        shards=shards,
        finished=finished.shards,
        held=frozenset(c.video_id for shard in known.values() for c in shard.clips),
        work_files=finished.work_files,
        is_finished=os.path.exists(os.path.join(root, layout.INDEX_FILE)),
        free_bytes=files.free_bytes(root),
    )


def check_space(plan: FolderPlan) -> None:
    """Checks that what is to come fits on the disk.

    Raises:
        OutputError: If it does not.
    """
    if plan.bytes_to_write > plan.free_bytes:
        is_smallest = plan.options.codec == SMALLEST_CODEC
        smaller = "" if is_smallest else f", or --codec {SMALLEST_CODEC}"
        raise OutputError(
            f"{plan.out} needs {size_text(plan.bytes_to_write)}, free are "
            f"{size_text(plan.free_bytes)}; free some, choose another --out{smaller}"
        )

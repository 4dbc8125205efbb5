"""The plan of a run: what a shard folder will hold, and what of it is there already."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tqdm import tqdm

from wlasl_tfrecord import files
from wlasl_tfrecord.annotations.manifest import Instance, Manifest
from wlasl_tfrecord.decoder_pool.jobs import (
    Task,
    Undecoded,
    VideoLimits,
    check_memory,
)
from wlasl_tfrecord.errors import ManifestError, OutputError, VideoError
from wlasl_tfrecord.shard_format import layout
from wlasl_tfrecord.shard_format.codecs import SMALLEST_CODEC
from wlasl_tfrecord.shard_format.glosses import MAX_GLOSSES
from wlasl_tfrecord.shard_format.shard_options import ShardOptions, record_bytes
from wlasl_tfrecord.sharding.coverage import coverage_lines, lost_clips_lines
from wlasl_tfrecord.sharding.outcomes import (
    KINDS,
    Outcome,
    failure,
    find_duplicates,
    left_out,
    missing,
    unusable,
)
from wlasl_tfrecord.sharding.output_folder import check_output_folder, local_folder
from wlasl_tfrecord.sharding.plan import PlannedShard, plan_shards
from wlasl_tfrecord.sharding.remote_videos import RemoteVideos
from wlasl_tfrecord.sharding.resume import finished_shards, known_shards
from wlasl_tfrecord.sharding.shared_folder import SharedFolder
from wlasl_tfrecord.sharding.shared_hashes import file_facts, hash_together
from wlasl_tfrecord.sharding.video_hashes import hash_videos
from wlasl_tfrecord.sharding.written_shard import WrittenShard
from wlasl_tfrecord.storage.urls import is_url
from wlasl_tfrecord.text import size_text

__all__ = ["MAX_UNSENT", "FolderPlan", "check_space", "plan_folder"]


@dataclass(frozen=True, kw_only=True)
class FolderPlan:
    """What a run will do.

    Attributes:
        out: The folder.
        options: What decides the bytes.
        glosses: The words, by label.
        instances: All of the manifest, in its order.
        outcomes: Id -> outcome, for the instances that are in no shard.
        duplicates: Id -> the ids of others that show the same.
        shards: All shards that the folder will have.
        finished: Name -> shard, for those that are there already, whole.
        held: The ids of the clips that the finished folder holds.
        work_files: Files of the working folder that `finished` needs.
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
        """Returns what a run will do, for a person."""
        counts = {split: Counter[str]() for split in layout.SPLITS}
        for instance in self.instances:
            outcome = self.outcomes.get(instance.video_id)
            columns = "instances", "clips" if outcome is None else outcome.kind
            counts[instance.split].update(columns)
        columns = [
            column
            for column in ("instances", "clips", *KINDS)
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
            f"{num_tasks:,} clips, about {size_text(self.bytes_to_write)}"
            + ("" if is_url(self.out) else f"; {size_text(self.free_bytes)} free")
        )
        planned = {i.video_id for i in self.instances} - self.outcomes.keys()
        lines += lost_clips_lines(self.held - planned, "holds will go")
        return "\n".join(lines)

    def coverage(self) -> list[str]:
        """Names the glosses that will have no train or test clip, for a person."""
        kinds: list[tuple[Instance, str]] = []
        for instance in self.instances:
            outcome = self.outcomes.get(instance.video_id)
            kinds.append((instance, "written" if outcome is None else outcome.kind))
        return coverage_lines(self.glosses, kinds, "will have")

    @property
    def bytes_to_write(self) -> int:
        """About how many bytes are to be written."""
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
    hashes: SharedFolder | None = None,
    videos: RemoteVideos | None = None,
    show_progress: bool = False,
) -> FolderPlan:
    """Plans a run, and changes nothing, but for the notes of processes that join.

    Every video is read once, without decoding it: by its hash, shards that are there
    already are found to be up to date, and the same content under two names is found.

    Args:
        manifest: The instances.
        out: The folder of shards, which need not exist.
        options: What decides the bytes.
        limits: What reading one video may cost; by default `VideoLimits()`.
        overwrite: Treat a finished folder as empty.
        retry: Write a shard again in which a video took too long or too much memory, or
            ended its worker: with other limits, or on another machine, it may succeed.
        hashes: Where processes that plan the same note what they have read, so that
            they share the reading.
        videos: Where the videos are, if they come from a URL.
        show_progress: Show a bar on stderr.

    Raises:
        ManifestError: If there are more glosses than a folder can have.
        OutputError: If the folder, or what an interrupted run has finished of it, was
            written with other options, and `overwrite` is not set; or if it is no
            folder, or one with somebody else's files.
        ValueError: If `out` is no local folder, or a worker may take too little memory
            to find landmarks.
    """
    check_memory(options, limits or VideoLimits())
    if len(manifest.glosses) > MAX_GLOSSES:
        raise ManifestError(
            f"{manifest.annotations} has {len(manifest.glosses):,} glosses, and a "
            f"folder has at most {MAX_GLOSSES:,}; choose the first ones with --subset"
        )
    root = local_folder(out)
    check_output_folder(root)
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
    hash_all = hash_videos if videos is None else videos.hash_videos
    if hashes is not None:
        facts_of = file_facts if videos is None else videos.facts_of
        hash_all = partial(hash_together, hashes, hash_all, facts_of)
    tasks, unread = _read_videos(
        present, limits or VideoLimits(), hash_all, show_progress
    )
    outcomes.update(unread)
    duplicates = find_duplicates(tasks)
    if options.drop_leaks:
        outcomes.update(_leaks(tasks, duplicates))
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


def _read_videos(
    instances: Sequence[Instance],
    limits: VideoLimits,
    hash_all: Callable[[Sequence[str], float], Iterable[tuple[str, str | VideoError]]],
    show_progress: bool,
) -> tuple[list[Task], dict[str, Outcome]]:
    """Hashes videos; returns the tasks, and the outcomes of those that failed."""
    paths = [instance.path for instance in instances if instance.path is not None]
    hashes = tqdm(
        hash_all(paths, limits.timeout_seconds),
        desc="reading",
        unit="video",
        total=len(paths),
        disable=not show_progress,
        leave=False,
    )
    tasks: list[Task] = []
    outcomes: dict[str, Outcome] = {}
    for instance, (_, result) in zip(instances, hashes):
        if isinstance(result, str):
            tasks.append(Task(instance=instance, sha256=result))
        else:
            undecoded = Undecoded.of(result)
            outcomes[instance.video_id] = failure(instance, undecoded, stage="read")
    return tasks, outcomes


def _leaks(
    tasks: Sequence[Task], duplicates: Mapping[str, tuple[str, ...]]
) -> dict[str, Outcome]:
    """Leaves out of train what val or test shows too."""
    splits = {task.instance.video_id: task.instance.split for task in tasks}
    outcomes: dict[str, Outcome] = {}
    for task in tasks:
        video_id = task.instance.video_id
        others = [o for o in duplicates.get(video_id, ()) if splits[o] != "train"]
        if task.instance.split == "train" and others:
            outcomes[video_id] = left_out(task, others)
    return outcomes


# Shards that are finished and wait to be sent, with one that is written.
MAX_UNSENT = 3


def check_space(plan: FolderPlan, *, sends_shards: bool = False) -> None:
    """Checks that what is to be written fits on the disk.

    Args:
        plan: The plan.
        sends_shards: Whether the shards leave this disk when they are finished.

    Raises:
        OutputError: If it does not.
    """
    if sends_shards:
        most = (MAX_UNSENT + 1) * 2 * plan.options.shard_mib * 2**20
        if min(plan.bytes_to_write, most) > plan.free_bytes:
            raise OutputError(
                f"{plan.out} needs {size_text(most)} for shards on their way, and "
                f"{size_text(plan.free_bytes)} are free; choose another disk by TMPDIR"
            )
        return
    if plan.bytes_to_write > plan.free_bytes:
        is_smallest = plan.options.codec == SMALLEST_CODEC
        smaller = "" if is_smallest else f", or --codec {SMALLEST_CODEC}"
        raise OutputError(
            f"{plan.out} needs {size_text(plan.bytes_to_write)}, and "
            f"{size_text(plan.free_bytes)} are free; free some space, "
            f"choose another --out{smaller}"
        )

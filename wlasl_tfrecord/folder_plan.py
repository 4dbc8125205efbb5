"""The plan of a run: what a shard folder will hold, and what of it is there already."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from wlasl_tfrecord import index
from wlasl_tfrecord.contents import sha256_of
from wlasl_tfrecord.errors import OutputError, ShardFolderError, VideoError
from wlasl_tfrecord.instances import Instance, Manifest
from wlasl_tfrecord.outcomes import (
    Outcome,
    decoding_failure,
    find_duplicates,
    left_out,
    missing,
    unusable,
)
from wlasl_tfrecord.plan import (
    PlannedShard,
    ShardOptions,
    Task,
    plan_shards,
    record_bytes,
)
from wlasl_tfrecord.report import REPORT_FILE
from wlasl_tfrecord.shard_files import (
    Record,
    WrittenShard,
    is_intact,
    load_state,
    state_name,
)

__all__ = ["WORK_DIR", "FolderPlan", "plan_folder"]

# Inside the folder of shards, so that renaming a finished file moves no bytes.
WORK_DIR = ".shard-work"


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
    is_finished: bool
    free_bytes: int

    @property
    def unwritten(self) -> tuple[PlannedShard, ...]:
        """The shards that are to be written."""
        return tuple(shard for shard in self.shards if shard.name not in self.finished)

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
    overwrite: bool = False,
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
        overwrite: Count nothing of a finished folder as there.
        show_progress: Show a bar on stderr.

    Raises:
        OutputError: If the folder was written with other options, and `overwrite` is
            not set.
    """
    root = os.fspath(out)
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
    for instance, result in _digests(present, show_progress):
        if isinstance(result, str):
            tasks.append(Task(instance=instance, sha256=result))
        else:
            outcomes[instance.video_id] = decoding_failure(
                instance, str(result), stage="read"
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
    is_finished, finished = False, {}
    if os.path.isdir(root):
        is_finished, finished = _finished_shards(root, shards, options, overwrite)
    return FolderPlan(
        out=root,
        options=options,
        glosses=manifest.glosses,
        instances=manifest.instances,
        outcomes=outcomes,
        duplicates=duplicates,
        shards=shards,
        finished=finished,
        is_finished=is_finished,
        free_bytes=_free_bytes(root),
    )


def _digests(
    instances: list[Instance], show_progress: bool
) -> Iterable[tuple[Instance, str | Exception]]:
    """Reads every video once, several at a time: disks and SHA-256 both like that."""

    def digest(instance: Instance) -> str | Exception:
        assert instance.path is not None
        try:
            return sha256_of(instance.path)
        except VideoError as error:
            return error
        except OSError as error:
            return VideoError(f"unreadable: {error.strerror or error}")

    with ThreadPoolExecutor(max_workers=8) as pool:
        results = pool.map(digest, instances)
        yield from zip(
            instances,
            tqdm(
                results,
                desc="reading",
                unit="video",
                total=len(instances),
                disable=not show_progress,
                leave=False,
            ),
        )


def _finished_shards(
    root: str,
    planned: tuple[PlannedShard, ...],
    options: ShardOptions,
    overwrite: bool,
) -> tuple[bool, dict[str, WrittenShard]]:
    """Finds the shards of a plan that an earlier run has finished."""
    known: dict[str, WrittenShard] = {}
    is_finished = os.path.exists(os.path.join(root, index.INDEX_FILE))
    if is_finished and not overwrite:
        known = _previous_shards(root, options)
    work_dir = os.path.join(root, WORK_DIR)
    finished: dict[str, WrittenShard] = {}
    for shard in planned:
        # An interrupted run's own note comes first: it is newer.
        noted = load_state(os.path.join(work_dir, state_name(shard.name)))
        for state in (noted, known.get(shard.name)):
            if (
                state is not None
                and state.fingerprint == shard.fingerprint
                and any(
                    is_intact(os.path.join(directory, shard.name), state)
                    for directory in (work_dir, root)
                )
            ):
                finished[shard.name] = state
                break
    return is_finished, finished


def _previous_shards(root: str, options: ShardOptions) -> dict[str, WrittenShard]:
    """Reads what a finished folder says of its shards.

    Raises:
        OutputError: If it was written with other options, or does not say with which.
    """
    try:
        report = json.loads(index.read_bytes(os.path.join(root, REPORT_FILE)))
        _check_options(root, report["options"], options)
        folder = index.load_folder(root, check_shards=False)
        instances = {
            (values["split"], values["video_id"]): values
            for values in report["instances"]
        }
        shards: dict[str, WrittenShard] = {}
        for split in folder.splits:
            failures = {
                video_id: values["reason"]
                for (of_split, video_id), values in instances.items()
                if of_split == split and values.get("stage") == "decode"
            }
            records = _records_by_shard(folder, split, instances)
            for number, shard in enumerate(folder.shards[split]):
                shards[shard.name] = WrittenShard(
                    name=shard.name,
                    fingerprint=report["shards"][shard.name],
                    num_bytes=shard.num_bytes,
                    records=tuple(records[number]),
                    failures=failures,
                )
        return shards
    except (OSError, ShardFolderError, KeyError, ValueError, TypeError) as error:
        raise OutputError(
            f"{root} holds shards, but cannot be continued ({error}); write it anew "
            "with --overwrite, or choose another --out"
        ) from error


def _records_by_shard(
    folder: index.ShardFolder,
    split: str,
    instances: Mapping[tuple[str, str], Mapping[str, Any]],
) -> list[list[Record]]:
    """Joins the table of records of a split with the report."""
    table = index.load_records(folder, split)
    by_shard: list[list[Record]] = [[] for _ in folder.shards[split]]
    for n, video_id in enumerate(table.video_ids):
        values = instances[split, video_id]
        by_shard[int(table.shard_indices[n])].append(
            Record(
                offset=int(table.offsets[n]),
                num_bytes=int(table.num_bytes[n]),
                crc=int(table.crcs[n]),
                label=int(table.labels[n]),
                video_id=video_id,
                signer_id=int(table.signer_ids[n]),
                num_distinct_frames=int(table.num_distinct_frames[n]),
                range_rule=values["range_rule"],
                num_video_frames=values["num_video_frames"],
            )
        )
    return by_shard


def _check_options(root: str, before: Mapping[str, Any], options: ShardOptions) -> None:
    """Refuses to continue a folder with other options.

    Raises:
        OutputError: If one differs; it is named.
    """
    now = options.to_dict()
    changed = [
        f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    if changed:
        raise OutputError(
            f"{root} was written with other options: {', '.join(changed)}; use the "
            "same, write it anew with --overwrite, or choose another --out"
        )


def _free_bytes(root: str) -> int:
    """Gives the free space where a folder lies, or will lie."""
    path = os.path.abspath(root)
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free

"""Resuming: the shards of a plan that earlier runs have finished."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wlasl_tfrecord.decoder_pool.jobs import Undecoded
from wlasl_tfrecord.errors import OutputError, ShardFolderError
from wlasl_tfrecord.files import read_json
from wlasl_tfrecord.shard_format import layout, shard_folder
from wlasl_tfrecord.shard_format.clips import ClipFacts
from wlasl_tfrecord.shard_format.layout import REPORT_FILE
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding.output_folder import WORK_DIR, unfinished_options
from wlasl_tfrecord.sharding.plan import PlannedShard
from wlasl_tfrecord.sharding.written_shard import (
    WrittenClip,
    WrittenShard,
    describes,
    is_intact,
    load_state,
    state_name,
)
from wlasl_tfrecord.text import reason_of, shown

__all__ = ["FinishedShards", "finished_shards", "known_shards"]


@dataclass(frozen=True, kw_only=True)
class FinishedShards:
    """The shards of a plan that are there already.

    Attributes:
        shards: Name -> shard, for those that are there and whole.
        work_files: The files of the working folder that they need: shards that are not
            in their places yet, and notes that nothing else says.
    """

    shards: Mapping[str, WrittenShard]
    work_files: frozenset[str]


def known_shards(
    root: str, options: ShardOptions, *, overwrite: bool
) -> dict[str, WrittenShard]:
    """Reads what a finished folder says of its shards.

    Args:
        root: The folder, which need not exist.
        options: What decides the bytes.
        overwrite: Whether to write it again, whatever it holds.

    Returns:
        Name -> shard; none if the folder is not finished, or `overwrite` is set.

    Raises:
        OutputError: If the folder, or what an interrupted run has finished of it, was
            written with other options; they are named. Or if it does not say with
            which.
    """
    if overwrite:
        return {}
    is_finished = os.path.exists(os.path.join(root, layout.INDEX_FILE))
    _refuse_other_options(
        unfinished_options(root) or {},
        options,
        # One that others share may still be at work.
        f"{root} holds the work of an unfinished run with other options",
        f"use the same with --overwrite, or delete {os.path.join(root, WORK_DIR)}"
        if is_finished
        else "use the same, choose another --out, or, if it no longer runs, drop that "
        "work with --overwrite",
    )
    return _previous_shards(root, options) if is_finished else {}


def finished_shards(
    root: str,
    planned: Sequence[PlannedShard],
    known: Mapping[str, WrittenShard],
    *,
    retry: bool,
) -> FinishedShards:
    """Finds the shards of a plan that an earlier run has finished.

    A shard in which a video changed while it was written does not count: the video
    that was planned was not tried.

    Args:
        root: The folder.
        planned: All shards that it will have.
        known: What the folder itself says of its shards; see `known_shards`.
        retry: Leave out shards in which a video failed in a way that need not repeat
            itself.
    """
    again = {"changed", *(_UNLUCKY if retry else ())}
    work_dir = os.path.join(root, WORK_DIR)
    finished: dict[str, WrittenShard] = {}
    work_files: set[str] = set()
    for shard in planned:
        note = state_name(shard.name)
        # An interrupted run's own note comes first: it is newer.
        noted = load_state(os.path.join(work_dir, note))
        for state in filter(None, (noted, known.get(shard.name))):
            files = {note} if state is noted else set[str]()
            state = _only_of(state, shard)
            if not describes(state, shard):
                continue
            # The place first: then one of the same name in the working folder, of
            # another plan perhaps, is not what replaces it.
            in_place = is_intact(os.path.join(root, shard.name), state)
            is_whole = in_place or is_intact(os.path.join(work_dir, shard.name), state)
            if is_whole and not _kinds(state) & again:
                finished[shard.name] = state
                work_files |= files if in_place else {*files, shard.name}
                break
    return FinishedShards(shards=finished, work_files=frozenset(work_files))


def _only_of(state: WrittenShard, planned: PlannedShard) -> WrittenShard:
    """Keeps, of the failures of a whole folder, those of one shard."""
    ids = {task.instance.video_id for task in planned.tasks}
    failures = {name: why for name, why in state.failures.items() if name in ids}
    return dataclasses.replace(state, failures=failures)


# These may succeed with other limits, or on another machine.
_UNLUCKY = ("timeout", "crash", "out of memory")


def _kinds(shard: WrittenShard) -> set[str]:
    """Returns how videos of a shard failed."""
    return {undecoded.kind for undecoded in shard.failures.values()}


def _previous_shards(root: str, options: ShardOptions) -> dict[str, WrittenShard]:
    """Reads what a finished folder says of its shards.

    Raises:
        OutputError: If it was written with other options, or does not say with which.
    """
    try:
        report = read_json(os.path.join(root, REPORT_FILE))
        _refuse_other_options(
            report["options"],
            options,
            f"{root} was written with other options",
            "use the same, write it again with --overwrite, or choose another --out",
        )
        folder = shard_folder.load_folder(root, check_shards=False)
        instances = {
            (values["split"], values["video_id"]): values
            for values in report["instances"]
        }
        failures = {
            video_id: Undecoded(kind=values["outcome"], reason=values["reason"])
            for (_, video_id), values in instances.items()
            if values.get("stage") == "decode"
        }
        shards: dict[str, WrittenShard] = {}
        for split in folder.splits:
            clips = _clips_by_shard(folder, split, instances)
            for number, shard in enumerate(folder.shards[split]):
                shards[shard.name] = WrittenShard(
                    name=shard.name,
                    fingerprint=report["shards"][shard.name],
                    num_bytes=shard.num_bytes,
                    clips=tuple(clips[number]),
                    # Those of the whole folder; `_only_of` keeps this shard's.
                    failures=failures,
                )
        for name in set(report["shards"]) - set(shards):
            # Of a split in which no video could be decoded no file remains.
            shards[name] = WrittenShard(
                name=name,
                fingerprint=report["shards"][name],
                num_bytes=0,
                clips=(),
                failures=failures,
            )
        return shards
    except (OSError, ShardFolderError, *_DAMAGE) as error:
        # The rest of the message tells a reader of the folder to run bin/shard.
        wrong = reason_of(error).partition("; run bin/shard")[0]
        raise OutputError(
            f"{root} holds shards, but cannot be continued ({wrong}); write it "
            "again with --overwrite, or choose another --out"
        ) from error


# What a file of the wrong form leads to.
_DAMAGE = (KeyError, ValueError, TypeError, AttributeError, IndexError)


def _clips_by_shard(
    folder: shard_folder.ShardFolder,
    split: str,
    instances: Mapping[tuple[str, str], Mapping[str, Any]],
) -> list[list[WrittenClip]]:
    """Joins the table of records of a split with the report."""
    table = shard_folder.load_records(folder, split)
    by_shard: list[list[WrittenClip]] = [[] for _ in folder.shards[split]]
    for n, video_id in enumerate(table.video_ids):
        by_shard[int(table.shard_indices[n])].append(
            WrittenClip(
                video_id=video_id,
                offset=int(table.offsets[n]),
                num_bytes=int(table.num_bytes[n]),
                crc=int(table.crcs[n]),
                facts=ClipFacts.from_json(instances[split, video_id]),
            )
        )
    return by_shard


def _refuse_other_options(
    before: Mapping[str, Any], options: ShardOptions, what: str, way_out: str
) -> None:
    """Refuses to continue with other options than before.

    Raises:
        OutputError: If one differs; it is named, with both values.
    """
    now = options.to_dict()
    if before:
        # Named only where there are some.
        before, now = {"landmarks": None, **before}, {"landmarks": None, **now}
    # What only one of them names follows from the codec, which is named itself.
    changed = ", ".join(
        f"{name} was {shown(before[name])} and is {now[name]!r}"
        for name in now
        if name in before and before[name] != now[name]
    )
    if changed:
        raise OutputError(f"{what}: {changed}; {way_out}")

"""What a finished folder holds besides its shards: index, tables, metadata, report."""

import os
from collections.abc import Mapping, Sequence

from wlasl_tfrecord.files import read_bytes
from wlasl_tfrecord.shard_format import clip_proto, shard_folder
from wlasl_tfrecord.shard_format.folder_files import folder_files
from wlasl_tfrecord.sharding.plan import PlannedShard
from wlasl_tfrecord.sharding.report import ShardReport, report_files
from wlasl_tfrecord.sharding.run_plan import FolderPlan
from wlasl_tfrecord.sharding.written_shard import WrittenShard, merge_records

__all__ = ["all_files", "is_complete", "splits_with_clips"]


def is_complete(
    plan: FolderPlan, written: Mapping[str, WrittenShard], report: ShardReport
) -> bool:
    """Whether an earlier run has left all there is to write, and finished it."""
    return (
        plan.is_finished
        and not plan.unwritten
        and _are_there(plan.out, all_files(plan, written, report))
    )


def all_files(
    plan: FolderPlan, written: Mapping[str, WrittenShard], report: ShardReport
) -> dict[str, bytes]:
    """Returns the content of all files besides the shards, by name."""
    by_split = splits_with_clips(plan, written)
    # A folder without any clip has a report, and nothing that a reader could mistake.
    files = _folder_files(plan, by_split, written) if by_split else {}
    return {**files, **report_files(report)}


def splits_with_clips(
    plan: FolderPlan, written: Mapping[str, WrittenShard]
) -> dict[str, list[PlannedShard]]:
    """Returns the shards by split; one of which no video was decoded is no split."""
    by_split: dict[str, list[PlannedShard]] = {}
    for shard in plan.shards:
        by_split.setdefault(shard.split, []).append(shard)
    return {
        split: shards
        for split, shards in by_split.items()
        if any(written[shard.name].clips for shard in shards)
    }


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
        has_landmarks=options.landmark_models is not None,
    )
    records = {
        split: merge_records(shards, written) for split, shards in by_split.items()
    }
    features = clip_proto.tfds_features(
        options.clip,
        options.codec,
        len(plan.glosses),
        has_landmarks=folder.has_landmarks,
    )
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

"""Shard folders: the small files, and what interrupted runs leave."""

import hashlib
import json
from pathlib import Path

import numpy as np

from benchmarks.fuzz_kinds.changes import changed_json, changed_table
from benchmarks.fuzz_kinds.kind import Change, Kind
from wlasl_tfrecord.errors import WlaslError

__all__ = ["KINDS"]


def shard_kind(directory: Path, name: str, change: Change) -> Kind:
    """A small file of a shard folder, for readers, inspection and the next run."""
    from drawn_shards import write_folder

    from wlasl_tfrecord.evaluation.groups import groups_of
    from wlasl_tfrecord.inspection.summary import summarize, summary_text
    from wlasl_tfrecord.inspection.verify_files import verify_files
    from wlasl_tfrecord.shard_format.clips import ClipSpec
    from wlasl_tfrecord.shard_format.shard_folder import load_folder, load_records
    from wlasl_tfrecord.shard_format.shard_options import ShardOptions
    from wlasl_tfrecord.sharding.output_folder import check_output_folder
    from wlasl_tfrecord.sharding.resume import known_shards

    root = write_folder(directory / "shards")
    options = ShardOptions(clip=ClipSpec(num_frames=5, height=16, width=24))
    whole = load_folder(root)
    clips = [
        {
            "video_id": video_id,
            "split": split,
            "sha256": f"{n:064x}",
            "outcome": "written",
            "range_rule": "whole",
            "num_video_frames": 9,
            "num_distinct_frames": 5,
        }
        for split in whole.splits
        for n, video_id in enumerate(load_records(whole, split).video_ids)
    ]
    failed = {
        "video_id": "x",
        "split": "val",
        "outcome": "timeout",
        "reason": "y",
        "stage": "decode",
    }
    report = {
        "format_version": "1.0.0",
        "options": options.to_dict(),
        "shards": {shard.name: "0" for s in whole.splits for shard in whole.shards[s]},
        "instances": [*clips, failed],
    }
    (root / "report.json").write_text(json.dumps(report))
    content = (root / name).read_bytes()
    index = (root / "index.json").read_text()
    old_sha256 = hashlib.sha256(content).hexdigest()

    def read_all() -> None:
        folder = load_folder(root)
        for split in folder.splits:
            records = load_records(folder, split)
            # What a reader relies on without a look.
            assert all(folder.glosses[label] for label in records.labels)
            assert (records.offsets >= 0).all()
            groups_of(folder, split, np.arange(len(records)))
        verify_files(folder)
        summary_text(summarize(folder))

    def read(forged: bytes) -> None:
        (root / name).write_bytes(forged)
        if name.endswith(".csv"):
            # As whoever forges a table would do.
            new_sha256 = hashlib.sha256(forged).hexdigest()
            (root / "index.json").write_text(index.replace(old_sha256, new_sha256))
        check_output_folder(str(root))
        try:
            read_all()
        finally:
            known_shards(str(root), options, overwrite=False)

    return Kind(content=content, change=change, read=read)


def work_kind(directory: Path) -> Kind:
    """The note of an interrupted run about a finished shard."""
    from wlasl_tfrecord.shard_format.clips import ClipFacts
    from wlasl_tfrecord.sharding.written_shard import (
        WrittenClip,
        WrittenShard,
        is_intact,
        load_state,
        save_state,
    )

    path = directory / "state.json"
    facts = ClipFacts(range_rule="whole", num_video_frames=9, num_distinct_frames=5)
    clip = WrittenClip(video_id="1", offset=0, num_bytes=9, crc=1, facts=facts)
    shard = WrittenShard(name="s", fingerprint="0", num_bytes=25, clips=(clip,))
    save_state(shard, str(path))
    content = path.read_bytes()

    def read(forged: bytes) -> None:
        path.write_bytes(forged)
        state = load_state(str(path))
        if state is None:
            raise WlaslError("refused")
        (directory / "s").write_bytes(b"x" * 25)
        is_intact(str(directory / "s"), state)

    return Kind(content=content, change=changed_json, read=read)


def options_kind(directory: Path) -> Kind:
    """The options that an interrupted run has noted."""
    from wlasl_tfrecord.shard_format.clips import ClipSpec
    from wlasl_tfrecord.shard_format.shard_options import ShardOptions
    from wlasl_tfrecord.sharding.output_folder import WORK_DIR
    from wlasl_tfrecord.sharding.resume import known_shards

    options = ShardOptions(clip=ClipSpec(num_frames=5, height=16, width=24))
    work_dir = directory / WORK_DIR
    work_dir.mkdir()
    (work_dir / "s.json").write_text("{}")

    def read(forged: bytes) -> None:
        (work_dir / "options.json").write_bytes(forged)
        known_shards(str(directory), options, overwrite=False)

    content = json.dumps(options.to_dict()).encode()
    return Kind(content=content, change=changed_json, read=read)


def hashes_kind(directory: Path) -> Kind:
    """The hashes of videos that another process of a shared run has noted."""
    from wlasl_tfrecord.sharding.shared_hashes import parse_note

    del directory

    def read(forged: bytes) -> None:
        noted = parse_note(forged, 3)
        if noted is None:
            raise WlaslError("refused")
        assert all(one is None or len(one) == 64 for one in noted)

    content = json.dumps(["0" * 64, None, "f" * 64]).encode()
    return Kind(content=content, change=changed_json, read=read)


KINDS = {
    "index": lambda d: shard_kind(d, "index.json", changed_json),
    "table": lambda d: shard_kind(d, "wlasl-train.index.csv", changed_table),
    "info": lambda d: shard_kind(d, "dataset_info.json", changed_json),
    "report": lambda d: shard_kind(d, "report.json", changed_json),
    "work": work_kind,
    "work-options": options_kind,
    "hashes": hashes_kind,
}

"""The files of a shard folder besides its shards, as `bin/shard` writes them."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from wlasl_tfrecord.shard_format.landmarks import LANDMARK_GROUPS
from wlasl_tfrecord.shard_format.layout import (
    DATASET_NAME,
    FEATURES_FILE,
    FORMAT_VERSION,
    INDEX_FILE,
    INFO_FILE,
    LABELS_FILE,
    LANDMARKS_VERSION,
    SPLITS,
    record_table_file,
)
from wlasl_tfrecord.shard_format.record_table import Records, records_to_csv
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder

__all__ = ["folder_files"]


def folder_files(
    folder: ShardFolder,
    records: Mapping[str, Records],
    tfds_features: Mapping[str, Any] | None,
) -> dict[str, bytes]:
    """Returns every file of a shard folder that is not a shard, by name.

    Besides our own index these are the files by which `tfds.builder_from_directory`
    knows the folder, so that it needs no code of ours.

    Args:
        folder: What the folder holds; its `table_sha256` is computed here.
        records: The table of records of each split.
        tfds_features: What `clip_proto.tfds_features` says of the records; None if
            TFDS has no words for them (a SequenceExample).

    Returns:
        Name -> bytes; the same for the same arguments. Write `index.json` last: a
        folder without it is not finished.
    """
    tables = {
        split: records_to_csv(records[split]) for split in SPLITS if split in records
    }
    index = {
        "clip": dataclasses.asdict(folder.clip),
        "codec": folder.codec,
        "framing": folder.framing,
        **({"landmarks": dict(LANDMARK_GROUPS)} if folder.has_landmarks else {}),
        "options": dict(folder.options),
        "glosses": list(folder.glosses),
        "splits": {
            split: {
                "num_clips": len(records[split]),
                "index_sha256": hashlib.sha256(tables[split]).hexdigest(),
                "shards": [dataclasses.asdict(shard) for shard in folder.shards[split]],
            }
            for split in folder.splits
        },
    }
    files = {record_table_file(split): table for split, table in tables.items()}
    files[LABELS_FILE] = "".join(f"{gloss}\n" for gloss in folder.glosses).encode()
    files[INFO_FILE] = _json_bytes(_dataset_info(folder))
    if tfds_features is not None:
        files[FEATURES_FILE] = _json_bytes(tfds_features)
    files[INDEX_FILE] = _json_bytes(index)
    return files


def _dataset_info(folder: ShardFolder) -> dict[str, Any]:
    """Writes what TFDS wants to know, in the JSON form of its DatasetInfo message."""
    return {
        "name": DATASET_NAME,
        "version": LANDMARKS_VERSION if folder.has_landmarks else FORMAT_VERSION,
        "description": "Sign-language clips in the shard format of wlasl_tfrecord.",
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": split,
                "shardLengths": [str(s.num_records) for s in folder.shards[split]],
                "numBytes": str(sum(s.num_bytes for s in folder.shards[split])),
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
            for split in folder.splits
        ],
    }


def _json_bytes(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()

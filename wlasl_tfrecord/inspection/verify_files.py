"""Checks the files of a shard folder against each other; opens no shard."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from wlasl_tfrecord.shard_format import clip_proto, layout
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.storage.contents import file_sizes, read_bytes, read_json
from wlasl_tfrecord.storage.urls import is_object_url, join_path

__all__ = [
    "Damage",
    "verify_files",
]


@dataclass(frozen=True, kw_only=True)
class Damage:
    """One thing that is wrong with a shard folder.

    Attributes:
        file: The name of the file, inside the folder.
        reason: What is wrong with it.
        record: Which record of the file, counted from 0; None if it is not one record.
        video_id: What the index calls that record; None if it is not one record.
    """

    file: str
    reason: str
    record: int | None = None
    video_id: str | None = None

    def __str__(self) -> str:
        """Writes the damage on one line."""
        if self.record is None:
            return f"{self.file}: {self.reason}"
        return f"{self.file}: record {self.record} ({self.video_id}): {self.reason}"


def verify_files(folder: ShardFolder) -> list[Damage]:
    """Checks the files of a folder against each other, without opening a shard.

    Args:
        folder: What `load_folder(…, check_shards=False)` returned.

    Returns:
        What is wrong; empty if nothing is.
    """
    damage: list[Damage] = []
    expected = {shard.name for shards in folder.shards.values() for shard in shards}
    if is_object_url(folder.directory):
        present = set(file_sizes(folder.directory) or ())
    else:
        names = tf.io.gfile.listdir(folder.directory)
        present = {name.rstrip("/") for name in names}
    stray = sorted(
        name
        for name in present - expected
        if name.startswith(f"{layout.DATASET_NAME}-") and ".tfrecord" in name
    )
    damage += [Damage(file=name, reason="no split names this file") for name in stray]
    damage += _verify_info(folder)
    labels = "".join(f"{gloss}\n" for gloss in folder.glosses)
    damage += _verify_text(folder, layout.LABELS_FILE, labels, "the index's glosses")
    features = clip_proto.tfds_features(
        folder.clip,
        folder.codec,
        folder.num_classes,
        has_landmarks=folder.has_landmarks,
    )
    if features is None and layout.FEATURES_FILE in present:
        reason = f"TFDS cannot read {folder.codec} records, this says it can"
        damage.append(Damage(file=layout.FEATURES_FILE, reason=reason))
    elif features is not None:
        damage += _verify_json(
            folder, layout.FEATURES_FILE, features, "the records of this format"
        )
    return damage


def _verify_info(folder: ShardFolder) -> Iterator[Damage]:
    """Checks the numbers that TFDS relies on."""
    try:
        path = join_path(folder.directory, layout.INFO_FILE)
        splits = {str(s["name"]): s for s in read_json(path)["splits"]}
        told = {
            split: (
                [int(number) for number in value["shardLengths"]],
                int(value["numBytes"]),
            )
            for split, value in splits.items()
        }
    except (OSError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        reason = f"it is damaged ({type(error).__name__}: {error})"
        yield Damage(file=layout.INFO_FILE, reason=reason)
        return
    if set(told) != set(folder.splits):
        reason = f"it has the splits {sorted(told)}, the index {list(folder.splits)}"
        yield Damage(file=layout.INFO_FILE, reason=reason)
        return
    for split in folder.splits:
        lengths = [shard.num_records for shard in folder.shards[split]]
        num_bytes = sum(shard.num_bytes for shard in folder.shards[split])
        if told[split] != (lengths, num_bytes):
            reason = f"its numbers of {split} are not those of {layout.INDEX_FILE}"
            yield Damage(file=layout.INFO_FILE, reason=reason)


def _verify_text(
    folder: ShardFolder, name: str, expected: str, what: str
) -> Iterator[Damage]:
    try:
        content = read_bytes(join_path(folder.directory, name))
    except OSError as error:
        yield Damage(file=name, reason=f"cannot be read: {error}")
        return
    if content != expected.encode():
        yield Damage(file=name, reason=f"it does not say {what}")


def _verify_json(
    folder: ShardFolder, name: str, expected: Mapping[str, Any], what: str
) -> Iterator[Damage]:
    try:
        content = read_json(join_path(folder.directory, name))
    except (OSError, ValueError) as error:
        yield Damage(file=name, reason=f"cannot be read: {error}")
        return
    if content != expected:
        yield Damage(file=name, reason=f"it does not describe {what}")

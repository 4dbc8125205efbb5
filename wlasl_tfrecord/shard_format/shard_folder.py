"""The shard folder: its names, what it says of itself, and where each record lies.

The two sides of the library meet in this folder. It is described for
writers of other readers in docs/shard-format.md. Plain JSON and CSV, so that no
TensorFlow is needed to ask what a folder holds.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wlasl_tfrecord.errors import ShardFolderError
from wlasl_tfrecord.files import file_sizes, join_path, read_bytes
from wlasl_tfrecord.shard_format.clips import FRAMINGS, ClipSpec, Framing
from wlasl_tfrecord.shard_format.codecs import CODECS, Codec
from wlasl_tfrecord.shard_format.layout import (
    FORMAT_VERSION,
    INDEX_FILE,
    INFO_FILE,
    SPLITS,
    records_file,
)
from wlasl_tfrecord.shard_format.record_table import Records, records_from_csv

__all__ = [
    "Shard",
    "ShardFolder",
    "glosses_without",
    "load_folder",
    "load_records",
]


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One file of records.

    Attributes:
        name: File name inside the folder.
        num_bytes: Size of the file.
        num_records: Clips in it.
    """

    name: str
    num_bytes: int
    num_records: int


@dataclass(frozen=True, kw_only=True)
class ShardFolder:
    """What a shard folder holds, readable without TensorFlow.

    Attributes:
        directory: Where it lies: a local path, or a URL that `tf.io.gfile` opens.
        clip: The shape of every clip.
        codec: How frames are stored.
        framing: How frames were made to fit.
        glosses: The words, by label.
        shards: The files of each split that has clips.
        options: What else `bin/shard` was told (seed, jpeg quality, subset …).
        index_sha256: By split, the digest of its table of records.

    Raises:
        ValueError: If a codec, framing or split is not one of the known ones.
    """

    directory: str
    clip: ClipSpec
    codec: Codec
    framing: Framing
    glosses: tuple[str, ...]
    shards: Mapping[str, tuple[Shard, ...]]
    options: Mapping[str, Any] = field(default_factory=dict)
    index_sha256: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject what no reader of this release knows."""
        for name, value, known in (
            ("codec", self.codec, CODECS),
            ("framing", self.framing, FRAMINGS),
            *(("split", split, SPLITS) for split in self.shards),
        ):
            if value not in known:
                raise ValueError(f"no {name} {value!r}; known: {', '.join(known)}")

    def __repr__(self) -> str:
        """One line: a notebook would show thousands of glosses and shards."""
        num_frames, height, width, _ = self.clip.shape
        counts = ", ".join(f"{self.num_clips(split)} {split}" for split in self.splits)
        return (
            f"<ShardFolder {self.directory}: {self.num_classes} glosses, {counts} "
            f"clips of {num_frames} frames, {width} x {height}, {self.codec}, "
            f"{self.framing}>"
        )

    @property
    def num_classes(self) -> int:
        """How many glosses there are."""
        return len(self.glosses)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have clips, in the order train, val, test."""
        return tuple(split for split in SPLITS if split in self.shards)

    def num_clips(self, split: str) -> int:
        """Counts the clips of a split.

        Raises:
            ShardFolderError: If the folder has no such split.
        """
        return sum(shard.num_records for shard in self.split_shards(split))

    def split_shards(self, split: str) -> tuple[Shard, ...]:
        """Gives the shards of a split, in order.

        Raises:
            ShardFolderError: If the folder has no such split.
        """
        if split not in self.shards:
            raise ShardFolderError(
                f"no {split!r} shards in {self.directory}; "
                f"it has {', '.join(self.splits) or 'none'}"
            )
        return self.shards[split]

    def shard_path(self, shard: Shard) -> str:
        """Gives the full path of one shard."""
        return join_path(self.directory, shard.name)


def load_folder(
    directory: str | os.PathLike[str], *, check_shards: bool = True
) -> ShardFolder:
    """Reads what a shard folder says of itself, and checks that its shards are there.

    Args:
        directory: A local folder, or a URL such as `gs://…` (then TensorFlow opens it).
        check_shards: False to leave out the last check, for one who looks closer.

    Raises:
        ShardFolderError: If the folder is missing, not a finished shard folder, of a
            newer format, or lacks a shard or has one of another size.
    """
    root = os.fspath(directory)
    try:
        found = file_sizes(root)
    except OSError as error:
        raise ShardFolderError(
            f"cannot read the shard folder {root}: {error.strerror or error}; run "
            "bin/shard first"
        ) from error
    for name in (INDEX_FILE, INFO_FILE):
        if name not in found:
            raise ShardFolderError(
                f"no shards in {root}: it has no {name}; run bin/shard first, or again "
                "if it was interrupted"
            )
    where = join_path(root, INFO_FILE)
    try:
        _check_version(str(json.loads(read_bytes(where))["version"]), root)
        where = join_path(root, INDEX_FILE)
        raw = json.loads(read_bytes(where))
        folder = ShardFolder(
            directory=root,
            clip=ClipSpec(**_known_keys(ClipSpec, raw["clip"])),
            codec=raw["codec"],
            framing=raw["framing"],
            glosses=tuple(raw["glosses"]),
            shards={
                split: tuple(
                    Shard(**_known_keys(Shard, shard)) for shard in value["shards"]
                )
                for split, value in raw["splits"].items()
            },
            options=raw["options"],
            index_sha256={
                split: value["index_sha256"] for split, value in raw["splits"].items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ShardFolderError(
            f"{where} is damaged ({type(error).__name__}: {error}); run bin/shard again"
        ) from error
    for split in folder.splits if check_shards else ():
        for shard in folder.shards[split]:
            if shard.name not in found:
                raise ShardFolderError(
                    f"{folder.shard_path(shard)} is missing; run bin/shard again, or "
                    "copy the folder again"
                )
            if found[shard.name] != shard.num_bytes:
                raise ShardFolderError(
                    f"{folder.shard_path(shard)} has {found[shard.name]} bytes, the "
                    f"index says {shard.num_bytes}; run bin/shard again, or copy it "
                    "again"
                )
    return folder


def load_records(folder: ShardFolder, split: str) -> Records:
    """Reads the table of records of one split.

    Raises:
        ShardFolderError: If the split or its table is missing, or the table is not the
            one that was written with these shards, or damaged.
    """
    num_clips = folder.num_clips(split)
    where = join_path(folder.directory, records_file(split))
    try:
        table = read_bytes(where)
    except OSError as error:
        raise ShardFolderError(
            f"cannot read {where} ({error}); run bin/shard again"
        ) from error
    if hashlib.sha256(table).hexdigest() != folder.index_sha256[split]:
        raise ShardFolderError(
            f"{where} is not the index that was written with these shards; run "
            "bin/shard again, or copy the folder again"
        )
    try:
        records = records_from_csv(table)
    except ValueError as error:
        raise ShardFolderError(
            f"{where} is damaged ({error}); run bin/shard again"
        ) from error
    if len(records) != num_clips:
        raise ShardFolderError(
            f"{where} lists {len(records)} records, {INDEX_FILE} {num_clips}; run "
            "bin/shard again"
        )
    return records


def glosses_without(glosses: Sequence[str], labels: Collection[int]) -> tuple[str, ...]:
    """Returns the glosses whose label is not among those of the clips of a split."""
    return tuple(gloss for n, gloss in enumerate(glosses) if n not in labels)


def _known_keys(kind: type, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Gives what a value takes of an object of the index.

    A newer minor version of the format may say more of it.
    """
    return {known.name: raw[known.name] for known in dataclasses.fields(kind)}


def _check_version(version: str, directory: str) -> None:
    """Refuses a folder of another major version."""
    if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise ShardFolderError(
            f"{directory} has shard format {version}, this release reads "
            f"{FORMAT_VERSION.split('.')[0]}.x; use the release that wrote it, or run "
            "bin/shard again"
        )

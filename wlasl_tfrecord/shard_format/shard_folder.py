"""The shard folder: its names, what it says of itself, and where each record lies.

The two sides of the library meet in this folder. It is described for
writers of other readers in docs/shard-format.md. Plain JSON and CSV, so that no
TensorFlow is needed to ask what a folder holds.
"""

import dataclasses
import hashlib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wlasl_tfrecord.errors import ShardFolderError
from wlasl_tfrecord.shard_format.clips import FRAMINGS, ClipSpec, Framing
from wlasl_tfrecord.shard_format.codecs import CODECS, Codec
from wlasl_tfrecord.shard_format.glosses import check_glosses
from wlasl_tfrecord.shard_format.landmarks import LANDMARK_GROUPS
from wlasl_tfrecord.shard_format.layout import (
    FORMAT_VERSION,
    INDEX_FILE,
    INFO_FILE,
    MAX_SHARDS,
    SPLITS,
    record_table_file,
    shard_name,
)
from wlasl_tfrecord.shard_format.record_table import (
    Records,
    check_records,
    records_from_csv,
)
from wlasl_tfrecord.shard_format.tfrecord import FRAME_BYTES
from wlasl_tfrecord.storage.contents import file_sizes, read_bytes, read_json
from wlasl_tfrecord.storage.object_cache import CacheConfig
from wlasl_tfrecord.storage.urls import check_url, is_object_url, is_url, join_path
from wlasl_tfrecord.text import reason_of, shown

__all__ = [
    "Shard",
    "ShardFolder",
    "check_landmarks",
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

    Raises:
        ValueError: If a file of that size cannot hold so many records.
    """

    name: str
    num_bytes: int
    num_records: int

    def __post_init__(self) -> None:
        """Reject what no file can be; an index is a file that anybody can edit."""
        for name in ("num_bytes", "num_records"):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value < 2**63:
                raise ValueError(f"{name} must be from 0 to 2**63 - 1, got {value!r}")
        is_empty = self.num_records == 0
        if self.num_records * FRAME_BYTES > self.num_bytes or (
            is_empty and self.num_bytes
        ):
            raise ValueError(
                f"{self.num_bytes} bytes cannot be {self.num_records} records"
            )


@dataclass(frozen=True, kw_only=True)
class ShardFolder:
    """What a shard folder holds, readable without TensorFlow.

    Attributes:
        directory: Where it lies: a local path, or a URL.
        clip: The shape of every clip.
        codec: How frames are stored.
        framing: How frames were made to fit.
        glosses: The words, by label.
        shards: The files of each split that has clips.
        options: What else `bin/shard` was told (seed, jpeg quality, subset …).
        table_sha256: By split, the hex SHA-256 of its table of records.
        has_landmarks: Whether its records have landmarks; see `landmarks`.
        cache: Where the shards of a URL are kept on this machine; None for nowhere.

    Raises:
        ValueError: If a value is not what docs/shard-format.md says of it.
    """

    directory: str
    clip: ClipSpec
    codec: Codec
    framing: Framing
    glosses: tuple[str, ...]
    shards: Mapping[str, tuple[Shard, ...]]
    options: Mapping[str, Any] = field(default_factory=dict)
    table_sha256: Mapping[str, str] = field(default_factory=dict)
    has_landmarks: bool = False
    cache: CacheConfig | None = None

    def __post_init__(self) -> None:
        """Reject what no reader of this release knows; readers check nothing again."""
        for name, value, known in (
            ("codec", self.codec, CODECS),
            ("framing", self.framing, FRAMINGS),
            *(("split", split, SPLITS) for split in self.shards),
        ):
            if value not in known:
                raise ValueError(f"no {name} {value!r}; known: {', '.join(known)}")
        check_glosses(self.glosses)
        if len(set(self.glosses)) < len(self.glosses):
            raise ValueError("a gloss occurs twice")
        for split, shards in self.shards.items():
            if len(shards) > MAX_SHARDS:
                raise ValueError(
                    f"at most {MAX_SHARDS:,} {split} shards are possible, got "
                    f"{len(shards):,}"
                )
            for k, shard in enumerate(shards):
                expected = shard_name(split, k, len(shards))
                if shard.name != expected:
                    raise ValueError(f"shard {expected} is named {shard.name!r}")
        for sha256 in self.table_sha256.values():
            if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
                raise ValueError(f"index_sha256 must be a SHA-256, got {sha256!r}")

    def __repr__(self) -> str:
        """One line: a notebook would show thousands of glosses and shards."""
        num_frames, height, width, _ = self.clip.shape
        counts = ", ".join(f"{self.num_clips(split)} {split}" for split in self.splits)
        return (
            f"<ShardFolder {self.directory}: {self.num_classes} glosses, {counts} "
            f"clips of {num_frames} frames, {width} x {height}, {self.codec}, "
            f"{self.framing}{', landmarks' if self.has_landmarks else ''}>"
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
        """Returns the shards of a split, in order.

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
        """Returns the full path of one shard."""
        return join_path(self.directory, shard.name)


def check_landmarks(folder: ShardFolder) -> None:
    """Refuses a folder without landmarks.

    Raises:
        ShardFolderError: If it has none.
    """
    if not folder.has_landmarks:
        raise ShardFolderError(
            f"{folder.directory} has no landmarks; run bin/shard --landmarks"
        )


def load_folder(
    directory: str | os.PathLike[str],
    *,
    check_shards: bool = True,
    allow_links: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
    cache_gib: float = CacheConfig.max_gib,
) -> ShardFolder:
    """Reads the index of a shard folder, and checks that its shards are there.

    A folder may be received from others, so all that its index says is checked here,
    once: types, ranges, names.

    Args:
        directory: A local folder, or a URL: s3://, gs://, az://, https://, or what else
            TensorFlow opens.
        check_shards: False to leave out the existence and the sizes of shards, for
            `bin/inspect --verify` and for readers that tolerate damage.
        allow_links: Accept files of the folder that are links to other folders, as some
            caches of downloads make them.
        cache_dir: Where the shards of a URL are kept whole when they are read; by
            default nowhere. Processes of a machine may share it.
        cache_gib: How much it may hold, in GiB; the shards that were not used for the
            longest time are removed.

    Raises:
        ShardFolderError: If the folder is missing, not a finished shard folder, of a
            newer format, or lacks a shard or has one of another size.
        StoreError: If the object store of a URL cannot be used, or a URL has a secret
            in it.
        ValueError: If `cache_gib` is not above 0.
    """
    root = os.fspath(directory)
    if is_url(root):
        check_url(root)
    cache = None
    if cache_dir is not None and is_object_url(root):
        cache = CacheConfig(directory=os.path.abspath(cache_dir), max_gib=cache_gib)
    try:
        found = file_sizes(root)
    except OSError as error:
        raise _unreadable(root, error) from error
    for name in (INDEX_FILE, INFO_FILE):
        if found is not None and name not in found:
            raise _unfinished(root, name)
    if not allow_links:
        _refuse_links(root, (INDEX_FILE, INFO_FILE))
    where = join_path(root, INFO_FILE)
    try:
        _check_version(str(read_json(where)["version"]), root)
        where = join_path(root, INDEX_FILE)
        folder = _folder_from_json(root, read_json(where))
        folder = dataclasses.replace(folder, cache=cache)
    except FileNotFoundError as error:
        raise _unfinished(root, os.path.basename(where)) from error
    except OSError as error:
        raise _unreadable(root, error) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ShardFolderError(
            f"{where} is damaged ({type(error).__name__}: {reason_of(error)}); run "
            "bin/shard again"
        ) from error
    shards = [shard for split in folder.splits for shard in folder.shards[split]]
    if not allow_links:
        tables = [record_table_file(split) for split in folder.splits]
        _refuse_links(root, (*tables, *(shard.name for shard in shards)))
    # Where nothing can be listed, `ShardReader` finds out.
    if check_shards and found is not None:
        _check_sizes(folder, found)
    return folder


def _check_sizes(folder: ShardFolder, found: Mapping[str, int]) -> None:
    """Compares the files that were found with the index: their bytes by name."""
    for split in folder.splits:
        for shard in folder.shards[split]:
            path = folder.shard_path(shard)
            if shard.name not in found:
                raise ShardFolderError(
                    f"{path} is missing; run bin/shard again, or copy the folder again"
                )
            if found[shard.name] != shard.num_bytes:
                raise ShardFolderError(
                    f"{path} has {found[shard.name]} bytes, the index says "
                    f"{shard.num_bytes}; run bin/shard again, or copy it again"
                )


def _unreadable(directory: str, error: OSError) -> ShardFolderError:
    way_out = "run bin/shard first"
    if is_url(directory) and not isinstance(error, FileNotFoundError):
        way_out = "check the URL, the network and the credentials"
    reason = error.strerror or error
    return ShardFolderError(
        f"cannot read the shard folder {directory}: {reason}; {way_out}"
    )


def _unfinished(directory: str, name: str) -> ShardFolderError:
    return ShardFolderError(
        f"no shards in {directory}: it has no {name}; run bin/shard first, or again if "
        "it was interrupted"
    )


def _folder_from_json(directory: str, raw: Any) -> ShardFolder:
    """Makes a folder of the content of its index.json."""
    if not isinstance(raw["glosses"], list) or not isinstance(raw["options"], dict):
        raise TypeError("glosses must be a list, options an object")
    landmarks = raw.get("landmarks")
    if landmarks not in (None, LANDMARK_GROUPS):
        raise ValueError(
            f"landmarks must be {dict(LANDMARK_GROUPS)}, got {shown(landmarks)}"
        )
    folder = ShardFolder(
        directory=directory,
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
        table_sha256={
            split: value["index_sha256"] for split, value in raw["splits"].items()
        },
        has_landmarks=landmarks is not None,
    )
    for split, value in raw["splits"].items():
        if value["num_clips"] != folder.num_clips(split):
            raise ValueError(
                f"num_clips of {split} is {value['num_clips']!r}, its shards have "
                f"{folder.num_clips(split)}"
            )
    return folder


def _refuse_links(directory: str, names: Sequence[str]) -> None:
    """Refuses links that leave a local folder: whoever sent it chose their targets."""
    if is_url(directory):
        return
    root = os.path.realpath(directory)
    for name in names:
        path = os.path.join(directory, name)
        if os.path.islink(path):
            target = os.path.realpath(path)
            if os.path.commonpath([root, target]) != root:
                raise ShardFolderError(
                    f"{path} is a link to {target}, outside of the folder; copy the "
                    "folder with the files themselves (cp -rL), or allow them with "
                    "load_folder(…, allow_links=True)"
                )


def load_records(folder: ShardFolder, split: str) -> Records:
    """Reads the table of records of one split.

    All that it says is checked here, once: its records fill the shards without a gap,
    and every label has a gloss.

    Raises:
        ShardFolderError: If the split or its table is missing, or the table is not the
            one that was written with these shards, or damaged.
    """
    num_clips = folder.num_clips(split)
    where = join_path(folder.directory, record_table_file(split))
    try:
        table = read_bytes(where)
    except OSError as error:
        raise ShardFolderError(
            f"cannot read {where} ({error}); run bin/shard again"
        ) from error
    if hashlib.sha256(table).hexdigest() != folder.table_sha256[split]:
        raise ShardFolderError(
            f"{where} is not the table that was written with these shards; run "
            "bin/shard again, or copy the folder again"
        )
    # Before it is read: a row takes ten times as much memory as its line.
    # Some writers end lines by both; for the csv module each of them ends one.
    num_lines = max(table.count(b"\n"), table.count(b"\r"))
    if num_lines != num_clips + 1:
        raise ShardFolderError(
            f"{where} lists {num_lines - 1} records, {INDEX_FILE} {num_clips}; run "
            "bin/shard again"
        )
    shards = folder.split_shards(split)
    try:
        records = records_from_csv(table)
        check_records(
            records,
            shard_bytes=[shard.num_bytes for shard in shards],
            shard_records=[shard.num_records for shard in shards],
            num_labels=folder.num_classes,
            num_frames=folder.clip.num_frames,
        )
    except ValueError as error:
        raise ShardFolderError(
            f"{where} is damaged ({reason_of(error)}); run bin/shard again"
        ) from error
    return records


def glosses_without(glosses: Sequence[str], labels: Collection[int]) -> tuple[str, ...]:
    """Returns the glosses whose label is not among those of the clips of a split."""
    return tuple(gloss for n, gloss in enumerate(glosses) if n not in labels)


def _known_keys(kind: type, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a value takes of an object of the index.

    A newer minor version of the format may have more keys.
    """
    return {known.name: raw[known.name] for known in dataclasses.fields(kind)}


def _check_version(version: str, directory: str) -> None:
    """Refuses a folder of another major version."""
    if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise ShardFolderError(
            f"{directory} has shard format {version[:80]}, this release reads "
            f"{FORMAT_VERSION.split('.')[0]}.x; use the release that wrote it, or run "
            "bin/shard again"
        )

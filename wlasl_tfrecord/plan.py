"""The plan of a shard folder: which instance becomes which record of which shard."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wlasl_tfrecord.clips import FRAMINGS, ClipSpec, Framing
from wlasl_tfrecord.index import CODECS, FORMAT_VERSION, SPLITS, Codec, shard_name
from wlasl_tfrecord.instances import Instance

__all__ = [
    "PlannedShard",
    "ShardOptions",
    "Task",
    "order_key",
    "plan_shards",
    "record_bytes",
]

# Enough that many readers, or the workers of a large machine, each find a file.
MIN_SHARDS = 16


# What libjpeg and libpng write; more is no image to them.
_MAX_SIDES: Mapping[str, int] = {"jpeg": 65_500, "png": 1_000_000}


@dataclass(frozen=True, kw_only=True)
class ShardOptions:
    """What decides the bytes of a shard folder, besides the manifest and the videos.

    Attributes:
        clip: The shape of every clip.
        framing: How frames are made to fit.
        codec: How frames are stored.
        jpeg_quality: From 1 to 100; counts for the codec jpeg only.
        seed: Another seed gives another order of clips in the shards.
        shard_mib: About how large a shard becomes, in MiB; see `plan_shards`.
        drop_leaks: Leave out clips of train whose content is in val or test too.
        subset: How many glosses the manifest was cut to, as a record of it.
        split_by: Where the manifest's splits are from, as a record of it.

    Raises:
        ValueError: If a value can never be right.
    """

    clip: ClipSpec = dataclasses.field(default_factory=ClipSpec)
    framing: Framing = "center"
    codec: Codec = "raw"
    jpeg_quality: int = 95
    seed: int = 0
    shard_mib: int = 128
    drop_leaks: bool = False
    subset: int | None = None
    split_by: str = "annotations"

    def __post_init__(self) -> None:
        """Reject what no folder can be written with."""
        for name, known in (("framing", FRAMINGS), ("codec", CODECS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}, "
                    f"got {getattr(self, name)!r}"
                )
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(
                f"jpeg_quality must be from 1 to 100, got {self.jpeg_quality}"
            )
        if self.shard_mib < 1:
            raise ValueError(f"shard_mib must be at least 1, got {self.shard_mib}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be from 0 to 2**63 - 1, got {self.seed}")
        sides = max(self.clip.height, self.clip.width)
        most = _MAX_SIDES.get(self.codec, sides)
        if sides > most:
            raise ValueError(
                f"a {self.codec} image has at most {most:,} pixels a side, got "
                f"{sides:,}; use --codec raw"
            )
        # A record is one proto, and no proto may be larger.
        if self.clip.num_bytes >= 2**31:
            raise ValueError(
                f"a clip of {self.clip.num_frames} frames of {self.clip.height}x"
                f"{self.clip.width} has {self.clip.num_bytes} bytes, a record holds "
                "less than 2 GiB; ask for fewer or smaller frames"
            )

    def to_dict(self) -> dict[str, Any]:
        """Names all that decides the bytes, in plain JSON values."""
        values = dataclasses.asdict(self)
        values.update(values.pop("clip"))
        if self.codec != "jpeg":
            # It decides nothing, so that another value of it is no other folder.
            del values["jpeg_quality"]
        return values


@dataclass(frozen=True, kw_only=True)
class Task:
    """One instance that is to be written.

    Attributes:
        instance: The instance; its path is not None.
        sha256: The digest of its video's content, in hex.
    """

    instance: Instance
    sha256: str


@dataclass(frozen=True, kw_only=True)
class PlannedShard:
    """One shard that is to be written.

    Attributes:
        split: Its split.
        shard_index: Its position in the split.
        name: Its file name.
        tasks: Its instances, in the order of their records.
        fingerprint: A digest of all that decides its bytes.
    """

    split: str
    shard_index: int
    name: str
    tasks: tuple[Task, ...]
    fingerprint: str


def order_key(video_id: str, seed: int) -> int:
    """Gives an instance's place in its split, from 0 to 2**64 - 1.

    The hash depends on nothing else, so another video moves no other; and whoever
    reads the start of a split gets clips of many glosses and signers.

    >>> hex(order_key("00335", seed=0))
    '0x315182cf9464d400'
    """
    salt = f"wlasl:{seed}".encode()
    # An id may hold what was no valid UTF-8 in a file name.
    name = video_id.encode("utf-8", "surrogateescape")
    # The key is short enough for every seed: 64 bytes at most.
    digest = hashlib.blake2b(name, digest_size=8, key=salt).digest()
    return int.from_bytes(digest, "big")


def record_bytes(options: ShardOptions) -> int:
    """Estimates the bytes of a record, the frame of 16 bytes included.

    Exact to a few hundred bytes for raw; for the others an average of real clips.
    """
    return round(options.clip.num_bytes * _BYTES_PER_VALUE[options.codec]) + 1200


# Bytes in the file for each byte of pixels, on the real clips of WLASL100 at 224 x 224;
# jpeg at quality 95.
_BYTES_PER_VALUE: Mapping[str, float] = {"raw": 1.0, "jpeg": 0.08, "png": 0.33}


def plan_shards(tasks: Sequence[Task], options: ShardOptions) -> list[PlannedShard]:
    """Deals the instances out to shards.

    A shard takes a range of hashes: one video more changes one shard, and no clip moves
    to another one. The number of shards is a power of two, so that it stays the same
    until a split has doubled; and it depends on what there is now, not on what a folder
    was before, so that the same videos give the same bytes whatever happened between.
    That costs precision: on average a shard has 0.7 to 1.4 times `shard_mib`, less in a
    small split, and one of k clips differs from that by about sqrt(k) clips.

    Args:
        tasks: All instances to write, in any order.
        options: What decides the bytes.

    Returns:
        The shards, by split and position. Some may be empty where a split is small.
    """
    planned: list[PlannedShard] = []
    for split in SPLITS:
        keyed = sorted(
            (order_key(task.instance.video_id, options.seed), task.instance.video_id)
            for task in tasks
            if task.instance.split == split
        )
        by_id = {t.instance.video_id: t for t in tasks if t.instance.split == split}
        num_shards = _num_shards(len(keyed), options)
        inside: list[list[Task]] = [[] for _ in range(num_shards)]
        for key, video_id in keyed:
            inside[key * num_shards >> 64].append(by_id[video_id])
        for shard_index, shard_tasks in enumerate(inside):
            planned.append(
                PlannedShard(
                    split=split,
                    shard_index=shard_index,
                    name=shard_name(split, shard_index, num_shards),
                    tasks=tuple(shard_tasks),
                    fingerprint=_fingerprint(shard_tasks, options),
                )
            )
    return planned


def _num_shards(num_clips: int, options: ShardOptions) -> int:
    """Chooses a power of two: at least 16, or the number of clips if that is less."""
    if num_clips < MIN_SHARDS:
        return 2 ** int(math.log2(num_clips)) if num_clips else 0
    wanted = num_clips * record_bytes(options) / (options.shard_mib * 2**20)
    # To the nearest power: shards have between 0.7 and 1.4 times the wanted size.
    power = round(math.log2(max(wanted, 1)))
    return max(MIN_SHARDS, min(2**power, 2 ** int(math.log2(num_clips))))


def _fingerprint(tasks: Sequence[Task], options: ShardOptions) -> str:
    """Digests all that decides the bytes of a shard, but for the code."""
    instances = []
    for task in tasks:
        values = dataclasses.asdict(task.instance)
        # Where a video lies decides nothing; what it holds does.
        del values["path"], values["problem"]
        instances.append([values, task.sha256])
    # What only groups clips into shards shows in the list of instances.
    settings = {
        name: value
        for name, value in options.to_dict().items()
        if name not in ("shard_mib", "drop_leaks", "subset", "split_by", "seed")
    }
    text = json.dumps([FORMAT_VERSION, settings, instances], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()

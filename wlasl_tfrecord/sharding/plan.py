"""The plan of a shard folder: which instance becomes which record of which shard."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from wlasl_tfrecord.decoder_pool.jobs import Task
from wlasl_tfrecord.shard_format.layout import (
    FORMAT_VERSION,
    MAX_SHARDS,
    SPLITS,
    shard_name,
)
from wlasl_tfrecord.shard_format.shard_options import ShardOptions, record_bytes

__all__ = [
    "PlannedShard",
    "order_key",
    "plan_shards",
]

# Enough that many readers, or the workers of a large machine, each find a file.
MIN_SHARDS = 16


@dataclass(frozen=True, kw_only=True)
class PlannedShard:
    """One shard that is to be written.

    Attributes:
        split: Its split.
        shard_index: Its position in the split.
        name: Its file name.
        tasks: Its instances, in the order of their records.
        fingerprint: A hash of all that decides its bytes.
    """

    split: str
    shard_index: int
    name: str
    tasks: tuple[Task, ...]
    fingerprint: str


def order_key(video_id: str, seed: int) -> int:
    """Returns an instance's place in its split, from 0 to 2**64 - 1.

    The hash depends on nothing else, so adding a video moves no other; and the start of
    a split has clips of many glosses and signers.

    >>> hex(order_key("00335", seed=0))
    '0x315182cf9464d400'
    """
    salt = f"wlasl:{seed}".encode()
    # An id may hold what was no valid UTF-8 in a file name.
    name = video_id.encode("utf-8", "surrogateescape")
    # The key is short enough for every seed: 64 bytes at most.
    digest = hashlib.blake2b(name, digest_size=8, key=salt).digest()
    return int.from_bytes(digest, "big")


def plan_shards(tasks: Sequence[Task], options: ShardOptions) -> list[PlannedShard]:
    """Assigns the instances to shards.

    A shard takes a range of hashes: one more video changes one shard, and no clip moves
    to another one. The number of shards is a power of two, so that it stays the same
    until a split has doubled. It depends on the present videos alone, not on what the
    folder held before, so that the same videos give the same bytes. That costs
    precision: on average a shard has 0.7 to 1.4 times `shard_mib`, less in a small
    split, and one of k clips differs from that by about sqrt(k) clips.

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
    return max(MIN_SHARDS, min(2**power, 2 ** int(math.log2(num_clips)), MAX_SHARDS))


def _fingerprint(tasks: Sequence[Task], options: ShardOptions) -> str:
    """Hashes all that decides the bytes of a shard, except the code."""
    instances = []
    for task in tasks:
        values = dataclasses.asdict(task.instance)
        # The content of a video decides the bytes; where it lies or was published does
        # not.
        del values["path"], values["url"], values["problem"]
        instances.append([values, task.sha256])
    # Options that only group clips into shards show in the list of instances.
    settings = {
        name: value
        for name, value in options.to_dict().items()
        if name not in ("shard_mib", "drop_leaks", "subset", "split_by", "seed")
    }
    text = json.dumps([FORMAT_VERSION, settings, instances], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()

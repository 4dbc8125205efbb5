"""A shard's writer: records in, one whole file out."""

import os
from collections.abc import Iterator

from tqdm import tqdm

from wlasl_tfrecord.decoder_pool.jobs import Decoded, Task, Undecoded
from wlasl_tfrecord.files import write_all, written_whole
from wlasl_tfrecord.shard_format.tfrecord import FRAME_BYTES
from wlasl_tfrecord.sharding.plan import PlannedShard
from wlasl_tfrecord.sharding.written_shard import (
    WrittenClip,
    WrittenShard,
    save_state,
    state_name,
)

__all__ = ["settle_shard", "write_shard"]

# A raw record, or a dozen of JPEG: enough for a disk to be busy with.
_BYTES_ON_THEIR_WAY = 4 * 2**20


def write_shard(
    shard: PlannedShard,
    decoded: Iterator[tuple[Task, Decoded | Undecoded]],
    path: str,
    progress: tqdm,
) -> WrittenShard:
    """Writes one shard aside and renames it.

    Args:
        shard: What to write.
        decoded: Its clips, and those of the shards after it.
        path: The file to write.
        progress: Counts the clips.

    Raises:
        OSError: If the file cannot be written.
    """
    clips: list[WrittenClip] = []
    failures: dict[str, Undecoded] = {}
    num_bytes = num_sent = 0
    # Without a buffer: a record goes from the worker's memory to the kernel at once.
    with (
        written_whole(path, sync=False) as aside,
        open(aside, "wb", buffering=0) as file,
    ):
        for _ in shard.tasks:
            task, result = next(decoded)
            progress.update()
            video_id = task.instance.video_id
            if isinstance(result, Undecoded):
                failures[video_id] = result
                continue
            write_all(file.fileno(), result.record)
            clips.append(
                WrittenClip(
                    video_id=video_id,
                    offset=num_bytes,
                    num_bytes=len(result.record) - FRAME_BYTES,
                    crc=result.crc,
                    facts=result.facts,
                )
            )
            num_bytes += len(result.record)
            if num_bytes - num_sent >= _BYTES_ON_THEIR_WAY:
                _send_to_disk(file.fileno())
                num_sent = num_bytes
    return WrittenShard(
        name=shard.name,
        fingerprint=shard.fingerprint,
        num_bytes=num_bytes,
        clips=tuple(clips),
        failures=failures,
    )


def settle_shard(shard: WrittenShard, path: str) -> None:
    """Waits until a shard is on the disk, and notes beside it that it is finished.

    Raises:
        OSError: If the disk does not take it.
    """
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        _send_to_disk(file.fileno())
    save_state(shard, os.path.join(os.path.dirname(path), state_name(shard.name)))


def _send_to_disk(descriptor: int) -> None:
    """Has the system write a file, without waiting, and drop what it has written.

    This run reads the videos again, not the shards; and memory that is given back at
    once is what the next record is written through (decision 0010).
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

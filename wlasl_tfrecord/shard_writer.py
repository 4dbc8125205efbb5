"""A shard's writer: clips in, one whole file of records out."""

import os
from collections.abc import Iterator

import tensorflow as tf
from tqdm import tqdm

from wlasl_tfrecord import examples
from wlasl_tfrecord.decoders import Decoded, Undecoded
from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.plan import PlannedShard, ShardOptions, Task
from wlasl_tfrecord.shard_files import (
    FRAME_BYTES,
    Record,
    WrittenShard,
    stored_crc,
)

__all__ = ["write_shard"]


def write_shard(
    shard: PlannedShard,
    decoded: Iterator[tuple[Task, Decoded | Undecoded]],
    path: str,
    options: ShardOptions,
    progress: tqdm,
) -> WrittenShard:
    """Writes one shard aside and renames it.

    Args:
        shard: What to write.
        decoded: Its clips, and those of the shards behind it.
        path: Where it comes to lie.
        options: What decides its bytes.
        progress: Is told of every clip.

    Raises:
        OutputError: If the file cannot be written.
    """
    aside = f"{path}.tmp"
    records: list[Record] = []
    failures: dict[str, str] = {}
    offset = 0
    try:
        with tf.io.TFRecordWriter(aside) as writer:
            for _ in shard.tasks:
                task, result = next(decoded)
                progress.update()
                instance = task.instance
                if isinstance(result, Undecoded):
                    failures[instance.video_id] = result.reason
                    continue
                info = examples.ClipInfo(
                    video_id=instance.video_id,
                    gloss=instance.gloss,
                    label=instance.label,
                    signer_id=instance.signer_id,
                    source=result.source,
                )
                proto = examples.encode_clip(
                    info, result.frames, options.clip, options.codec
                )
                writer.write(proto)
                records.append(
                    Record(
                        offset=offset,
                        num_bytes=len(proto),
                        crc=0,
                        label=instance.label,
                        video_id=instance.video_id,
                        signer_id=instance.signer_id,
                        num_distinct_frames=result.source.num_distinct_frames,
                        range_rule=result.source.sign.rule,
                        num_video_frames=result.source.num_video_frames,
                    )
                )
                offset += len(proto) + FRAME_BYTES
    except tf.errors.OpError as error:
        raise _as_output_error(error, path) from error
    with open(aside, "rb") as file:
        num_bytes = os.fstat(file.fileno()).st_size
        if num_bytes != offset:
            raise OutputError(
                f"{path} has {num_bytes} bytes instead of {offset}; the disk is full "
                "or damaged"
            )
        # TensorFlow computes the checksum of each record and does not say it.
        records = [
            r._replace(crc=stored_crc(file.fileno(), r.offset, r.num_bytes))
            for r in records
        ]
    os.replace(aside, path)
    return WrittenShard(
        name=shard.name,
        fingerprint=shard.fingerprint,
        num_bytes=num_bytes,
        records=tuple(records),
        failures=failures,
    )


def _as_output_error(error: tf.errors.OpError, path: str) -> OutputError:
    """Says in one line what TensorFlow says of a file that it cannot write."""
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return OutputError(
            f"no space left to write {path}; free some and run the same command again: "
            "it continues"
        )
    return OutputError(f"cannot write {path}: {error.message}; check --out")

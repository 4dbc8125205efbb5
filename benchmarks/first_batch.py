"""The time until the first batch of as many clips as WLASL has instances."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from wlasl_tfrecord.shard_format import layout, shard_folder
from wlasl_tfrecord.shard_format.clip_proto import FRAMES_KEY, ID_KEY
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.folder_files import folder_files
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.shard_format.tfrecord import FRAME_BYTES, masked_crc

__all__ = ["WLASL_CLIPS", "first_batch", "write_many_clips"]

# As many as WLASL has instances, of which the first batch does not read more for it.
WLASL_CLIPS = 21_000


def write_many_clips(directory: Path) -> None:
    """Writes a folder of as many clips as WLASL has instances, but small ones."""
    clip = ClipSpec(num_frames=2, height=8, width=8)
    feature = tf.train.Feature(
        bytes_list=tf.train.BytesList(value=[bytes(clip.num_bytes)])
    )
    protos = []
    for number in range(WLASL_CLIPS):
        name = tf.train.BytesList(value=[f"{number:05d}".encode()])
        named = {FRAMES_KEY: feature, ID_KEY: tf.train.Feature(bytes_list=name)}
        example = tf.train.Example(features=tf.train.Features(feature=named))
        protos.append(example.SerializeToString())
    record_bytes = len(protos[0]) + FRAME_BYTES
    directory.mkdir()
    name = layout.shard_name("train", 0, 1)
    with tf.io.TFRecordWriter(str(directory / name)) as writer:
        for proto in protos:
            writer.write(proto)
    shard = shard_folder.Shard(
        name=name, num_bytes=WLASL_CLIPS * record_bytes, num_records=WLASL_CLIPS
    )
    numbers = np.arange(WLASL_CLIPS)
    records = Records(
        shard_indices=np.zeros(WLASL_CLIPS, np.int32),
        offsets=numbers * record_bytes,
        num_bytes=np.full(WLASL_CLIPS, len(protos[0])),
        crcs=np.array([masked_crc([proto]) for proto in protos], np.uint32),
        labels=numbers % 2000,
        video_ids=tuple(f"{number:05d}" for number in numbers),
        signer_ids=numbers % 119,
        num_distinct_frames=np.full(WLASL_CLIPS, clip.num_frames, np.int32),
    )
    folder = ShardFolder(
        directory=str(directory),
        clip=clip,
        codec="raw",
        framing="center",
        glosses=tuple(f"gloss {number}" for number in range(2000)),
        shards={"train": (shard,)},
    )
    for name, content in folder_files(folder, {"train": records}, None).items():
        (directory / name).write_bytes(content)


def first_batch(scratch: str) -> float:
    """Gives the seconds from the call to the first batch, in a process of its own."""
    code = (
        "import sys, time; import tensorflow; "
        "from wlasl_tfrecord.input_pipeline import dataset; "
        "started = time.perf_counter(); "
        "next(iter(dataset.input_fn(sys.argv[1], 'train', 16))); "
        "print(time.perf_counter() - started)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, os.path.join(scratch, "many")],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(ran.stdout)

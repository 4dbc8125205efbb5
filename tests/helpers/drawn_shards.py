"""A small, valid shard folder, written with no sharder at all, for tests."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def write_folder(
    directory: Path,
    num_clips: dict[str, int] | None = None,
    *,
    codec: str = "raw",
    num_frames: int = 5,
    height: int = 16,
    width: int = 24,
    glosses: Sequence[str] = ("book", "drink", "computer"),
    num_shards: int = 2,
    landmarks: bool | Callable[[str, int], NDArray[np.float32]] = False,
) -> Path:
    """Writes a folder of drawn clips.

    With landmarks, those of `drawn_landmarks`, or what a function of split and number
    of a clip returns.
    """
    import tensorflow as tf

    from wlasl_tfrecord.shard_format import (
        clip_proto,
        clips,
        folder_files,
        layout,
        record_table,
        shard_folder,
    )

    spec = clips.ClipSpec(num_frames=num_frames, height=height, width=width)
    directory.mkdir(parents=True, exist_ok=True)
    shards: dict[str, tuple[shard_folder.Shard, ...]] = {}
    records: dict[str, record_table.Records] = {}
    for split, count in (num_clips or {"train": 7, "val": 3}).items():
        rows, files = [], []
        for shard_index in range(num_shards):
            name = layout.shard_name(split, shard_index, num_shards)
            path = directory / name
            offset = 0
            numbers = range(
                shard_index * count // num_shards,
                (shard_index + 1) * count // num_shards,
            )
            with tf.io.TFRecordWriter(str(path)) as writer:
                for number in numbers:
                    proto = _drawn_clip(number, split, spec, codec, glosses, landmarks)
                    writer.write(proto)
                    rows.append((shard_index, offset, len(proto), number, split))
                    offset += len(proto) + 16
            files.append(
                shard_folder.Shard(
                    name=name,
                    num_bytes=path.stat().st_size,
                    num_records=len(numbers),
                )
            )
        shards[split] = tuple(files)
        records[split] = record_table.Records(
            shard_indices=np.array([row[0] for row in rows], np.int32),
            offsets=np.array([row[1] for row in rows], np.int64),
            num_bytes=np.array([row[2] for row in rows], np.int64),
            crcs=np.array(
                [_stored_crc(directory / files[r[0]].name, *r[1:3]) for r in rows],
                np.uint32,
            ),
            labels=np.array([row[3] % len(glosses) for row in rows], np.int64),
            video_ids=tuple(f"{row[4]}{row[3]:05d}" for row in rows),
            signer_ids=np.array([row[3] % 4 for row in rows], np.int64),
            num_distinct_frames=np.full(len(rows), num_frames, np.int32),
        )
    folder = shard_folder.ShardFolder(
        directory=str(directory),
        clip=spec,
        codec=codec,
        framing="center",
        glosses=tuple(glosses),
        shards=shards,
        has_landmarks=bool(landmarks),
    )
    features = clip_proto.tfds_features(
        spec, codec, len(glosses), has_landmarks=bool(landmarks)
    )
    for name, content in folder_files.folder_files(folder, records, features).items():
        (directory / name).write_bytes(content)
    return directory


def rewrite(directory, change, split="train"):
    """Changes the protos of a split, and all that says where they are.

    Args:
        directory: A shard folder.
        change: Called with the number of a record and its SequenceExample or Example.
        split: Which split.
    """
    import tensorflow as tf

    from wlasl_tfrecord.shard_format import (
        clip_proto,
        folder_files,
        shard_folder,
    )

    folder = shard_folder.load_folder(directory, check_shards=False)
    records = shard_folder.load_records(folder, split)
    offsets, sizes, crcs, shards = [], [], [], []
    number = 0
    for shard in folder.split_shards(split):
        path = directory / shard.name
        protos = [p.numpy() for p in tf.data.TFRecordDataset(str(path))]
        with tf.io.TFRecordWriter(str(path)) as writer:
            offset = 0
            for serialized in protos:
                kind = tf.train.Example if folder.codec == "raw" else None
                proto = (kind or tf.train.SequenceExample).FromString(serialized)
                change(number, proto)
                changed = proto.SerializeToString(deterministic=True)
                writer.write(changed)
                offsets.append(offset)
                sizes.append(len(changed))
                offset += len(changed) + 16
                number += 1
        data = path.read_bytes()
        for offset, size in list(zip(offsets, sizes))[-len(protos) :]:
            crc = data[offset + 12 + size : offset + 16 + size]
            crcs.append(int.from_bytes(crc, "little"))
        shards.append(dataclasses.replace(shard, num_bytes=len(data)))
    tables = {s: shard_folder.load_records(folder, s) for s in folder.splits}
    tables[split] = dataclasses.replace(
        records,
        offsets=np.array(offsets, np.int64),
        num_bytes=np.array(sizes, np.int64),
        crcs=np.array(crcs, np.uint32),
    )
    folder = dataclasses.replace(folder, shards={**folder.shards, split: tuple(shards)})
    features = clip_proto.tfds_features(
        folder.clip,
        folder.codec,
        folder.num_classes,
        has_landmarks=folder.has_landmarks,
    )
    for name, content in folder_files.folder_files(folder, tables, features).items():
        (directory / name).write_bytes(content)


def context_of(proto):
    return getattr(proto, "context", None) or proto.features


def drawn_frames(number: int, shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Draws the frames of a clip: smooth, so that JPEG keeps them; all different."""
    num_frames, height, width, _ = shape
    t, y, x = np.meshgrid(
        np.arange(num_frames), np.arange(height), np.arange(width), indexing="ij"
    )
    red = 7 * number + 20 * t + y
    green = 11 * number + 5 * t + x
    blue = np.broadcast_to(number % 50 * 5, t.shape)
    return np.stack([red, green, blue], axis=-1).clip(0, 255).astype(np.uint8)


def drawn_landmarks(number: int, num_frames: int) -> NDArray[np.float32]:
    """Draws the landmarks of a clip: all different, the right hand not in frame 0."""
    points = np.arange(num_frames * 67 * 3, dtype=np.float32).reshape(-1, 67, 3)
    landmarks = (points + number) / np.float32(num_frames * 67 * 3 + 1000)
    landmarks[0, 21:42] = 0
    return landmarks


def _drawn_clip(number, split, spec, codec, glosses, make_landmarks):
    from wlasl_tfrecord.shard_format import clip_proto, clips

    frames = drawn_frames(number, spec.shape)
    source = clips.ClipSource(
        video_fps=25.0,
        num_video_frames=spec.num_frames,
        sign=clips.SignRange(0, spec.num_frames, "whole"),
        frame_indices=tuple(range(spec.num_frames)),
        sha256=f"{number:064x}",
    )
    info = clip_proto.ClipInfo(
        video_id=f"{split}{number:05d}",
        gloss=glosses[number % len(glosses)],
        label=number % len(glosses),
        signer_id=number % 4,
        source=source,
    )
    landmarks = None
    if callable(make_landmarks):
        landmarks = make_landmarks(split, number)
    elif make_landmarks:
        landmarks = drawn_landmarks(number, spec.num_frames)
    if codec == "raw":
        return clip_proto.encode_clip(info, frames.tobytes(), spec, codec, landmarks)
    suffix = {"jpeg": ".jpg", "png": ".png"}[codec]
    images = [
        cv2.imencode(suffix, np.ascontiguousarray(frame[..., ::-1]))[1].tobytes()
        for frame in frames
    ]
    return clip_proto.encode_clip(info, images, spec, codec, landmarks)


def _stored_crc(path: Path, offset: int, num_bytes: int) -> int:
    """Reads the masked CRC-32C that stands behind a record's proto."""
    with path.open("rb") as file:
        file.seek(offset + 12 + num_bytes)
        return int.from_bytes(file.read(4), "little")

"""Manifests of drawn videos, and what became of them in a shard folder, for tests."""

import csv
import dataclasses
import json

from wlasl_tfrecord.annotations.manifest import Instance, Manifest

GLOSSES = ("book", "drink")


def instance(video_id, path, split="train", label=0, **kwargs):
    return Instance(
        video_id=video_id,
        gloss=GLOSSES[label],
        label=label,
        split=split,
        path=None if path is None else str(path),
        **kwargs,
    )


def drawn_manifest(videos):
    """The 24 videos: 18 to train, 6 to val, and two that are missing."""
    present = [
        instance(
            f"{n:05d}",
            videos / f"{n:05d}.mp4",
            "val" if n % 4 == 3 else "train",
            label=n % 2,
            signer_id=n % 5,
        )
        for n in range(24)
    ]
    absent = [instance("90000", None), instance("90001", None, "test")]
    return Manifest(instances=(*present, *absent), glosses=GLOSSES, annotations="drawn")


def with_instances(manifest, *more):
    return dataclasses.replace(manifest, instances=(*manifest.instances, *more))


def read_clips(out, split, keys=("clip/label/index", "clip/media_id")):
    """Reads a split back by its shards alone, in order."""
    import tensorflow as tf

    from wlasl_tfrecord.shard_format import decode_frames, parsing, shard_folder

    folder = shard_folder.load_folder(out)
    paths = [folder.shard_path(shard) for shard in folder.split_shards(split)]
    clips = []
    for record in tf.data.TFRecordDataset(paths):
        parsed = parsing.parse_clip(record, folder.clip, folder.codec, keys)
        frames = decode_frames.decode_frames(parsed, folder.clip, folder.codec).numpy()
        clips.append((frames, {key: parsed[key].numpy() for key in keys}))
    return clips


def outcomes(out):
    report = json.loads((out / "report.json").read_text())
    return {values["video_id"]: values for values in report["instances"]}


def failures(out):
    with (out / "failures.csv").open(newline="") as file:
        return {row["video_id"]: row for row in csv.DictReader(file)}


def manifest_of(videos):
    instances = tuple(
        instance(path.stem, path, "val" if n % 4 == 3 else "train", label=n % 2)
        for n, path in enumerate(sorted(videos.glob("*.mp4")))
    )
    return Manifest(instances=instances, glosses=GLOSSES, annotations="drawn")

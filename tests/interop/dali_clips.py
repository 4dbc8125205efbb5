"""Reads a split with NVIDIA DALI on the CPU: python dali_clips.py SHARDS SPLIT OUT.

The .idx files lie in `idx` beside the folder.
"""

import json
import sys
from pathlib import Path

import numpy as np
import nvidia.dali.tfrecord as tfrec
from nvidia.dali import fn, pipeline_def

shards, split, out = sys.argv[1:]
index = json.loads(Path(shards, "index.json").read_text())
names = [shard["name"] for shard in index["splits"][split]["shards"]]
key = "clip/frames" if index["codec"] == "raw" else "image/encoded"


@pipeline_def(batch_size=1, num_threads=1, device_id=None)
def clips():
    record = fn.readers.tfrecord(
        path=[f"{shards}/{name}" for name in names],
        index_path=[str(Path(shards).parent / "idx" / f"{name}.idx") for name in names],
        features={
            key: tfrec.FixedLenFeature((), tfrec.string, ""),
            "clip/label/index": tfrec.FixedLenFeature([1], tfrec.int64, -1),
        },
        name="clips",
    )
    return record[key], record["clip/label/index"]


pipeline = clips()
pipeline.build()
frames, labels = [], []
for _ in range(pipeline.reader_meta("clips")["epoch_size"]):
    clip, label = pipeline.run()
    frames.append(np.atleast_1d(np.array(clip[0])))
    labels.append(int(np.array(label[0]).ravel()[0]))
np.savez(out, frames=np.stack(frames), labels=np.array(labels))

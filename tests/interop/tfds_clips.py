"""Reads a split with TensorFlow Datasets: python tfds_clips.py SHARDS SPLIT OUT."""

import sys

import numpy as np
import tensorflow_datasets as tfds

shards, split, out = sys.argv[1:]
builder = tfds.builder_from_directory(shards)
clips = list(tfds.as_numpy(builder.as_dataset(split=split)))
np.savez(
    out,
    frames=np.stack([clip["clip/frames"] for clip in clips]),
    labels=np.stack([clip["clip/label/index"] for clip in clips]),
)

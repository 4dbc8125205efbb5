"""Reads a split at a URL by TensorFlow's operations alone, with tensorflow-io.

python s3_clips.py URL SPLIT OUT; from the folder of the checkout.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
# Of the checkout; this package is not installed here.
sys.path.insert(0, os.getcwd())

import numpy as np
import tensorflow as tf

from wlasl_tfrecord import input_fn, load_folder

url, split, out = sys.argv[1:]
folder = load_folder(url)
frames, labels = zip(*input_fn(folder, split, 1, training=False, reader="graph"))
# As a program that does not know this package.
paths = [folder.shard_path(shard) for shard in folder.split_shards(split)]
wanted = {"clip/frames": tf.io.FixedLenFeature([], tf.string)}
plain = [
    tf.io.decode_raw(tf.io.parse_single_example(record, wanted)["clip/frames"], "uint8")
    for record in tf.data.TFRecordDataset(paths)
]
np.savez(
    out,
    frames=np.concatenate(frames),
    labels=np.concatenate(labels),
    plain=np.stack(plain),
)
print("read", flush=True)

"""Reads a split with the TensorFlow Model Garden, by its own reader and parser.

python model_garden_clips.py SHARDS SPLIT OUT OPTIONS, with OPTIONS the JSON of more
fields of its DataConfig. What stands on the standard input is executed before.
"""

import json
import sys

import numpy as np
import tensorflow as tf

# The example of the page, which stops the flips.
exec(sys.stdin.read())

from official.core import input_reader  # noqa: E402
from official.vision.configs import video_classification  # noqa: E402
from official.vision.dataloaders import video_input  # noqa: E402

shards, split, out, options = sys.argv[1:]
config = video_classification.DataConfig(
    input_path=f"{shards}/wlasl-{split}.tfrecord-*",
    feature_shape=(30, 224, 224, 3),
    num_classes=3,
    temporal_stride=1,
    global_batch_size=1,
    drop_remainder=False,
    shuffle_buffer_size=1,
    **json.loads(options),
)
clips = input_reader.InputReader(
    config,
    dataset_fn=tf.data.TFRecordDataset,
    decoder_fn=video_input.Decoder().decode,
    parser_fn=video_input.Parser(config).parse_fn(config.is_training),
).read()
with open(f"{shards}/index.json") as file:
    num_clips = json.load(file)["splits"][split]["num_clips"]
read = list(clips.take(num_clips))  # training has no end
np.savez(
    out,
    frames=np.concatenate([np.rint(f["image"].numpy() * 255) for f, _ in read]),
    labels=np.concatenate([label.numpy().argmax(-1) for _, label in read]),
)

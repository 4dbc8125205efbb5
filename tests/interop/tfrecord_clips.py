"""Reads one shard with PyTorch's package `tfrecord`, in two workers.

python tfrecord_clips.py SHARD INDEX OUT; an INDEX of "" for none.
"""

import sys

import numpy as np
import torch
from tfrecord.torch.dataset import TFRecordDataset

shard, index, out = sys.argv[1:]
clips = TFRecordDataset(
    shard, index or None, {"clip/frames": "byte", "clip/label/index": "int"}
)
read = list(torch.utils.data.DataLoader(clips, batch_size=None, num_workers=2))
np.savez(
    out,
    frames=np.stack([np.frombuffer(clip["clip/frames"], np.uint8) for clip in read]),
    labels=np.array([int(clip["clip/label/index"][0]) for clip in read]),
)

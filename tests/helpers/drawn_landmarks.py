"""Shards with the landmarks of drawn signers, which a network can learn, for tests."""

import zlib
from functools import partial
from pathlib import Path

import numpy as np
from drawn_shards import write_folder
from numpy.typing import NDArray

from wlasl_tfrecord.synthetic import poses
from wlasl_tfrecord.synthetic.appearance import draw_signers
from wlasl_tfrecord.synthetic.landmarks import clip_landmarks
from wlasl_tfrecord.synthetic.poses import Motion

GLOSSES = tuple(poses.SIGNS)

# No signer of one split is in another.
_SIGNERS = {"train": range(8), "val": range(8, 11), "test": range(11, 14)}


def write_signs(
    directory: Path, num_clips: dict[str, int], *, codec: str = "jpeg", num_frames=12
) -> Path:
    """Writes a folder of clips whose landmarks show the drawn signs.

    The frames are those of `write_folder`, and show nothing of them.
    """
    return write_folder(
        directory,
        num_clips,
        codec=codec,
        num_frames=num_frames,
        height=32,
        width=32,
        glosses=GLOSSES,
        landmarks=partial(sign_landmarks, num_frames),
    )


def sign_landmarks(num_frames: int, split: str, number: int) -> NDArray[np.float32]:
    """Returns the landmarks of a clip of a split: float32 [T, K, 3]."""
    rng = np.random.default_rng((zlib.crc32(split.encode()), number))
    signers = _SIGNERS[split]
    signer = draw_signers(14, 0)[signers[number // len(GLOSSES) % len(signers)]]
    motion = Motion(
        lead_in=rng.uniform(0.17, 0.3),
        lead_out=rng.uniform(0.17, 0.3),
        amplitude=rng.uniform(0.85, 1.1),
        offset_x=rng.normal(0, 0.07),
        offset_y=rng.normal(0, 0.07),
    )
    gloss = GLOSSES[number % len(GLOSSES)]
    return clip_landmarks(signer, gloss, motion, num_frames)

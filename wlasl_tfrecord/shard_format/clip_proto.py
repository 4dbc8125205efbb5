"""One clip as one proto: its keys and its bytes, made without TensorFlow.

`raw` is a `tf.train.Example`, which TFDS reads too. `jpeg` and `png` are a
`tf.train.SequenceExample` with the keys of MediaSequence, which DMVR, Scenic and the
TensorFlow Model Garden read. The context keys are the same in both. `parsing` reads
them back.

Reference:
    https://github.com/google-ai-edge/mediapipe/blob/master/mediapipe/util/sequence/README.md
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.shard_format.clips import ClipSource, ClipSpec
from wlasl_tfrecord.shard_format.codecs import Codec
from wlasl_tfrecord.shard_format.landmarks import (
    LANDMARK_GROUPS,
    landmark_features,
    landmark_keys,
    landmark_lists,
)
from wlasl_tfrecord.shard_format.layout import DATASET_NAME
from wlasl_tfrecord.shard_format.protobuf import (
    Pieces,
    Value,
    encode_example,
    encode_sequence_example,
)

__all__ = [
    "CONTEXT_TYPES",
    "FRAMES_KEY",
    "FRAME_INDICES_KEY",
    "ID_KEY",
    "IMAGES_KEY",
    "TIMES_KEY",
    "ClipInfo",
    "clip_pieces",
    "context_shape",
    "encode_clip",
    "tfds_features",
]

# The frames of a raw record; uint8 [T, H, W, 3] in C order.
FRAMES_KEY = "clip/frames"
# The frames of a jpeg or png record; one encoded image a frame.
IMAGES_KEY = "image/encoded"
TIMES_KEY = "image/timestamp"
# The instance, which the index names too.
ID_KEY = "example/id"
# Which frame of the video each frame is.
FRAME_INDICES_KEY = "wlasl/frame_indices"


@dataclass(frozen=True, kw_only=True)
class ClipInfo:
    """What a record says of a clip besides its frames.

    Attributes:
        video_id: The instance's id, unique in its split.
        gloss: The word.
        label: The word's index.
        signer_id: Who signs; -1 if unknown.
        source: Where the frames lie in their video.
    """

    video_id: str
    gloss: str
    label: int
    signer_id: int
    source: ClipSource


def encode_clip(
    info: ClipInfo,
    frames: bytes | Sequence[bytes],
    clip: ClipSpec,
    codec: Codec,
    landmarks: NDArray[np.float32] | None = None,
) -> bytes:
    """Serialises one clip; see `clip_pieces`."""
    return b"".join(clip_pieces(info, frames, clip, codec, landmarks))


def clip_pieces(
    info: ClipInfo,
    frames: bytes | memoryview | Sequence[bytes],
    clip: ClipSpec,
    codec: Codec,
    landmarks: NDArray[np.float32] | None = None,
) -> Pieces:
    """Serialises one clip, and copies no frames.

    Args:
        info: What to say of the clip.
        frames: For `raw`, T * H * W * 3 bytes, RGB in C order; otherwise T encoded
            images.
        clip: The shape of the clip.
        codec: How the frames are stored.
        landmarks: float32 [T, K, 3], see `landmarks`; None to store none.

    Returns:
        The proto's bytes in pieces that follow each other; the same for the same
        arguments. The frames of `raw` are one of the pieces.

    Raises:
        ValueError: If the frames, or the landmarks, are not of a clip of that shape.
    """
    if landmarks is not None and len(landmarks) != clip.num_frames:
        raise ValueError(
            f"a clip of {clip.num_frames} frames cannot have landmarks of "
            f"{len(landmarks)}"
        )
    context = _context(info, clip, codec)
    times = info.source.frame_times_us
    if isinstance(frames, bytes | memoryview):
        if codec != "raw" or len(frames) != clip.num_bytes:
            raise ValueError(
                f"a {codec} clip of shape {clip.shape} cannot be {len(frames)} bytes"
            )
        features = {} if landmarks is None else landmark_features(landmarks)
        return encode_example(
            {**context, FRAMES_KEY: frames, TIMES_KEY: times, **features}
        )
    if codec == "raw" or len(frames) != clip.num_frames:
        raise ValueError(
            f"a {codec} clip of shape {clip.shape} cannot be {len(frames)} images"
        )
    lists = {} if landmarks is None else landmark_lists(landmarks)
    return encode_sequence_example(
        context, {IMAGES_KEY: frames, TIMES_KEY: times, **lists}
    )


def tfds_features(
    clip: ClipSpec, codec: Codec, num_classes: int, *, has_landmarks: bool = False
) -> dict | None:
    """Describes a raw record in the JSON form of TFDS's Feature message.

    Args:
        clip: The shape of the clips.
        codec: How the frames are stored.
        num_classes: How many glosses there are.
        has_landmarks: Whether the records have landmarks.

    Returns:
        The content of features.json; None for a SequenceExample, which TFDS cannot
        parse.
    """
    if codec != "raw":
        return None
    package = "tensorflow_datasets.core.features"

    def tensor(dtype: str, encoding: str, *shape: int) -> dict[str, Any]:
        dimensions = {"dimensions": [str(size) for size in shape]} if shape else {}
        return {
            "pythonClassName": f"{package}.tensor_feature.Tensor",
            "tensor": {"dtype": dtype, "encoding": encoding, "shape": dimensions},
        }

    features: dict[str, Any] = {
        FRAMES_KEY: tensor("uint8", "bytes", *clip.shape),
        TIMES_KEY: tensor("int64", "none", clip.num_frames),
    }
    for group, num_points in LANDMARK_GROUPS.items() if has_landmarks else ():
        for key in landmark_keys(group):
            features[key] = tensor("float32", "none", clip.num_frames, num_points)
    for key, dtype in CONTEXT_TYPES.items():
        features[key] = tensor(dtype, "none", *context_shape(key, clip))
    features["clip/label/index"] = {
        "pythonClassName": f"{package}.class_label_feature.ClassLabel",
        "classLabel": {"numClasses": str(num_classes)},
    }
    return {
        "pythonClassName": f"{package}.features_dict.FeaturesDict",
        "featuresDict": {"features": features},
    }


# Key -> NumPy's name of its type, in the order of the keys.
CONTEXT_TYPES: Mapping[str, str] = {
    "clip/end/timestamp": "int64",
    "clip/label/index": "int64",
    # The same word under both names: DMVR asks for text, MediaSequence for string.
    "clip/label/string": "string",
    "clip/label/text": "string",
    "clip/media_id": "string",
    "clip/start/timestamp": "int64",
    "example/dataset_name": "string",
    ID_KEY: "string",
    "image/channels": "int64",
    "image/colorspace": "string",
    "image/format": "string",
    "image/frame_rate": "float32",
    "image/height": "int64",
    "image/width": "int64",
    FRAME_INDICES_KEY: "int64",
    "wlasl/num_distinct_frames": "int64",
    "wlasl/range_rule": "string",
    "wlasl/signer_id": "int64",
    "wlasl/source/frame_rate": "float32",
    "wlasl/source/num_frames": "int64",
    "wlasl/source/sha256": "string",
}


def context_shape(key: str, clip: ClipSpec) -> list[int]:
    """Returns the shape of a context feature: most have one value."""
    return [clip.num_frames] if key == FRAME_INDICES_KEY else []


def _context(info: ClipInfo, clip: ClipSpec, codec: Codec) -> dict[str, Value]:
    """Returns the values of the context, in the order of `CONTEXT_TYPES`."""
    source = info.source
    times = source.frame_times_us
    # The rate of the stored frames, not of the video they were drawn from.
    span_us = times[-1] - times[0]
    rate = (len(times) - 1) * 1e6 / span_us if span_us else source.video_fps
    return {
        "clip/end/timestamp": source.stop_us,
        "clip/label/index": info.label,
        "clip/label/string": info.gloss,
        "clip/label/text": info.gloss,
        "clip/media_id": info.video_id,
        "clip/start/timestamp": source.start_us,
        "example/dataset_name": DATASET_NAME,
        ID_KEY: info.video_id,
        "image/channels": 3,
        "image/colorspace": "RGB",
        "image/format": codec.upper(),
        "image/frame_rate": rate,
        "image/height": clip.height,
        "image/width": clip.width,
        FRAME_INDICES_KEY: source.frame_indices,
        "wlasl/num_distinct_frames": source.num_distinct_frames,
        "wlasl/range_rule": source.sign.rule,
        "wlasl/signer_id": info.signer_id,
        "wlasl/source/frame_rate": source.video_fps,
        "wlasl/source/num_frames": source.num_video_frames,
        "wlasl/source/sha256": source.sha256,
    }

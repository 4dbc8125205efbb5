"""One clip as one record, and back: the only place that knows the keys.

`raw` is a `tf.train.Example`, which TFDS reads too. `jpeg` and `png` are a
`tf.train.SequenceExample` with the keys of MediaSequence, which DMVR, Scenic and the
TensorFlow Model Garden read. The context keys are the same in both.

Reference:
    https://github.com/google-ai-edge/mediapipe/blob/master/mediapipe/util/sequence/README.md
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from wlasl_tfrecord.clips import ClipSource, ClipSpec
from wlasl_tfrecord.index import DATASET_NAME, Codec

__all__ = [
    "FRAMES_KEY",
    "IMAGES_KEY",
    "ClipInfo",
    "context_features",
    "decode_frames",
    "encode_clip",
    "parse_clip",
    "tfds_features",
]

# The frames of a raw record; uint8 [T, H, W, 3] in C order.
FRAMES_KEY = "clip/frames"
# The frames of a jpeg or png record; one encoded image a frame.
IMAGES_KEY = "image/encoded"
TIMES_KEY = "image/timestamp"


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
    info: ClipInfo, frames: bytes | Sequence[bytes], clip: ClipSpec, codec: Codec
) -> bytes:
    """Serialises one clip.

    Args:
        info: What to say of the clip.
        frames: For `raw`, T * H * W * 3 bytes, RGB in C order; otherwise T encoded
            images.
        clip: The shape of the clip.
        codec: How the frames are stored.

    Returns:
        The proto's bytes; the same for the same arguments.

    Raises:
        ValueError: If the frames are not one clip of that shape.
    """
    # Filled from the top down: a message built first and put into another one is
    # copied, and the frames are 4.5 MB (measured: 8.9 ms a clip against 22).
    context = _context(info, clip, codec)
    if isinstance(frames, bytes):
        if codec != "raw" or len(frames) != clip.num_bytes:
            raise ValueError(
                f"a {codec} clip of shape {clip.shape} cannot be {len(frames)} bytes"
            )
        context[FRAMES_KEY] = frames
        context[TIMES_KEY] = info.source.frame_times_us
        example = tf.train.Example()
        for key, value in context.items():
            _fill(example.features.feature[key], value)
        return example.SerializeToString(deterministic=True)
    if codec == "raw" or len(frames) != clip.num_frames:
        raise ValueError(
            f"a {codec} clip of shape {clip.shape} cannot be {len(frames)} images"
        )
    sequence = tf.train.SequenceExample()
    for key, value in context.items():
        _fill(sequence.context.feature[key], value)
    lists = {IMAGES_KEY: frames, TIMES_KEY: info.source.frame_times_us}
    for key, values in lists.items():
        feature_list = sequence.feature_lists.feature_list[key]
        for value in values:
            _fill(feature_list.feature.add(), value)
    return sequence.SerializeToString(deterministic=True)


def context_features(clip: ClipSpec) -> dict[str, tf.io.FixedLenFeature]:
    """Gives the parsing specification of the context, alike in every codec."""
    return {
        key: tf.io.FixedLenFeature(_context_shape(key, clip), dtype)
        for key, dtype in _CONTEXT_TYPES.items()
    }


def parse_clip(
    serialized: tf.Tensor,
    clip: ClipSpec,
    codec: Codec,
    context_keys: Sequence[str] = ("clip/label/index",),
) -> dict[str, tf.Tensor]:
    """Parses one record; works eagerly and inside `Dataset.map`.

    Args:
        serialized: string [], one record.
        clip: The shape of the clips in the folder.
        codec: How the folder stores frames.
        context_keys: Which keys of the context to give besides the frames.

    Returns:
        The context under its keys, and the still encoded frames: string [] under
        `clip/frames` for `raw`, string [T] under `image/encoded` otherwise.
    """
    known = context_features(clip)
    wanted = {key: known[key] for key in context_keys}
    if codec == "raw":
        wanted[FRAMES_KEY] = tf.io.FixedLenFeature([], tf.string)
        return tf.io.parse_single_example(serialized, wanted)
    context, lists = tf.io.parse_single_sequence_example(
        serialized,
        context_features=wanted,
        sequence_features={IMAGES_KEY: tf.io.FixedLenSequenceFeature([], tf.string)},
    )
    images = tf.ensure_shape(lists[IMAGES_KEY], [clip.num_frames])
    return {**context, IMAGES_KEY: images}


def decode_frames(
    parsed: Mapping[str, tf.Tensor], clip: ClipSpec, codec: Codec
) -> tf.Tensor:
    """Decodes the frames that `parse_clip` gave.

    Args:
        parsed: What `parse_clip` returned.
        clip: The shape of the clip.
        codec: How the frames are stored.

    Returns:
        uint8 [T, H, W, 3], RGB.
    """
    if codec == "raw":
        frames = tf.io.decode_raw(parsed[FRAMES_KEY], tf.uint8)
        return tf.reshape(frames, clip.shape)

    def decode(image: tf.Tensor) -> tf.Tensor:
        if codec == "png":
            frame = tf.io.decode_png(image, channels=3)
        else:
            # The accurate inverse DCT is what every other reader of JPEG uses.
            frame = tf.io.decode_jpeg(image, channels=3, dct_method="INTEGER_ACCURATE")
        return tf.ensure_shape(frame, [clip.height, clip.width, 3])

    # One operation a frame takes 8 % less time than tf.map_fn with its list of tensors.
    images = tf.unstack(parsed[IMAGES_KEY], clip.num_frames)
    return tf.stack([decode(image) for image in images])


def tfds_features(clip: ClipSpec, codec: Codec, num_classes: int) -> dict | None:
    """Describes a raw record in the JSON form of TFDS's Feature message.

    Args:
        clip: The shape of the clips.
        codec: How the frames are stored.
        num_classes: How many glosses there are.

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
    for key, dtype in _CONTEXT_TYPES.items():
        features[key] = tensor(dtype.name, "none", *_context_shape(key, clip))
    features["clip/label/index"] = {
        "pythonClassName": f"{package}.class_label_feature.ClassLabel",
        "classLabel": {"numClasses": str(num_classes)},
    }
    return {
        "pythonClassName": f"{package}.features_dict.FeaturesDict",
        "featuresDict": {"features": features},
    }


_CONTEXT_TYPES = {
    "clip/end/timestamp": tf.int64,
    "clip/label/index": tf.int64,
    # The same word under both names: DMVR asks for text, MediaSequence for string.
    "clip/label/string": tf.string,
    "clip/label/text": tf.string,
    "clip/media_id": tf.string,
    "clip/start/timestamp": tf.int64,
    "example/dataset_name": tf.string,
    "example/id": tf.string,
    "image/channels": tf.int64,
    "image/colorspace": tf.string,
    "image/format": tf.string,
    "image/frame_rate": tf.float32,
    "image/height": tf.int64,
    "image/width": tf.int64,
    "wlasl/frame_indices": tf.int64,
    "wlasl/num_distinct_frames": tf.int64,
    "wlasl/range_rule": tf.string,
    "wlasl/signer_id": tf.int64,
    "wlasl/source/frame_rate": tf.float32,
    "wlasl/source/num_frames": tf.int64,
    "wlasl/source/sha256": tf.string,
}


def _context_shape(key: str, clip: ClipSpec) -> list[int]:
    return [clip.num_frames] if key == "wlasl/frame_indices" else []


def _context(info: ClipInfo, clip: ClipSpec, codec: Codec) -> dict[str, Any]:
    """Gives the values of the context, in the order of `_CONTEXT_TYPES`."""
    source = info.source
    times = source.frame_times_us
    # The rate of the stored frames, not of the video they were drawn from.
    span_us = times[-1] - times[0]
    rate = (len(times) - 1) * 1e6 / span_us if span_us else source.video_fps
    return {
        "clip/end/timestamp": round(source.sign.stop / source.video_fps * 1e6),
        "clip/label/index": info.label,
        "clip/label/string": info.gloss,
        "clip/label/text": info.gloss,
        "clip/media_id": info.video_id,
        "clip/start/timestamp": round(source.sign.start / source.video_fps * 1e6),
        "example/dataset_name": DATASET_NAME,
        "example/id": info.video_id,
        "image/channels": 3,
        "image/colorspace": "RGB",
        "image/format": codec.upper(),
        "image/frame_rate": rate,
        "image/height": clip.height,
        "image/width": clip.width,
        "wlasl/frame_indices": source.frame_indices,
        "wlasl/num_distinct_frames": source.num_distinct_frames,
        "wlasl/range_rule": source.sign.rule,
        "wlasl/signer_id": info.signer_id,
        "wlasl/source/frame_rate": source.video_fps,
        "wlasl/source/num_frames": source.num_video_frames,
        "wlasl/source/sha256": source.sha256,
    }


def _fill(feature: Any, value: Any) -> None:
    """Puts one value, or a tuple of them, into an empty feature."""
    values = value if isinstance(value, tuple) else (value,)
    if isinstance(values[0], str):
        values = [text.encode() for text in values]
    if isinstance(values[0], bytes):
        feature.bytes_list.value.extend(values)
    elif isinstance(values[0], float):
        feature.float_list.value.extend(values)
    else:
        feature.int64_list.value.extend(values)

"""One record as one clip: parsed and decoded by TensorFlow.

`clip_proto` knows the keys, and writes what is read here.
"""

from collections.abc import Sequence

import tensorflow as tf

from wlasl_tfrecord.shard_format.clip_proto import (
    CONTEXT_TYPES,
    FRAMES_KEY,
    ID_KEY,
    IMAGES_KEY,
    TIMES_KEY,
    context_shape,
)
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.codecs import Codec, codec_facts
from wlasl_tfrecord.shard_format.landmarks import (
    LANDMARK_GROUPS,
    NUM_LANDMARKS,
    landmark_keys,
)

__all__ = [
    "FRAMES_KEY",
    "ID_KEY",
    "IMAGES_KEY",
    "TIMES_KEY",
    "context_features",
    "parse_clip",
    "parse_frames",
    "parse_landmarks",
    "parse_times",
    "read_contents",
    "read_record",
]


def parse_frames(
    serialized: tf.Tensor, clip: ClipSpec, codec: Codec
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Takes the encoded frames out of a record, which may be damaged.

    Args:
        serialized: string [], a record; an empty one has no frames.
        clip: The shape of the clips in the folder.
        codec: How the folder stores frames.

    Returns:
        The frames, string [] for `raw` and string [T] otherwise; string [] the video
        id; and bool [] whether the frames are as many bytes, or images, as a clip has.
    """
    text = tf.io.FixedLenFeature([], tf.string, default_value="")
    if codec == "raw":
        parsed = tf.io.parse_single_example(
            serialized, {FRAMES_KEY: text, ID_KEY: text}
        )
        frames = parsed[FRAMES_KEY]
        whole = tf.equal(tf.strings.length(frames), clip.num_bytes)
        return frames, parsed[ID_KEY], whole
    size = tf.io.FixedLenFeature([], tf.int64, default_value=0)
    lists = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
    context, parsed = tf.io.parse_single_sequence_example(
        serialized,
        context_features={"image/height": size, "image/width": size, ID_KEY: text},
        sequence_features={IMAGES_KEY: lists},
    )
    images = parsed[IMAGES_KEY]
    whole = (
        tf.equal(tf.size(images), clip.num_frames)
        & tf.equal(context["image/height"], clip.height)
        & tf.equal(context["image/width"], clip.width)
    )
    padding = tf.maximum(clip.num_frames - tf.size(images), 0)
    images = tf.pad(images, [[0, padding]], constant_values="")[: clip.num_frames]
    return tf.ensure_shape(images, [clip.num_frames]), context[ID_KEY], whole


def context_features(clip: ClipSpec) -> dict[str, tf.io.FixedLenFeature]:
    """Returns the parsing specification of the context, the same for every codec."""
    return {
        key: tf.io.FixedLenFeature(context_shape(key, clip), tf.as_dtype(dtype))
        for key, dtype in CONTEXT_TYPES.items()
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

    Raises:
        KeyError: If a key is none of the context.
        tf.errors.InvalidArgumentError: If the record lacks a key, or is no such proto.
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


def parse_times(serialized: tf.Tensor, clip: ClipSpec, codec: Codec) -> tf.Tensor:
    """Parses the instants of a record's frames, microseconds: int64 [T].

    Raises:
        tf.errors.InvalidArgumentError: If the record has another number of them.
    """
    if codec == "raw":
        spec = {TIMES_KEY: tf.io.FixedLenFeature([clip.num_frames], tf.int64)}
        return tf.io.parse_single_example(serialized, spec)[TIMES_KEY]
    _, lists = tf.io.parse_single_sequence_example(
        serialized,
        sequence_features={TIMES_KEY: tf.io.FixedLenSequenceFeature([], tf.int64)},
    )
    return tf.ensure_shape(lists[TIMES_KEY], [clip.num_frames])


def parse_landmarks(serialized: tf.Tensor, clip: ClipSpec, codec: Codec) -> tf.Tensor:
    """Parses the landmarks of a record; works eagerly and inside `Dataset.map`.

    Args:
        serialized: string [], one record of a folder that has landmarks.
        clip: The shape of the clips in the folder.
        codec: How the folder stores frames.

    Returns:
        float32 [T, K, 3]; see `landmarks`.

    Raises:
        tf.errors.InvalidArgumentError: If the record has none, or another number.
    """
    sizes = {
        key: num_points
        for group, num_points in LANDMARK_GROUPS.items()
        for key in landmark_keys(group)
    }
    if codec_facts(codec).stores_images:
        _, values = tf.io.parse_single_sequence_example(
            serialized,
            sequence_features={
                key: tf.io.FixedLenSequenceFeature([size], tf.float32)
                for key, size in sizes.items()
            },
        )
    else:
        values = tf.io.parse_single_example(
            serialized,
            {
                key: tf.io.FixedLenFeature([clip.num_frames, size], tf.float32)
                for key, size in sizes.items()
            },
        )
    groups = [
        tf.stack([values[key] for key in landmark_keys(group)], axis=-1)
        for group in LANDMARK_GROUPS
    ]
    return tf.ensure_shape(
        tf.concat(groups, axis=1), [clip.num_frames, NUM_LANDMARKS, 3]
    )


def read_record(path: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """Reads the record at an offset of a file; works eagerly and inside `Dataset.map`.

    TensorFlow's reader checks the record's CRC. Without a buffer it reads straight into
    the string; with one every byte is copied once more. `FixedLengthRecordDataset`
    would come to the offset by reading all before it. It takes memory for whatever
    length the record claims to have: `tfrecord.has_header` compares it first.

    Args:
        path: string [], a shard.
        offset: int64 [], where the record starts, at its length field.

    Returns:
        string [], the proto.

    Raises:
        tf.errors.DataLossError: If length or bytes do not fit their checksums.
        tf.errors.InvalidArgumentError: If the file ends before the record starts.
    """
    return _record_at(path, offset).get_single_element()


def read_contents(
    path: tf.Tensor,
    offset: tf.Tensor,
    clip: ClipSpec,
    codec: Codec,
    *,
    has_landmarks: bool = False,
) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
    """Reads the record at an offset of a file, and takes out of it what it holds.

    Never fails: what is no record, or no clip, is not whole.

    Args:
        path: string [], a shard.
        offset: int64 [], where the record starts.
        clip: The shape of the clips in the folder.
        codec: How the folder stores frames.
        has_landmarks: Whether to take landmarks out of it.

    Returns:
        The "encoded" frames, as `parse_frames` returns them, and "landmarks" (float32
        [T, K, 3]) if wanted; string [] the video id; bool [] whether all is whole.
    """

    def parse(serialized: tf.Tensor):
        frames, video_id, whole = parse_frames(serialized, clip, codec)
        contents = {"encoded": frames}
        if has_landmarks:
            landmarks = parse_landmarks(serialized, clip, codec)
            contents["landmarks"] = landmarks
            whole &= tf.reduce_all(tf.math.is_finite(landmarks))
        return contents, video_id, whole

    frames, *others = parse_frames(tf.constant(""), clip, codec)
    nothing = {"encoded": frames}
    if has_landmarks:
        nothing["landmarks"] = tf.zeros([clip.num_frames, NUM_LANDMARKS, 3])
    # Parsed in the dataset, whose errors are left out. In TensorFlow's own error the
    # bytes of the record are part of the message, which Python may fail to decode.
    return (
        _record_at(path, offset)
        .map(parse)
        .ignore_errors()
        .concatenate(tf.data.Dataset.from_tensors((nothing, *others)))
        .take(1)
        .get_single_element()
    )


def _record_at(path: tf.Tensor, offset: tf.Tensor) -> tf.data.Dataset:
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type="", buffer_size=0, byte_offsets=[offset]
    )
    spec = tf.TensorSpec([], tf.string)
    # `take` leaves the records after this one alone.
    return tf.data.experimental.from_variant(variant, spec).take(1)

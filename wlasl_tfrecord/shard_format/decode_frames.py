"""The stored frames of clips, decoded by TensorFlow."""

from collections.abc import Mapping

import tensorflow as tf

from wlasl_tfrecord.shard_format.clip_proto import FRAMES_KEY, IMAGES_KEY
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.codecs import Codec, codec_facts

__all__ = [
    "costly_parts",
    "decode_encoded",
    "decode_frames",
    "encode_black",
]


def decode_frames(
    parsed: Mapping[str, tf.Tensor], clip: ClipSpec, codec: Codec
) -> tf.Tensor:
    """Decodes the frames of a record that `parse_clip` returned.

    Args:
        parsed: What `parse_clip` returned.
        clip: The shape of the clip.
        codec: How the frames are stored.

    Returns:
        uint8 [T, H, W, 3], RGB.
    """
    key = FRAMES_KEY if codec == "raw" else IMAGES_KEY
    return decode_encoded(parsed[key], clip, codec)


def decode_encoded(encoded: tf.Tensor, clip: ClipSpec, codec: Codec) -> tf.Tensor:
    """Decodes the frames of one clip, or of a batch of them in one go.

    Args:
        encoded: For `raw`, string [] or [B]; otherwise string [T] or [B, T]. B has to
            be known before any tensor is.
        clip: The shape of the clips.
        codec: How the frames are stored.

    Returns:
        uint8 [T, H, W, 3] or [B, T, H, W, 3], RGB.

    Raises:
        tf.errors.InvalidArgumentError: If an image cannot be decoded, or the frames are
            not of that shape. Images are not decoded if their headers say so, or if
            they have too many parts that take long.
    """
    if codec == "raw":
        frames = tf.io.decode_raw(encoded, tf.uint8)
        return tf.reshape(frames, [*encoded.shape, *clip.shape])
    flat = _checked(tf.reshape(encoded, [encoded.shape.num_elements()]), clip, codec)
    # One operation a frame takes 8 % less time than tf.map_fn with its list of tensors.
    images = tf.unstack(flat)
    if codec == "png":
        frames = [tf.io.decode_png(image, channels=3) for image in images]
    else:
        # The accurate inverse DCT is what every other reader of JPEG uses.
        frames = [
            tf.io.decode_jpeg(image, channels=3, dct_method="INTEGER_ACCURATE")
            for image in images
        ]
    # Stacked, they have one shape: it is checked once.
    stacked = tf.ensure_shape(tf.stack(frames), [len(images), *clip.shape[1:]])
    return tf.reshape(stacked, [*encoded.shape[:-1], *clip.shape])


def _checked(images: tf.Tensor, clip: ClipSpec, codec: Codec) -> tf.Tensor:
    """Compares the sizes of images by their headers with the clip's, and counts parts.

    Before they are decoded: a small file can hold gigabytes of pixels, or a decoder
    take minutes for it.

    Args:
        images: string [N].
        clip: The shape of the clips.
        codec: How the frames are stored.

    Returns:
        The same images.

    Raises:
        tf.errors.InvalidArgumentError: If one has another size, or another format, or
            too many costly parts.
    """
    if codec == "png":
        # Every PNG starts so: its signature, the length and the name of its first
        # chunk, then width and height.
        start = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
        size = clip.width.to_bytes(4, "big") + clip.height.to_bytes(4, "big")
        padded = tf.strings.join([images, tf.constant(bytes(24))])
        fits = tf.equal(tf.strings.substr(padded, 0, 24), start + size)
    else:
        shapes = [tf.image.extract_jpeg_shape(one) for one in tf.unstack(images)]
        fits = tf.equal(tf.stack(shapes)[:, :2], [clip.height, clip.width])
    # The bare operation: tf.debugging.Assert adds control flow, which takes time.
    message = f"an image of the record is no {codec} of {clip.width} x {clip.height}"
    sizes = tf.raw_ops.Assert(condition=tf.reduce_all(fits), data=[message])
    most = codec_facts(codec).most_costly * clip.num_frames
    by_record = tf.reshape(costly_parts(images, codec, most), [-1, clip.num_frames])
    few = tf.reduce_all(tf.reduce_sum(by_record, axis=1) <= most)
    message = f"the images of a record have more than {most} costly parts"
    parts = tf.raw_ops.Assert(condition=few, data=[message])
    # Outside of a graph an operation that fails has raised.
    with tf.control_dependencies([one for one in (sizes, parts) if one is not None]):
        return tf.identity(images)


def costly_parts(images: tf.Tensor, codec: Codec, most: int) -> tf.Tensor:
    """Counts the parts of images that a decoder works long on.

    Args:
        images: string [N].
        codec: Their format.
        most: Of an image that has more of a kind, one more is counted.

    Returns:
        int64 [N].
    """
    counts = [
        # No other operation looks for bytes. It copies what is between them: for PNG
        # that is 7 % of the time of decoding, for JPEG it cannot be measured.
        tf.strings.split(images, mark, maxsplit=most + 1).row_lengths() - 1
        for mark in codec_facts(codec).costly_marks
    ]
    return tf.add_n(counts)


def encode_black(clip: ClipSpec, codec: Codec) -> bytes | list[bytes]:
    """Encodes a clip of zeros as its record would: bytes for `raw`, otherwise T."""
    if codec == "raw":
        return bytes(clip.num_bytes)
    encode = tf.io.encode_png if codec == "png" else tf.io.encode_jpeg
    with tf.init_scope():
        image = encode(tf.zeros([clip.height, clip.width, 3], tf.uint8)).numpy()
    return [image] * clip.num_frames

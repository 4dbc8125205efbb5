"""A trained model as a SavedModel: for TensorFlow Serving and `tf.saved_model.load`.

Three signatures, of which two answer in glosses rather than in numbers of outputs. A
model that takes landmarks has an input `landmarks`, float32 [B, T, K, 3], beside the
frames or in their place, and no signature `jpegs`:

    serving_default   frames, uint8 [B, T, H, W, 3]    -> probabilities, by output
    clips             frames, uint8 [B, T, H, W, 3]    -> glosses and probabilities
    jpegs             images, string [F] or [B, F]     -> glosses and probabilities

`glosses` is string [B, n] and `probabilities` float32 [B, n], the most probable first.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.inference.export_clips import Runner
from wlasl_tfrecord.inference.trained_model import Clips, TrainedModel
from wlasl_tfrecord.network.inputs import pick_inputs
from wlasl_tfrecord.network.model_info import ModelInfo, input_facts
from wlasl_tfrecord.shard_format.codecs import SMALLEST_CODEC, codec_facts
from wlasl_tfrecord.shard_format.decode_frames import costly_parts

__all__ = [
    "input_specs",
    "saved_model_runner",
    "write_one_clip_model",
    "write_saved_model",
]

# Of a frame that a client sends: 8K video has as many.
_MAX_PIXELS = 2**25
# In all scans of a frame, for each of which a decoder goes through all pixels:
# progressive ones of 8K have ten.
_MAX_SCANNED_PIXELS = 2**29


def write_saved_model(model: TrainedModel, path: Path) -> None:
    """Writes a SavedModel with all three signatures."""
    network, info = model.network, model.info
    clips = input_specs(info)
    # Traced once for all three: that takes longer than writing does.
    forward: Any = tf.function(
        lambda *values: network(_inputs(info, values), training=False),
        input_signature=clips,
    )
    archive: Any = keras.export.ExportArchive()
    archive.track(network)

    def ranked(*values: tf.Tensor) -> dict[str, tf.Tensor]:
        shares, labels = tf.math.top_k(forward(*values), len(info.glosses))
        # Made here, so that the words are a constant of this graph.
        glosses = tf.gather(list(info.glosses), labels)
        return {"glosses": glosses, "probabilities": shares}

    # Keras makes the signature `serving_default` of the endpoint `serve`.
    archive.add_endpoint(
        "serve",
        lambda *values: {"probabilities": forward(*values)},
        input_signature=clips,
    )
    archive.add_endpoint("clips", ranked, input_signature=clips)
    if info.takes_landmarks:
        archive.write_out(str(path), verbose=False)
        return
    any_rank: Any = None  # [F] and [B, F]
    archive.add_endpoint(
        "jpegs",
        lambda images: ranked(_clips_of_jpegs(images, info)),
        input_signature=[tf.TensorSpec(any_rank, tf.string, name="images")],
    )
    archive.write_out(str(path), verbose=False)


def write_one_clip_model(network: Any, info: ModelInfo, path: Path) -> None:
    """Writes a SavedModel that takes one clip at a time, for TFLite's converter."""
    archive: Any = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint(
        "serve",
        lambda *values: {
            "probabilities": network(_inputs(info, values), training=False)
        },
        input_signature=input_specs(info, num_clips=1),
    )
    archive.write_out(str(path), verbose=False)


def input_specs(info: ModelInfo, num_clips: int | None = None) -> list[tf.TensorSpec]:
    """Describes what a model takes of B clips, each with its name."""
    return [
        tf.TensorSpec((num_clips, *shape[1:]), dtype, name=name)
        for name, shape, dtype in input_facts(info)
    ]


def _inputs(info: ModelInfo, values: Sequence[tf.Tensor]) -> Any:
    """Returns what the network is called with."""
    return pick_inputs(info.inputs, dict(zip(info.inputs, values)))


def saved_model_runner(path: Path) -> Runner:
    """Loads a SavedModel as a program without this library would."""
    loaded: Any = tf.saved_model.load(str(path))
    signature = loaded.signatures["serving_default"]
    [name, *_] = signature.structured_input_signature[1]

    def run(clips: Clips) -> NDArray[np.float32]:
        # The model's variables exist only as long as `loaded` does.
        assert loaded is not None
        named = {name: clips} if isinstance(clips, np.ndarray) else clips
        values = {key: tf.constant(value) for key, value in named.items()}
        return signature(**values)["probabilities"].numpy()

    return run


def _clips_of_jpegs(images: tf.Tensor, info: ModelInfo) -> tf.Tensor:
    """Decodes videos that come as one JPEG a frame.

    Args:
        images: string [F] or [B, F], any number F of frames of any one size a video.
        info: The clip and the framing.

    Returns:
        uint8 [B, T, H, W, 3].
    """
    num_images = tf.shape(images)[-1]
    videos = tf.reshape(images, (-1, num_images))
    # As in video/sampling.py: first to last, evenly, halves up.
    count = info.clip.num_frames
    steps = tf.range(count)
    if count == 1:
        indices = tf.reshape((num_images - 1) // 2, (1,))
    else:
        doubled = 2 * steps * (num_images - 1) + (count - 1)
        indices = doubled // (2 * (count - 1))
    chosen = tf.reshape(tf.gather(videos, indices, axis=1), (-1,))
    shape = info.clip.shape
    frames = tf.map_fn(
        lambda jpeg: _frame_of_jpeg(jpeg, info),
        chosen,
        fn_output_signature=tf.TensorSpec(shape[1:], tf.uint8),
    )
    return tf.reshape(frames, (-1, *shape))


def _frame_of_jpeg(jpeg: tf.Tensor, info: ModelInfo) -> tf.Tensor:
    """Decodes and frames one image, string [] -> uint8 [H, W, 3].

    Raises:
        tf.errors.InvalidArgumentError: If it is no JPEG, or would take long to decode.
    """
    with tf.control_dependencies([_small_jpeg(jpeg)]):
        jpeg = tf.identity(jpeg)
    # The exact transform, as every other decoder of this library has it.
    image = tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")
    height, width = info.clip.height, info.clip.width
    size = tf.shape(image)[:2]
    if info.framing == "center":
        # The largest middle part with the aspect of the clip.
        scale = tf.cast(size, tf.float32) / tf.constant([height, width], tf.float32)
        wanted = tf.reduce_min(scale) * tf.constant([height, width], tf.float32)
        crop = tf.clip_by_value(tf.cast(tf.round(wanted), tf.int32), 1, size)
        top_left = (size - crop) // 2
        image = tf.slice(
            image, tf.concat([top_left, [0]], 0), tf.concat([crop, [3]], 0)
        )
    if info.framing == "pad":
        resized = tf.image.resize_with_pad(image, height, width, antialias=True)
    else:
        resized = tf.image.resize(image, (height, width), antialias=True)
    frame = tf.saturate_cast(tf.round(resized), tf.uint8)
    return tf.ensure_shape(frame, (height, width, 3))


def _small_jpeg(jpeg: tf.Tensor) -> tf.Operation:
    """Refuses a JPEG of a stranger that takes gigabytes or minutes to decode."""
    facts = codec_facts(SMALLEST_CODEC)
    size = tf.cast(tf.image.extract_jpeg_shape(jpeg), tf.int64)
    num_pixels = size[0] * size[1]
    num_scans = costly_parts(jpeg[tf.newaxis], SMALLEST_CODEC, facts.most_costly)[0]
    is_small = (num_pixels <= _MAX_PIXELS) & (num_scans <= facts.most_costly)
    is_small &= num_pixels * num_scans <= _MAX_SCANNED_PIXELS
    message = (
        f"a frame has more than {_MAX_PIXELS:,} pixels, or {facts.most_costly} scans, "
        f"or {_MAX_SCANNED_PIXELS:,} pixels in all scans"
    )
    return tf.debugging.Assert(is_small, [message])

"""A trained model as a TFLite file: for phones, small computers and the browser."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.inference import trained_model
from wlasl_tfrecord.inference.export_clips import Runner
from wlasl_tfrecord.inference.export_saved_model import write_one_clip_model
from wlasl_tfrecord.inference.trained_model import Clips, TrainedModel
from wlasl_tfrecord.network.layers import layers_within

__all__ = ["QUANTIZATIONS", "Quantization", "tflite_bytes", "tflite_runner"]

# float16: weights halved, computed in float32. dynamic: weights in 8 bits, activations
# in 8 bits where the kernels can, with ranges found for each clip. int8: weights and
# activations in 8 bits, with ranges measured on training clips.
Quantization = Literal["none", "float16", "dynamic", "int8"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)


def tflite_bytes(
    model: TrainedModel,
    quantization: Quantization,
    scratch: Path,
    calibration: Iterable[Mapping[str, NDArray[Any]]] = (),
) -> bytes:
    """Converts a model for one clip at a time, as TFLite needs fixed shapes.

    Args:
        model: The model.
        quantization: How weights and activations are stored.
        scratch: A folder to make for what lies between.
        calibration: Single clips by what the network takes of them, to measure
            activations on, for int8.

    Returns:
        The content of the file: `frames`, uint8 [1, T, H, W, 3], `landmarks`, float32
        [1, T, K, 3], or both -> `probabilities`.
    """
    network = model.network
    if quantization == "int8":
        network = _unrolled(network)
    # Through a SavedModel: the converter's other inputs lose Keras 3's variables.
    write_one_clip_model(network, model.info, scratch)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(scratch))
    if quantization != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif quantization == "int8":
        return _int8_bytes(converter, list(calibration))
    return converter.convert()


def tflite_runner(path: Path) -> Runner:
    """Loads a TFLite file, which computes one clip at a time."""
    interpreter = _interpreter(path)
    interpreter.allocate_tensors()
    tensors = interpreter.get_input_details()
    [probability_tensor] = interpreter.get_output_details()

    def run(clips: Clips) -> NDArray[np.float32]:
        rows = []
        for number in range(len(tf.nest.flatten(clips)[0])):
            for tensor in tensors:
                values = _values_for(tensor, clips)
                interpreter.set_tensor(tensor["index"], values[number : number + 1])
            interpreter.invoke()
            rows.append(interpreter.get_tensor(probability_tensor["index"])[0])
        return np.stack(rows)

    return run


def _values_for(tensor: Mapping[str, Any], clips: Clips) -> NDArray[Any]:
    """Returns what is for an input, whose name has more in it than `frames`."""
    if isinstance(clips, np.ndarray):
        return clips
    return next(one for name, one in clips.items() if name in tensor["name"])


def _int8_bytes(converter: Any, clips: Sequence[Mapping[str, Any]]) -> bytes:
    """Converts to 8 bits with measured ranges, but for softmax and divisions.

    The output of a softmax would be in steps of 1/256: of 100 glosses, most would have
    probability 0 and the order of five be chance. A small divisor would be 0. The
    recurrent layers stay in 8 bits: in float32 they make the file three times as large
    and a clip three times as slow, and on 80 real clips the first gloss was the same no
    more often (67 and 68 of 80).
    """
    converter.representative_dataset = lambda: iter(clips)
    with warnings.catch_warnings():
        # TensorFlow's own interpreter warns that it will move to LiteRT.
        warnings.simplefilter("ignore")
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter,
            debug_dataset=converter.representative_dataset,
            debug_options=tf.lite.experimental.QuantizationDebugOptions(
                denylisted_ops=["SOFTMAX", "DIV"]
            ),
        )
        return debugger.get_nondebug_quantized_model()


def _unrolled(network: keras.Model) -> keras.Model:
    """Copies a network with its recurrent layers as one step after another.

    As a loop, TFLite would compute them in float32: the converter does not look into
    the body of a loop.
    """
    copy = trained_model.rebuild(network)
    # Those in a Bidirectional, too: the measuring of ranges crashes at a loop.
    for layer in layers_within(copy):
        if hasattr(layer, "unroll"):
            layer.unroll = True
    return copy


def _interpreter(path: Path) -> Any:
    """Opens a TFLite file with LiteRT's interpreter, or TensorFlow's own."""
    try:
        from ai_edge_litert.interpreter import Interpreter  # pyright: ignore
    except ImportError:
        with warnings.catch_warnings():
            # TensorFlow's own works as well, but warns that it will move to LiteRT.
            warnings.simplefilter("ignore")
            return tf.lite.Interpreter(str(path))
    return Interpreter(str(path))

"""A trained model as ONNX: for ONNX Runtime and what else reads the format."""

import importlib.util
import logging
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.inference.export_clips import Runner
from wlasl_tfrecord.inference.trained_model import TrainedModel

__all__ = ["can_run_onnx", "onnx_runner", "write_onnx"]

# Old enough for every runtime in use, and the first with all operators that the
# converter wants for the recipes.
_OPSET = 17


def write_onnx(model: TrainedModel, path: Path) -> None:
    """Converts a model: `frames`, uint8 [B, T, H, W, 3] -> `probabilities`.

    Raises:
        OutputError: If the packages of the extra `onnx` are not installed.
    """
    try:
        import onnx  # pyright: ignore[reportMissingImports]
        import tf2onnx  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise OutputError(
            f"cannot write {path.name}: no package {error.name}; install the extra "
            "onnx: pip install 'wlasl-tfrecord[onnx]'"
        ) from error
    # It logs every pass of its optimiser.
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    network: Any = model.network
    spec = [tf.TensorSpec((None, *model.info.clip.shape), tf.uint8, name="frames")]
    function = tf.function(
        lambda frames: {"probabilities": network(frames, training=False)},
        input_signature=spec,
    )
    converted, _ = tf2onnx.convert.from_function(
        function, input_signature=spec, opset=_OPSET
    )
    onnx.checker.check_model(converted)
    path.write_bytes(converted.SerializeToString())


def can_run_onnx() -> bool:
    """Returns whether ONNX Runtime is installed."""
    return importlib.util.find_spec("onnxruntime") is not None


def onnx_runner(path: Path) -> Runner:
    """Loads an ONNX file in ONNX Runtime, on the CPU."""
    import onnxruntime  # pyright: ignore[reportMissingImports]

    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )

    def run(clips: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(session.run(["probabilities"], {"frames": clips})[0])

    return run

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
from wlasl_tfrecord.inference.export_saved_model import input_specs
from wlasl_tfrecord.inference.trained_model import Clips, TrainedModel
from wlasl_tfrecord.network.inputs import pick_inputs

__all__ = ["can_run_onnx", "onnx_runner", "write_onnx"]

# Old enough for every runtime in use, and the first with all operators that the
# converter wants for the recipes.
_OPSET = 17


def write_onnx(model: TrainedModel, path: Path) -> None:
    """Converts a model: what it takes of clips, by name -> `probabilities`.

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
    spec, inputs = input_specs(model.info), model.info.inputs
    function = tf.function(
        lambda *values: {
            "probabilities": network(
                pick_inputs(inputs, dict(zip(inputs, values))), training=False
            )
        },
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

    [name, *_] = [one.name for one in session.get_inputs()]

    def run(clips: Clips) -> NDArray[np.float32]:
        named = {name: clips} if isinstance(clips, np.ndarray) else dict(clips)
        return np.asarray(session.run(["probabilities"], named)[0])

    return run

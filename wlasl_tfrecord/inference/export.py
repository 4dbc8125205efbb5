"""A trained model in the formats that other programs load, compared with the model.

    keras         one file for Keras 3, any backend
    h5            one HDF5 file, for tools that need it
    saved_model   a folder for TensorFlow Serving and `tf.saved_model.load`
    tflite        one file for phones and small computers (LiteRT)

`model.json` beside each is as in a run folder: glosses by output, clip, framing.
"""

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.inference import trained_model
from wlasl_tfrecord.inference.trained_model import TrainedModel
from wlasl_tfrecord.network import model_info, saving
from wlasl_tfrecord.network.custom_layers import recipe_of_model

__all__ = [
    "FORMATS",
    "QUANTIZATIONS",
    "ExportReport",
    "Format",
    "Quantization",
    "export_model",
    "load_exported",
]

Format = Literal["saved_model", "tflite", "keras", "h5"]
FORMATS: tuple[Format, ...] = get_args(Format)

# float16: weights halved, computed in float32. dynamic: weights in 8 bits, activations
# in 8 bits where the kernels can.
Quantization = Literal["none", "float16", "dynamic"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)

Runner = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What was written, and how close it is to the model.

    Attributes:
        path: The file, or the folder of a SavedModel.
        num_bytes: Its size.
        max_difference: The largest difference of a probability from the model's, on
            `num_clips` clips of noise.
        num_clips: How many clips were compared.
    """

    path: Path
    num_bytes: int
    max_difference: float
    num_clips: int


def export_model(
    model: TrainedModel,
    out: str | os.PathLike[str],
    export_format: Format,
    *,
    quantization: Quantization = "none",
) -> ExportReport:
    """Writes a model in another format, loads the result, and compares the two.

    Args:
        model: A model that `trained_model.load_model` returned. It computes in float32,
            so a model that a GPU trained in 16 bits can be served on a CPU.
        out: The folder to write into, made if it does not exist. An earlier export in
            the same format is replaced.
        export_format: The format.
        quantization: How the weights are stored, for TFLite only.

    Returns:
        The path, the size and the largest difference.

    Raises:
        OutputError: If it cannot be written.
        RecipeError: If its network is not made of layers only, as h5 requires.
        ValueError: If a format other than TFLite is to be quantised.
    """
    if quantization != "none" and export_format != "tflite":
        raise ValueError(
            f"only tflite can be quantised, got {export_format!r} with {quantization!r}"
        )
    out_dir = Path(out)
    path = out_dir / _NAMES[export_format]
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        # Written aside and then renamed, so that no server ever loads half a model.
        with tempfile.TemporaryDirectory(dir=out_dir, prefix=".export-") as aside:
            written = Path(aside) / path.name
            if export_format == "saved_model":
                _write_saved_model(model, written)
            elif export_format == "tflite":
                scratch = Path(aside) / "scratch"
                written.write_bytes(_tflite_bytes(model, quantization, scratch))
            elif export_format == "h5":
                saving.write_h5(model.network, written, _unfolded_builder(model))
            else:
                model.network.save(written)
            difference, num_clips = _compare(model, load_exported(written))
            if path.is_dir():
                shutil.rmtree(path)
            os.replace(written, path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror or error}); free some space, or "
            "choose another folder with --out"
        ) from error
    model_info.write_model_info(out_dir, model.info)
    return ExportReport(
        path=path,
        num_bytes=_num_bytes(path),
        max_difference=difference,
        num_clips=num_clips,
    )


def load_exported(path: str | os.PathLike[str]) -> Runner:
    """Loads an exported model as a program without this library would.

    Args:
        path: A file or folder that `export_model` wrote.

    Returns:
        A function uint8 [B, T, H, W, 3] -> float32 [B, num_classes].
    """
    path = Path(path)
    if path.suffix == ".tflite":
        return _tflite_runner(path)
    if path.is_dir():
        loaded: Any = tf.saved_model.load(str(path))
        signature = loaded.signatures["serving_default"]
        # The model's variables exist only as long as `loaded` does.
        return lambda clips: (
            signature(frames=tf.constant(clips))["probabilities"].numpy()
            if loaded
            else np.empty(0, np.float32)
        )
    network: Any = keras.models.load_model(path, compile=False)
    return lambda clips: np.asarray(network.predict_on_batch(clips))


_NAMES: dict[Format, str] = {
    "saved_model": "saved_model",
    "tflite": "model.tflite",
    "keras": "model.keras",
    "h5": "model.h5",
}


def _write_saved_model(
    model: TrainedModel, path: Path, batch_size: int | None = None
) -> None:
    """Writes a SavedModel whose signature takes uint8 clips."""
    shape = (batch_size, *model.info.clip.shape)
    archive: Any = keras.export.ExportArchive()
    archive.track(model.network)
    archive.add_endpoint(
        "serve",
        lambda frames: {"probabilities": model.network(frames, training=False)},
        input_signature=[tf.TensorSpec(shape, tf.uint8, name="frames")],
    )
    archive.write_out(str(path), verbose=False)


def _tflite_bytes(
    model: TrainedModel, quantization: Quantization, scratch: Path
) -> bytes:
    """Converts a model for one clip at a time, as TFLite needs fixed shapes."""
    # Through a SavedModel: the converter's other inputs lose Keras 3's variables.
    _write_saved_model(model, scratch, batch_size=1)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(scratch))
    if quantization != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def _tflite_runner(path: Path) -> Runner:
    interpreter = _interpreter(path)
    interpreter.allocate_tensors()
    [clip_tensor] = interpreter.get_input_details()
    [probability_tensor] = interpreter.get_output_details()

    def run(clips: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows = []
        for clip in clips:
            interpreter.set_tensor(clip_tensor["index"], clip[None])
            interpreter.invoke()
            rows.append(interpreter.get_tensor(probability_tensor["index"])[0])
        return np.stack(rows)

    return run


def _unfolded_builder(model: TrainedModel) -> Callable[[], keras.Model] | None:
    """Returns a function that builds the network without folded time, if possible."""
    found = recipe_of_model(model.path, model.info, model.recipe)
    if found is None or "fold_time" not in found.options:
        return None
    chosen = {name: one for name, one in model.info.recipe.items() if name != "name"}
    options = {**chosen, "weights": "none", "fold_time": False}
    return partial(found.build, model.info.clip, len(model.info.glosses), options)


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


def _compare(model: TrainedModel, runner: Runner) -> tuple[float, int]:
    """Returns the largest difference of a probability, and on how many noise clips."""
    num_clips = 2
    shape = (num_clips, *model.info.clip.shape)
    clips = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    # Plain noise gives the same answer for every clip; another brightness does not.
    clips[1] //= 3
    difference = np.abs(runner(clips) - trained_model.probabilities(model, clips))
    return float(difference.max()), num_clips


def _num_bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())

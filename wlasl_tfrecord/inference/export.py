"""A trained model in the formats that other programs load, compared with the model.

    keras         one file for Keras 3, any backend
    h5            one HDF5 file, for tools that need it
    saved_model   a folder for TensorFlow Serving and `tf.saved_model.load`
    tflite        one file for phones and small computers (LiteRT)
    onnx          one file for ONNX Runtime

`model.json` beside each is as in a run folder: glosses by output, clip, framing. The
page without a server, which has a TFLite file in it, is made by `serving.web_export`.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import keras
import numpy as np

from wlasl_tfrecord.errors import OutputError, WlaslError
from wlasl_tfrecord.inference.export_clips import (
    Runner,
    SplitComparison,
    calibration_clips,
    compare_on_noise,
    compare_on_split,
    load_fitting_folder,
)
from wlasl_tfrecord.inference.export_onnx import can_run_onnx, onnx_runner, write_onnx
from wlasl_tfrecord.inference.export_saved_model import (
    saved_model_runner,
    write_saved_model,
)
from wlasl_tfrecord.inference.export_tflite import (
    QUANTIZATIONS,
    Quantization,
    tflite_bytes,
    tflite_runner,
)
from wlasl_tfrecord.inference.trained_model import TrainedModel
from wlasl_tfrecord.network import model_info, saving
from wlasl_tfrecord.network.custom_layers import recipe_of_model
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.text import reason_of

__all__ = [
    "FORMATS",
    "QUANTIZATIONS",
    "ExportReport",
    "Format",
    "Quantization",
    "check_replaceable",
    "export_model",
    "load_exported",
]

Format = Literal["saved_model", "tflite", "onnx", "keras", "h5"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What was written, and how close it is to the model.

    Attributes:
        path: The file, or the folder of a SavedModel.
        num_bytes: Its size.
        max_difference: The largest difference of a probability from the model's, on
            `num_clips` clips of noise; None if nothing here can run the export.
        num_clips: How many clips of noise were compared.
        comparison: How the two do on a split, if a shard folder was given.
    """

    path: Path
    num_bytes: int
    max_difference: float | None
    num_clips: int
    comparison: SplitComparison | None = None

    def __str__(self) -> str:
        """Returns how close the export is, in a few words."""
        if self.max_difference is None:
            return "not compared, as onnxruntime is not installed"
        return (
            f"on {self.num_clips} clips its probabilities differ by at most "
            f"{self.max_difference:.1g}"
        )


def check_replaceable(path: Path, marker: str) -> None:
    """Checks that a folder in the place of an export is an earlier one.

    Anybody may have a folder `web` that is not ours, and it would be removed.

    Args:
        path: Where the export is to be.
        marker: A file that an export has which is a folder.

    Raises:
        OutputError: If it is a link to a folder, or a folder with other files.
    """
    if not path.is_dir():
        return
    is_ours = (path / marker).is_file() or not any(path.iterdir())
    if path.is_symlink() or not is_ours:
        raise OutputError(
            f"{path} is no earlier export; move it away, or choose another folder with "
            "--out"
        )


def export_model(
    model: TrainedModel,
    out: str | os.PathLike[str],
    export_format: Format,
    *,
    quantization: Quantization = "none",
    data: str | os.PathLike[str] | ShardFolder | None = None,
    split: str | None = None,
) -> ExportReport:
    """Writes a model in another format, loads the result, and compares the two.

    Args:
        model: A model that `trained_model.load_model` returned. It computes in float32,
            so a model that a GPU trained in 16 bits can be served on a CPU.
        out: The folder to write into, made if it does not exist. An earlier export in
            the same format is replaced.
        export_format: The format.
        quantization: How weights and activations are stored, for TFLite only.
        data: Shard folder: int8 is calibrated on its training clips, and any export is
            compared with the model on `split`.
        split: By default test, or val if there is no test.

    Returns:
        The path, the size and the differences.

    Raises:
        OutputError: If it cannot be written, the format cannot hold the network, or a
            package that it needs is missing.
        RecipeError: If its network is not made of layers only, as h5 requires.
        ShardFolderError: If the shard folder or the split cannot be used.
        TrainingError: If the model was trained on other clips than the folder's.
        ValueError: If a format other than TFLite is to be quantised, or int8 is wanted
            without `data`.
    """
    if quantization != "none" and export_format != "tflite":
        raise ValueError(
            f"only tflite can be quantised, got {export_format!r} with {quantization!r}"
        )
    if quantization == "int8" and data is None:
        raise ValueError("int8 is calibrated on training clips; name a shard folder")
    folder = None if data is None else load_fitting_folder(data, model)
    if folder is not None:
        split = split or ("test" if "test" in folder.splits else "val")
        folder.split_shards(split)
    out_dir = Path(out)
    path = out_dir / _NAMES[export_format]
    check_replaceable(path, "saved_model.pb")
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        # Written aside and then renamed, so that no server ever loads half a model.
        with tempfile.TemporaryDirectory(dir=out_dir, prefix=".export-") as aside:
            written = Path(aside) / path.name
            runner, difference, num_clips, comparison = None, None, 0, None
            with _one_line_conversion_errors(path, model):
                _write(model, written, export_format, quantization, folder)
                if export_format != "onnx" or can_run_onnx():
                    runner = load_exported(written)
                    difference, num_clips = compare_on_noise(model, runner)
            if runner is not None and difference is not None:
                if folder is not None and split is not None:
                    comparison = compare_on_split(model, runner, folder, split)
                _check_numbers(path, difference, comparison)
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
        comparison=comparison,
    )


@contextlib.contextmanager
def _one_line_conversion_errors(path: Path, model: TrainedModel) -> Iterator[None]:
    """Turns what a converter fails with into one line: each has errors of its own.

    Raises:
        OutputError: If the format cannot hold the network, or cannot compute it.
    """
    try:
        yield
    except (WlaslError, OSError):
        raise
    except Exception as error:
        raise OutputError(
            f"{path.name} cannot hold the network of {model.path} "
            f"({reason_of(error)}); choose another --format"
        ) from error


def _check_numbers(
    path: Path, difference: float, comparison: SplitComparison | None
) -> None:
    """Refuses an export whose probabilities are no numbers.

    Raises:
        OutputError: If it has some.
    """
    differences = [difference, comparison.max_difference if comparison else 0.0]
    if not np.isfinite(differences).all():
        raise OutputError(
            f"{path.name} would give probabilities that are no numbers; export with "
            "another --quantize, or none"
        )


def load_exported(path: str | os.PathLike[str]) -> Runner:
    """Loads an exported model as a program without this library would.

    Args:
        path: A file or folder that `export_model` wrote.

    Returns:
        A function of what the model takes of clips -> float32 [B, num_classes].
    """
    path = Path(path)
    if path.suffix == ".tflite":
        return tflite_runner(path)
    if path.suffix == ".onnx":
        return onnx_runner(path)
    if path.is_dir():
        return saved_model_runner(path)
    network: Any = keras.models.load_model(path, compile=False)
    return lambda clips: np.asarray(network.predict_on_batch(clips))


_NAMES: dict[Format, str] = {
    "saved_model": "saved_model",
    "tflite": "model.tflite",
    "onnx": "model.onnx",
    "keras": "model.keras",
    "h5": "model.h5",
}


def _write(
    model: TrainedModel,
    path: Path,
    export_format: Format,
    quantization: Quantization,
    folder: ShardFolder | None,
) -> None:
    """Writes a model to a path that does not exist yet."""
    if export_format == "saved_model":
        write_saved_model(model, path)
    elif export_format == "tflite":
        inputs = model.info.inputs
        clips = calibration_clips(folder, inputs) if folder is not None else ()
        scratch = path.with_name("scratch")
        path.write_bytes(tflite_bytes(model, quantization, scratch, clips))
    elif export_format == "onnx":
        write_onnx(model, path)
    elif export_format == "h5":
        saving.write_h5(model.network, path, _unfolded_builder(model))
    else:
        model.network.save(path)


def _unfolded_builder(model: TrainedModel) -> Callable[[], keras.Model] | None:
    """Returns a function that builds the network without folded time, if possible."""
    found = recipe_of_model(model.path, model.info, model.recipe)
    if found is None or "fold_time" not in found.options:
        return None
    chosen = {name: one for name, one in model.info.recipe.items() if name != "name"}
    options = {**chosen, "weights": "none", "fold_time": False}
    return partial(found.build, model.info.clip, len(model.info.glosses), options)


def _num_bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())

"""Run folders: choices, models, weights, checkpoints and the history."""

import dataclasses
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz_kinds.changes import (
    changed_bytes,
    changed_json,
    changed_table,
    changed_zip,
)
from benchmarks.fuzz_kinds.kind import Kind
from wlasl_tfrecord.errors import WlaslError

__all__ = ["KINDS"]


def run_config_kind(directory: Path) -> Kind:
    """`config.json` of a run that is to be resumed."""
    from wlasl_tfrecord.training.config import TrainConfig, changed_options
    from wlasl_tfrecord.training.run_config import read_run_config, trusted_recipe

    value = {
        "training": dataclasses.asdict(TrainConfig(recipe_options={"alpha": 0.35})),
        "data": "/shards",
        "index_sha256": {"train": "0" * 64, "val": "1" * 64},
        "recipe_sha256": "2" * 64,
        "num_replicas": 1,
    }

    def read(forged: bytes) -> None:
        (directory / "config.json").write_bytes(forged)
        stored = read_run_config(directory)
        changed_options(stored.training, TrainConfig())
        dict(stored.index_sha256)
        trusted_recipe(directory, stored)

    return Kind(content=json.dumps(value).encode(), change=changed_json, read=read)


def model_info_kind(directory: Path) -> Kind:
    """`model.json` beside a model."""
    from wlasl_tfrecord.network.custom_layers import recipe_of_model
    from wlasl_tfrecord.network.model_info import read_model_info
    from wlasl_tfrecord.shard_format.clips import ClipSpec

    (directory / "model.keras").touch()
    value = {
        "format_version": 1,
        "glosses": ["book", "drink"],
        "clip": dataclasses.asdict(ClipSpec()),
        "framing": "center",
        "recipe": {"name": "mobilenetv2_lstm", "alpha": 0.35},
        "recipe_sha256": "0" * 64,
    }

    def read(forged: bytes) -> None:
        (directory / "model.json").write_bytes(forged)
        info = read_model_info(directory)
        assert all(gloss.encode() for gloss in info.glosses)
        assert info.clip.num_bytes
        recipe_of_model(directory / "model.keras", info, None)

    return Kind(content=json.dumps(value).encode(), change=changed_json, read=read)


def network_kind(directory: Path) -> Kind:
    """The description of the network inside of `model.keras`."""
    import keras

    from wlasl_tfrecord.inference import trained_model
    from wlasl_tfrecord.network.model_info import ModelInfo, write_model_info
    from wlasl_tfrecord.shard_format.clips import ClipSpec

    clip = ClipSpec(num_frames=2, height=4, width=4)
    info = ModelInfo(glosses=("book", "drink"), clip=clip, framing="center")
    write_model_info(directory, info)
    frames = keras.Input(clip.shape, dtype="uint8")
    x = keras.layers.Rescaling(1 / 255.0)(frames)
    x = keras.layers.TimeDistributed(keras.layers.Flatten())(x)
    x = keras.layers.LSTM(3)(x)
    x = keras.layers.Dense(2, activation="softmax")(keras.layers.Dropout(0.1)(x))
    path = directory / "model.keras"
    keras.Model(frames, x).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def read(forged: bytes) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, member in members.items():
                archive.writestr(name, forged if name == "config.json" else member)
        model = trained_model.load_model(path)
        model.warm_up()

    return Kind(content=members["config.json"], change=changed_json, read=read)


def checkpoint_kind(directory: Path, *, progress_alone: bool) -> Kind:
    """The newest checkpoint: where it is damaged, the one before is used."""
    from wlasl_tfrecord.training import checkpoints, history
    from wlasl_tfrecord.training.progress import Progress
    from wlasl_tfrecord.training.report import report_run

    row = {"phase": "head", "epoch": 1, "loss": 0.5, "top1": 0.5, "top5": 1.0}
    row |= {"seconds": 3.0, "val_loss": 1.0, "val_top1": 0.5, "val_top5": 0.6}
    progress = Progress(epoch=1, step=2, total_steps=9, rows=(row, row))
    arrays = {
        "model/kernel": np.ones((4, 5), np.float32),
        "step/count": np.int64(3) * np.ones((), np.int64),
    }
    older = checkpoints.Checkpoint(8, progress, arrays)
    checkpoints.save_checkpoint(directory, older)
    path = checkpoints.save_checkpoint(directory, older._replace(step=9))
    content = path.read_bytes()
    text = json.dumps(dataclasses.asdict(progress)).encode()

    def read(forged: bytes) -> None:
        if progress_alone:
            values = {"progress.json": np.frombuffer(forged, np.uint8), **arrays}
            out = io.BytesIO()
            np.savez(out, allow_pickle=False, **values)
            forged = out.getvalue()
        path.write_bytes(forged)
        lines: list[str] = []
        found = checkpoints.load_newest(directory, lines.append)
        assert found is not None
        rows = found.progress.rows
        if rows:
            str(report_run(directory, rows))
            history.is_drawing_due(rows)
            history.write_history(directory, rows)
            history.read_history(directory)
        copied = found.progress.snapshot()
        copied.stopping.add_epoch((0.5, -1.0), 1.0)
        json.dumps(dataclasses.asdict(copied))
        if found.step == 8:
            raise WlaslError(" ".join(lines).replace("\n", " ") or "no reason")

    if progress_alone:
        return Kind(content=text, change=changed_json, read=read)
    return Kind(content=content, change=changed_zip, read=read)


def history_kind(directory: Path) -> Kind:
    """`history.csv` of a run."""
    from wlasl_tfrecord.training.history import COLUMNS, read_history

    row = ",".join(["head", *("1.5" for _ in COLUMNS[1:])])
    content = f"{','.join(COLUMNS)}\n{row}\n{row}\n".encode()

    def read(forged: bytes) -> None:
        (directory / "history.csv").write_bytes(forged)
        read_history(directory)

    return Kind(content=content, change=changed_table, read=read)


def _small_network() -> Any:
    """Builds a network whose file is the same in every run, so that findings are."""
    import keras

    layer = keras.layers.Dense(3, kernel_initializer="ones", name="dense")
    return keras.Sequential([keras.Input((4,), name="input"), layer], name="network")


def _end_hdf5_soon() -> None:
    """Gives HDF5 a second: on one file in a hundred it would never end."""
    from wlasl_tfrecord.network import hdf5_content

    hdf5_content._SECONDS = 1


def weights_kind(directory: Path) -> Kind:
    """A file of weights, as `--weights` takes it."""
    from wlasl_tfrecord.network.model_file import opened_weights

    _end_hdf5_soon()
    model = _small_network()
    path = directory / "a.weights.h5"
    model.save_weights(path)

    def read(forged: bytes) -> None:
        path.write_bytes(forged)
        try:
            with opened_weights(path) as place:
                model.load_weights(place)
        except WlaslError:
            raise
        except Exception as error:
            # As a recipe does: whatever HDF5 and Keras raise is one line.
            raise WlaslError("refused") from error

    return Kind(content=path.read_bytes(), change=changed_bytes, read=read)


def h5_kind(directory: Path) -> Kind:
    """A model in Keras's older format."""
    from absl import logging

    from wlasl_tfrecord.network.saving import load_network

    _end_hdf5_soon()
    path = directory / "model.h5"
    logging.set_verbosity(logging.ERROR)
    _small_network().save(path)

    def read(forged: bytes) -> None:
        path.write_bytes(forged)
        load_network(path)

    return Kind(content=path.read_bytes(), change=changed_bytes, read=read)


KINDS = {
    "config": run_config_kind,
    "model": model_info_kind,
    "network": network_kind,
    "weights": weights_kind,
    "h5": h5_kind,
    "progress": lambda d: checkpoint_kind(d, progress_alone=True),
    "npz": lambda d: checkpoint_kind(d, progress_alone=False),
    "history": history_kind,
}

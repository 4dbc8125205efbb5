"""A trained model as static files: the page of `bin/serve` without a server.

The page, its styles and its scripts are those that `bin/serve` sends; `local.js`
answers in the browser what the server would, with the model as a TFLite file and
LiteRT.js.
"""

import dataclasses
import os
import re
import shutil
import tempfile
from importlib import resources
from pathlib import Path

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.files import output_errors, write_json
from wlasl_tfrecord.inference import export
from wlasl_tfrecord.inference.export import ExportReport, Quantization
from wlasl_tfrecord.inference.trained_model import TrainedModel
from wlasl_tfrecord.serving.litert_package import write_litert
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder

__all__ = ["export_web"]

_SCRIPTS_AND_STYLES = (
    *("page.css", "page.js", "live.js", "local.js"),
    *("frames.js", "pixels.js", "video_file.js"),
)
# As the server's own (guard.py), but for WebAssembly, which LiteRT is. What a page
# cannot say of itself, such as who may show it in a frame, is up to the host.
_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types default",
    )
)


def export_web(
    model: TrainedModel,
    out: str | os.PathLike[str],
    *,
    quantization: Quantization = "none",
    data: str | os.PathLike[str] | ShardFolder | None = None,
    split: str | None = None,
    litert: str | os.PathLike[str] | None = None,
) -> ExportReport:
    """Writes the folder `web`, which any web server can deliver as it is.

    Args:
        model: A model that `load_model` returned.
        out: The folder to write `web` into. An earlier one is replaced.
        quantization: As in `export_model`.
        data: As in `export_model`.
        split: As in `export_model`.
        litert: Folder with the archives of LiteRT.js; by default they are downloaded.

    Returns:
        What `export_model` finds about the TFLite file, with the path and the size of
        the folder.

    Raises:
        OutputError: If the folder cannot be written or replaced, LiteRT.js cannot be
            had, or the model takes landmarks.
        ShardFolderError: If the shard folder or the split cannot be used.
        TrainingError: If the model was trained on other clips than the folder's.
        ValueError: If int8 is wanted without `data`.
    """
    if model.info.takes_landmarks:
        raise OutputError(
            f"{model.path} takes landmarks, which the page in a browser cannot find; "
            "export a model of frames, or serve this one with bin/serve"
        )
    path = Path(out) / "web"
    export.check_replaceable(path, "model.tflite")
    way_out = "free some space, or choose another folder with --out"
    with output_errors(path, way_out):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as aside:
            written = Path(aside) / "web"
            # First: without a network it fails at once.
            write_litert(written / "litert", litert)
            report = export.export_model(
                model,
                written,
                "tflite",
                quantization=quantization,
                data=data,
                split=split,
            )
            _write_page(model, written)
            if path.is_dir():
                shutil.rmtree(path)
            os.replace(written, path)
    files = [file for file in path.rglob("*") if file.is_file()]
    num_bytes = sum(file.stat().st_size for file in files)
    return dataclasses.replace(report, path=path, num_bytes=num_bytes)


def _write_page(model: TrainedModel, folder: Path) -> None:
    static = resources.files("wlasl_tfrecord.serving").joinpath("static")
    for name in _SCRIPTS_AND_STYLES:
        (folder / name).write_bytes(static.joinpath(name).read_bytes())
    html = static.joinpath("page.html").read_text(encoding="utf-8")
    (folder / "index.html").write_text(_local_page(html), encoding="utf-8")
    info = model.info
    # Only what the page needs: the recipe's options may name files of this machine.
    description = {
        "name": model.path.resolve().parent.name,
        "glosses": info.glosses,
        "clip": dataclasses.asdict(info.clip),
        "framing": info.framing,
    }
    write_json(folder / "model.json", description)


def _local_page(html: str) -> str:
    """Turns the server's page into one that asks no server."""
    head = (
        '<meta http-equiv="Content-Security-Policy" '
        f'content="{_CONTENT_SECURITY_POLICY}">\n'
        # A module is run in its place among deferred scripts: before page.js.
        '<script type="module" src="local.js"></script>'
    )
    html = html.replace("<!-- local -->", head)
    html = html.replace("<!-- server -->server<!-- /server -->", "device")
    return re.sub(r"<!-- server -->.*?<!-- /server -->\n?", "", html, flags=re.DOTALL)

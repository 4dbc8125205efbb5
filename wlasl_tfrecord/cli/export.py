"""Writes a trained model in the form that another program loads."""

import argparse
import sys
from collections.abc import Sequence

from wlasl_tfrecord.cli import model_options
from wlasl_tfrecord.cli.command import make_parser, run
from wlasl_tfrecord.cli.process import import_tensorflow
from wlasl_tfrecord.shard_format.layout import SPLITS
from wlasl_tfrecord.shard_format.shard_folder import load_folder
from wlasl_tfrecord.text import size_text

__all__ = ["main"]

# As in inference/export.py, which imports TensorFlow, and the page that serving/ makes;
# a test holds them together.
_FORMATS = ("saved_model", "tflite", "onnx", "web", "keras", "h5")
# A page has a TFLite file in it.
_QUANTIZED = ("tflite", "web")
_QUANTIZATIONS = ("none", "float16", "dynamic", "int8")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bin/export`."""
    parser = make_parser(
        "export",
        "Writes the model of a run for a server (saved_model), a phone (tflite), ONNX "
        "Runtime (onnx), a page without a server (web) or another Keras program "
        "(keras, h5), reads it back and compares the two.",
    )
    model_options.add_run(parser)
    model_options.add_model(parser)
    parser.add_argument(
        "--format", choices=_FORMATS, default="saved_model", help="what to write"
    )
    parser.add_argument("--out", default="exported", help="folder to write into")
    parser.add_argument(
        "--quantize",
        choices=_QUANTIZATIONS,
        default="none",
        help="for tflite and web: float16 halves the file, dynamic makes it a quarter, "
        "int8 computes in 8 bits too and needs --data",
    )
    parser.add_argument(
        "--data",
        help="shard folder: int8 is calibrated on its training clips, and every export "
        "is compared with the model on --split",
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        help="by default test, or val if there is no test",
    )
    parser.add_argument(
        "--litert",
        metavar="FOLDER",
        help="for web: folder with the archives of LiteRT.js as npm pack writes them "
        "(default: they are downloaded)",
    )
    return run("export", parser, _export, argv)


def _export(arguments: argparse.Namespace) -> int:
    from wlasl_tfrecord.network import model_info
    from wlasl_tfrecord.training import run_folder

    if arguments.quantize != "none" and arguments.format not in _QUANTIZED:
        raise ValueError(
            f"--quantize is for --format tflite or web, got --format {arguments.format}"
        )
    if arguments.litert is not None and arguments.format != "web":
        raise ValueError(
            f"--litert is for --format web, got --format {arguments.format}"
        )
    if arguments.data is None and arguments.quantize == "int8":
        raise ValueError("--quantize int8 is calibrated on training clips: give --data")
    if arguments.data is None and arguments.split is not None:
        raise ValueError("--split is a split of a shard folder: give --data")
    run_dir = arguments.run or model_info.find_run()
    info = model_info.read_model_info(run_dir)
    folder = None
    if arguments.data is not None:
        folder = load_folder(arguments.data)
        model_info.check_fits(info, folder, run_dir)
        if arguments.split is not None:
            folder.split_shards(arguments.split)
    run_folder.check_writable(arguments.out)

    # Only now TensorFlow: a mistyped option should answer at once.
    import_tensorflow()
    from wlasl_tfrecord.inference import export, trained_model
    from wlasl_tfrecord.serving import web_export

    model = trained_model.load_model(run_dir, arguments.model)
    options = {
        "quantization": arguments.quantize,
        "data": folder,
        "split": arguments.split,
    }
    if arguments.format == "web":
        report = web_export.export_web(
            model, arguments.out, litert=arguments.litert, **options
        )
    else:
        report = export.export_model(model, arguments.out, arguments.format, **options)
    print(f"{report.path}: {size_text(report.num_bytes)} from {model.path}; {report}")
    if report.comparison is not None:
        print(report.comparison)
    if arguments.format == "web":
        print(f"look at it: python3 -m http.server --directory {report.path}")
    else:
        print(f"{arguments.out}/model.json: glosses by output, clip and framing")
    return 0


if __name__ == "__main__":
    sys.exit(main())

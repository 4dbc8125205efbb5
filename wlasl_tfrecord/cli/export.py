"""Writes a trained model in the form that another program loads."""

import argparse
import sys
from collections.abc import Sequence

from wlasl_tfrecord.cli import model_options
from wlasl_tfrecord.cli.command import make_parser, run
from wlasl_tfrecord.cli.process import import_tensorflow
from wlasl_tfrecord.text import size_text

__all__ = ["main"]

# As in inference/export.py, which imports TensorFlow; a test holds them together.
_FORMATS = ("saved_model", "tflite", "keras", "h5")
_QUANTIZATIONS = ("none", "float16", "dynamic")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bin/export`."""
    parser = make_parser(
        "export",
        "Writes the model of a run for a server (saved_model), a phone (tflite) or "
        "another Keras program (keras, h5), reads it back and compares the two.",
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
        help="tflite's weights: float16 halves the file, dynamic makes it a quarter",
    )
    return run("export", parser, _export, argv)


def _export(arguments: argparse.Namespace) -> int:
    from wlasl_tfrecord.network import model_info
    from wlasl_tfrecord.training import run_folder

    if arguments.quantize != "none" and arguments.format != "tflite":
        raise ValueError(
            f"--quantize is for --format tflite, got --format {arguments.format}"
        )
    run_dir = arguments.run or model_info.find_run()
    model_info.read_model_info(run_dir)
    run_folder.check_writable(arguments.out)

    # Only now TensorFlow: a mistyped option should answer at once.
    import_tensorflow()
    from wlasl_tfrecord.inference import export, trained_model

    model = trained_model.load_model(run_dir, arguments.model)
    report = export.export_model(
        model, arguments.out, arguments.format, quantization=arguments.quantize
    )
    print(
        f"{report.path}: {size_text(report.num_bytes)} from {model.path}; on "
        f"{report.num_clips} clips its probabilities differ by at most "
        f"{report.max_difference:.1g}"
    )
    print(f"{arguments.out}/model.json: glosses by output, clip and framing")
    return 0


if __name__ == "__main__":
    sys.exit(main())

import sys
from pathlib import Path

import pytest

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.inference.export import ExportReport
from wlasl_tfrecord.inference.export_onnx import write_onnx
from wlasl_tfrecord.inference.trained_model import load_model


@pytest.mark.parametrize("package", ["onnx", "tf2onnx"])
def test_without_its_packages_the_way_out_is_told(
    trained_run, tmp_path, monkeypatch, package
):
    monkeypatch.setitem(sys.modules, package, None)
    model = load_model(trained_run)
    with pytest.raises(OutputError, match=rf"no package {package}; install the extra"):
        write_onnx(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_nothing_here_runs_is_said_to_be_not_compared():
    report = ExportReport(
        path=Path("model.onnx"), num_bytes=1, max_difference=None, num_clips=0
    )
    assert str(report) == "not compared, as onnxruntime is not installed"

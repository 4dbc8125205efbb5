import os
import subprocess
import sys

import pytest
from cli_programs import PROGRAM


@pytest.mark.skipif(sys.platform != "linux", reason="the settings are glibc's")
@pytest.mark.parametrize(
    ("variables", "expected"),
    [({}, str(4 << 30)), ({"MALLOC_TRIM_THRESHOLD_": "1000000"}, "1000000")],
)
def test_a_command_keeps_freed_memory_unless_told_otherwise(
    tmp_path, variables, expected
):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    environment = {**clean, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    done = subprocess.run(
        [sys.executable, str(program), "two words", "b"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{expected} ['two words', 'b']\n"


def test_tensorflow_starts_without_a_word():
    code = "from wlasl_tfrecord.cli import process; process.import_tensorflow(); "
    use = (
        "import sys, tensorflow as tf; tf.constant(1) + 1; print('!', file=sys.stderr)"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "CUDA_"))}
    environment = {**clean, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code + use],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "!\n"


def test_a_tensorflow_that_fails_to_load_says_why(tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "import os; os.write(2, b'I0000 remark\\nno libcudart\\n')\n"
        "raise ImportError('x')"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from wlasl_tfrecord.cli import process; process.import_tensorflow()",
        ],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("no libcudart\n")
    assert "ImportError: x" in done.stderr

import os
import subprocess
import sys

import pytest
import tqdm
from absl import logging
from checkout import CHECKOUT
from cli_programs import PROGRAM

from wlasl_tfrecord.cli import process


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


HOSTILE = "book\x1b[2J\u202e"
HARMLESS = r"book\u001b[2J\u202e"


def test_nothing_that_is_printed_controls_a_terminal(capsys):
    logging.use_absl_handler()
    with process.printable_streams():
        print(HOSTILE)
        sys.stderr.writelines([HOSTILE, "\n"])
        logging.warning("%s", HOSTILE)
    print(HOSTILE)
    out, err = capsys.readouterr()
    assert out == f"{HARMLESS}\n{HOSTILE}\n"
    assert err.startswith(f"{HARMLESS}\n")
    assert err.endswith(f"] {HARMLESS}\n")
    assert "\x1b" not in err


def test_a_progress_bar_still_returns_to_the_start_of_its_line(capsys):
    with process.printable_streams():
        with tqdm.tqdm(total=2, desc=HOSTILE, file=sys.stderr) as bar:
            bar.update(2)
        sys.stderr.write("\r")
        sys.stderr.write("a\rb\r")
    shown = capsys.readouterr().err
    assert shown.startswith("\r")
    assert f"\r{HARMLESS}: 100%" in shown
    assert shown.endswith("\n\ra\\u000db\r")


def test_a_defect_that_quotes_something_hostile_is_harmless(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        PROGRAM.replace("import os\n", "raise RuntimeError('\\x1b[2J')\n")
    )
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.endswith("RuntimeError: \\u001b[2J\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, f"--xla_gpu_cuda_data_dir={CHECKOUT}/wlasl_tfrecord/cli"),
        ("--a=1", f"--a=1 --xla_gpu_cuda_data_dir={CHECKOUT}/wlasl_tfrecord/cli"),
        ("--xla_gpu_cuda_data_dir=/b", "--xla_gpu_cuda_data_dir=/b"),
    ],
)
def test_the_assembler_for_gpus_is_none_of_the_current_folder(
    monkeypatch, before, after
):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    if before is not None:
        monkeypatch.setenv("XLA_FLAGS", before)
    process.ignore_cuda_sdk_lib()
    assert os.environ["XLA_FLAGS"] == after

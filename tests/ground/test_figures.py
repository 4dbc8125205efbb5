"""Matplotlib without the settings of others."""

import os
import subprocess
import sys


def test_settings_of_matplotlib_among_the_videos_are_not_read(tmp_path):
    # Nobody writes to the pipe: whoever opened it would wait for ever.
    os.mkfifo(tmp_path / "matplotlibrc")
    code = (
        "from wlasl_tfrecord.figures import ignore_matplotlibrc as ignore; ignore(); "
        "import os, matplotlib; print(matplotlib.rcParams['text.usetex'], os.getcwd())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == f"False {tmp_path}\n", done.stderr

"""Environments of their own for the packages of others: bin/test --interop, --io."""

import os
import subprocess
import sys
from pathlib import Path

from runtimes import RUNTIMES

# Where they are; None if these tests were not asked for.
STATE = os.environ.get("WLASL_INTEROP_DIR")
READER = ("numpy", "opencv-python-headless", "crc32c", "simplejpeg")
ENVIRONMENTS = {
    "tfds": ("tensorflow-datasets", "tensorflow"),
    # It uses pkg_resources, which later releases of setuptools do not have.
    "model-garden": ("tf-models-official", "setuptools < 80"),
    "dali": ("nvidia-dali-cuda120", "numpy"),
    # Of this release an index may have a CPU build, which pip prefers.
    "torch": ("torch == 2.13.*", "tfrecord", *READER),
    "io": (
        *("tensorflow == 2.17.*", "tensorflow-io == 0.37.1", "obstore"),
        *("absl-py", "av", "tqdm", "matplotlib", *READER),
    ),
    "grain": ("grain", *READER),
    "jax": ("jax", *READER),
    **{f"runtime-{name}": packages for name, (packages, *_) in RUNTIMES.items()},
    "beam": (
        *("apache-beam[dask]", "distributed", "obstore"),
        *("absl-py", "av", "tqdm", *READER),
    ),
}


def python_of(name):
    """Returns the Python of an environment, which is made if it is not there."""
    directory = Path(STATE) / name
    python, stamp = directory / "bin" / "python", directory / "requirements.txt"
    wanted = "\n".join(ENVIRONMENTS[name])
    if not (stamp.is_file() and stamp.read_text() == wanted):
        stamp.unlink(missing_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--no-input"]
        done = subprocess.run(
            [*pip, *ENVIRONMENTS[name]], capture_output=True, text=True
        )
        assert done.returncode == 0, f"pip cannot make {name}:\n{done.stderr[-2000:]}"
        stamp.write_text(wanted)
    return str(python)

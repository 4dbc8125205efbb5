"""What new processes inherit: no current folder in which they look for libraries."""

import os
import subprocess
import sys

import pytest
from checkout import CHECKOUT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is Linux's")


@pytest.mark.parametrize("before", [None, "", ":", "/a:", "/a::/b"])
@pytest.mark.parametrize("imports", ["wlasl_tfrecord, cv2", "cv2, wlasl_tfrecord"])
def test_opencv_does_not_open_the_current_folder(before, imports):
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    environment.pop("LD_LIBRARY_PATH", None)
    if before is not None:
        environment["LD_LIBRARY_PATH"] = before
    code = f"import os, {imports}; print(os.environ['LD_LIBRARY_PATH'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    parts = done.stdout.strip().split(":")
    assert all(parts)
    # And what a user has set stays.
    assert set(filter(None, (before or "").split(":"))) <= set(parts)

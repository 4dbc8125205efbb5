"""Folders that hold only some of the installed packages, and what these need."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement


def write_runtime(folder: Path, *names: str) -> Path:
    """Makes a folder with links to packages and to all that they require.

    Args:
        folder: The folder to make.
        names: Distributions, as pip names them.
    """
    folder.mkdir(parents=True)
    wanted, seen = list(names), set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        distribution = importlib.metadata.distribution(name)
        for line in distribution.requires or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": ""}):
                wanted.append(requirement.name)
        for file in distribution.files or ():
            top = file.parts[0]
            link = folder / top
            if top not in ("..", "__pycache__") and not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(top))))
    return folder


def run_there(folder: Path, code: str, *arguments: str) -> str:
    """Runs Python code that sees the standard library and a folder's packages alone."""
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "PYTHONPATH": str(folder),
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        # -S: no site-packages.
        [sys.executable, "-S", "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

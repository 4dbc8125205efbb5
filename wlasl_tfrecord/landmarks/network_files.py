"""The files of the networks: taken out of MediaPipe's package, and checked.

They are data of somebody else, under the Apache License 2.0, so they are not part of
this package. Nor is `mediapipe` installed, which would bring releases of protobuf and
NumPy that TensorFlow does not want: its wheel is fetched and never run, four files of
it are kept, and each is compared with its SHA-256 whenever it is read.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from wlasl_tfrecord.errors import LandmarkError
from wlasl_tfrecord.files import open_small, real_folder, written_whole
from wlasl_tfrecord.shard_format.landmarks import LANDMARK_NETWORKS

__all__ = ["NETWORK_FILES", "cache_folder", "find_networks", "read_network"]


class _File(NamedTuple):
    """A file of the wheel: the folder that it lies in, its size, its SHA-256."""

    folder: str
    num_bytes: int
    sha256: str


NETWORK_FILES: Mapping[str, _File] = {
    "pose_detection.tflite": _File(
        "mediapipe/modules/pose_detection",
        2_959_046,
        LANDMARK_NETWORKS["pose_detection.tflite"],
    ),
    "pose_landmark_full.tflite": _File(
        "mediapipe/modules/pose_landmark",
        6_440_512,
        LANDMARK_NETWORKS["pose_landmark_full.tflite"],
    ),
    "palm_detection_full.tflite": _File(
        "mediapipe/modules/palm_detection",
        2_339_846,
        LANDMARK_NETWORKS["palm_detection_full.tflite"],
    ),
    "hand_landmark_full.tflite": _File(
        "mediapipe/modules/hand_landmark",
        5_478_917,
        LANDMARK_NETWORKS["hand_landmark_full.tflite"],
    ),
}

# One wheel for every machine, as only its data count. Later releases than 0.10.21 have
# other networks, or none.
_PACKAGE = "mediapipe==0.10.21"
_WHEEL = "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"
_WHEEL_SHA256 = "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3"
_WHEEL_TAGS = (
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--platform=manylinux_2_28_x86_64",
)
_FETCH_SECONDS = 600

_WAY_OUT = (
    "on a machine with a network run `pip download --no-deps "
    f"{' '.join(_WHEEL_TAGS)} {_PACKAGE}`, unzip the .tflite files of {_WHEEL} into a "
    "folder, and name it by --landmark-models"
)


def cache_folder() -> Path:
    """Returns the folder in which fetched networks are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home, "wlasl_tfrecord", _PACKAGE.replace("==", "-"))


def find_networks(
    directory: str | os.PathLike[str] | None = None,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """Returns a folder with the networks, fetching them if need be.

    Args:
        directory: A folder that has them; by default the user's cache.
        say: Called with a line for a person before something is fetched.

    Raises:
        LandmarkError: If the folder lacks one or has another, or they cannot be
            fetched.
    """
    if directory is not None:
        for name in NETWORK_FILES:
            read_network(directory, name)
        return os.path.abspath(directory)
    cache = cache_folder()
    try:
        for name in NETWORK_FILES:
            read_network(cache, name)
    except LandmarkError:
        say(f"fetching the networks for landmarks, once: {_PACKAGE}, 34 MiB")
        _fetch(cache)
    return os.fspath(cache)


def read_network(directory: str | os.PathLike[str], name: str) -> bytes:
    """Reads a network's file.

    Args:
        directory: A folder with files of `NETWORK_FILES`.
        name: Which of them.

    Raises:
        LandmarkError: If it cannot be read, or is not the one that is known.
    """
    path = os.path.join(directory, name)
    known = NETWORK_FILES[name]
    try:
        with open(path, "rb", opener=open_small) as file:
            content = file.read(known.num_bytes + 1)
    except OSError as error:
        raise LandmarkError(
            f"cannot read {path} ({error.strerror or error}); --landmark-models takes "
            f"a folder with {', '.join(NETWORK_FILES)} of {_PACKAGE}"
        ) from error
    if hashlib.sha256(content).hexdigest() != known.sha256:
        raise LandmarkError(
            f"{path} is not the file of {_PACKAGE}; copy it again, or delete it"
        )
    return content


def _fetch(directory: Path) -> None:
    """Fetches the networks into a folder.

    Raises:
        LandmarkError: If they cannot be fetched or kept.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        real_folder(directory)
        with tempfile.TemporaryDirectory(prefix="wlasl-") as aside:
            wheel = _download(aside)
            for name, content in _unpack(wheel).items():
                with written_whole(directory / name) as path:
                    path.write_bytes(content)
    except OSError as error:
        raise LandmarkError(
            f"cannot keep the networks in {directory} ({error.strerror or error}); "
            "free some space, or set XDG_CACHE_HOME to another folder"
        ) from error


def _download(directory: str) -> str:
    """Has pip fetch the wheel, and returns its path; nothing of it is run."""
    # -I: a `pip.py` of the current folder is not run.
    command = [sys.executable, "-I", "-m", "pip", "download", "--no-deps", "--quiet"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", *_WHEEL_TAGS]
    command += ["--dest", directory, _PACKAGE]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_FETCH_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise LandmarkError(
            f"{_PACKAGE} was not fetched within {_FETCH_SECONDS} seconds; {_WAY_OUT}"
        ) from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise LandmarkError(f"cannot fetch {_PACKAGE} ({last}); {_WAY_OUT}")
    return os.path.join(directory, _WHEEL)


def _unpack(wheel: str) -> dict[str, bytes]:
    """Reads the networks out of the wheel, all of it checked."""
    with open(wheel, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
        if digest != _WHEEL_SHA256:
            raise LandmarkError(
                f"what was fetched as {_PACKAGE} is not the release that is known: "
                f"its SHA-256 is {digest}; {_WAY_OUT}"
            )
        with zipfile.ZipFile(file) as archive:
            return {
                name: archive.read(f"{known.folder}/{name}")
                for name, known in NETWORK_FILES.items()
            }

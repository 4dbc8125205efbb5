"""What several test files share: drawn videos, shard folders, the real clips."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drawn_manifests
import drawn_runs
import drawn_shards
import drawn_videos
import pytest
import sharding
import small_training
from checkout import CHECKOUT

from wlasl_tfrecord.annotations.manifest import Manifest

# Before TensorFlow is imported anywhere: its start-up lines are no warnings of ours.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def pytest_sessionstart() -> None:
    """Prepares the process of all tests, and of the commands that they start.

    The CPU is split in two devices, for the tests of strategies. TensorFlow takes that
    only before its first use.
    """
    # A shell's background job ignores Ctrl-C, and so does what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from wlasl_tfrecord.cli import process

    process.import_tensorflow()
    import tensorflow as tf

    # What a user has trained with is remembered there; a test's recipes are nobody's.
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="wlasl-state-")

    (cpu,) = tf.config.list_physical_devices("CPU")
    half = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [half, half])


def pytest_sessionfinish() -> None:
    """Removes what `pytest_sessionstart` made."""
    shutil.rmtree(os.environ["XDG_STATE_HOME"], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files with slow tests first: begun last, one would run on alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def wlasl_data() -> Path:
    """The folder with real WLASL clips and annotations; skips where there is none."""
    path = Path(os.environ.get("WLASL_DATA_DIR", CHECKOUT.parent / "shared" / "data"))
    if not (path / "annotations" / "WLASL_v0.3.json").is_file():
        pytest.skip(
            f"no real WLASL clips in {path}; set WLASL_DATA_DIR to their folder"
        )
    return path


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """An object store on this machine, for the tests of one file."""
    import object_stores  # skips what needs it where obstore is not installed

    with object_stores.running_store() as server:
        yield server


@pytest.fixture(scope="session")
def numbered_video() -> Callable[..., Path]:
    """A function that writes a video of numbered frames and gives its path."""
    return drawn_videos.write_numbered_video


@pytest.fixture(scope="session")
def frame_number() -> Callable[..., int]:
    """Reads back the number of a frame that `numbered_video` drew."""
    return drawn_videos.read_frame_number


@pytest.fixture(scope="session")
def write_folder() -> Callable[..., Path]:
    """A function that writes a small, valid shard folder with no sharder at all."""
    return drawn_shards.write_folder


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    """A function that writes a run folder with a model that nobody trained."""
    return drawn_runs.write_run


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a small model that computes in float32."""
    return drawn_runs.write_run(tmp_path_factory.mktemp("runs") / "trained")


@pytest.fixture(scope="session")
def few_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three videos of different frames, one that is none, and a text."""
    directory = tmp_path_factory.mktemp("videos")
    for n in range(3):
        drawn_videos.write_numbered_video(
            directory / f"{n}.mp4", num_frames=12 + n, first_number=700 * n
        )
    (directory / "broken.mp4").write_bytes(b"<html>404</html>")
    (directory / "notes.txt").write_text("no video")
    return directory


@pytest.fixture(scope="session")
def src(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders: 20 videos of each of two signs, with a train and a val split."""
    directory = tmp_path_factory.mktemp("src")
    for n in range(40):
        split, gloss = "val" if n % 4 == 3 else "train", "book" if n % 2 else "drink"
        drawn_videos.write_numbered_video(
            directory / split / gloss / f"{n}.mp4", num_frames=30 + n, first_number=n
        )
    return directory


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, src: Path) -> dict[str, str]:
    """What `bin/shard` makes of `src` when nothing happens: name -> digest."""
    out = tmp_path_factory.mktemp("undisturbed") / "s"
    assert sharding.shard_here(src, out) == 0
    return sharding.folder_bytes(out)


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 videos, whose lengths and first numbers all differ."""
    directory = tmp_path_factory.mktemp("videos")
    for n in range(24):
        drawn_videos.write_numbered_video(
            directory / f"{n:05d}.mp4", num_frames=4 + n, first_number=50 * n
        )
    return directory


@pytest.fixture
def manifest(videos: Path) -> Manifest:
    """The manifest of these videos, and of two that are missing."""
    return drawn_manifests.drawn_manifest(videos)


@pytest.fixture
def shard(capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs `bin/shard` in this process, which has TensorFlow already."""

    def call(src: Path, out: Path, *more: str) -> Any:
        code = sharding.shard_here(src, out, *more)
        return subprocess.CompletedProcess(more, code, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a recipe that is traced in a second."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.py"
    path.write_text(small_training.RECIPE)
    return str(path)


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of clips for that recipe."""
    return drawn_shards.write_folder(
        tmp_path_factory.mktemp("data") / "shards",
        {"train": 14, "val": 7},
        num_frames=3,
        height=16,
        width=16,
    )

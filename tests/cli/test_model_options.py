import os

import pytest

from wlasl_tfrecord.cli.model_options import extras_of_run
from wlasl_tfrecord.network.model_info import (
    MODEL_FILE,
    MODEL_INFO_FILE,
    ModelInfo,
    write_model_info,
)
from wlasl_tfrecord.shard_format.clips import ClipSpec


@pytest.fixture
def runs(tmp_path, monkeypatch):
    for seconds, name in enumerate(("frames", "landmarks"), start=1):
        run_dir = tmp_path / "runs" / name
        run_dir.mkdir(parents=True)
        (run_dir / MODEL_FILE).touch()
        info = ModelInfo(
            glosses=("book",), clip=ClipSpec(), framing="center", inputs=(name,)
        )
        write_model_info(run_dir, info)
        os.utime(run_dir / MODEL_INFO_FILE, (seconds, seconds))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("argv", "extras"),
    [
        (["--run", "runs/landmarks", "a.mp4"], ("landmarks",)),
        (["a.mp4", "--run=runs/landmarks/model.keras", "--csv"], ("landmarks",)),
        (["--run", "runs/frames", "a.mp4"], ()),
        # The newest is that of landmarks.
        (["a.mp4"], ("landmarks",)),
        # What the command refuses.
        (["--run", "nowhere", "a.mp4"], ()),
        (["a.mp4", "--run"], ("landmarks",)),
        (["--help"], ("landmarks",)),
    ],
)
def test_a_model_of_landmarks_needs_the_runtime_of_their_networks(runs, argv, extras):
    assert extras_of_run(argv) == extras


def test_without_any_model_nothing_more_is_installed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert extras_of_run(["a.mp4"]) == ()

"""A real server with a real model, for the tests that ask it over HTTP."""

import time

import pytest
from running_server import serving
from served_model import OPTIONS, kept_files, our_folders

from wlasl_tfrecord.inference import trained_model
from wlasl_tfrecord.serving.app import running_app


@pytest.fixture(scope="module")
def model(tmp_path_factory, write_run):
    return trained_model.load_model(write_run(tmp_path_factory.mktemp("runs") / "one"))


@pytest.fixture(scope="module")
def temp_dir(tmp_path_factory):
    """Where the server puts its temporary folder."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def port(model, temp_dir):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(temp_dir))
        with running_app(model, OPTIONS) as app:
            assert len(our_folders(temp_dir)) == 1
            with serving(app) as port:
                yield port
    assert our_folders(temp_dir) == []


@pytest.fixture(scope="module")
def file(tmp_path_factory, numbered_video):
    return numbered_video(tmp_path_factory.mktemp("videos") / "sign.mp4", num_frames=20)


@pytest.fixture(scope="module")
def video(file):
    return file.read_bytes()


@pytest.fixture(autouse=True)
def _leaves_no_file(request, temp_dir):
    """After every request its temporary file is gone, whatever became of it."""
    yield
    if "port" in request.fixturenames:
        deadline = time.monotonic() + 20
        while kept_files(temp_dir):
            assert time.monotonic() < deadline, kept_files(temp_dir)

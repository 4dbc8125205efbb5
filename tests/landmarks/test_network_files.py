import hashlib
import os
import sys
import zipfile
from pathlib import Path

import pytest

from wlasl_tfrecord.errors import LandmarkError
from wlasl_tfrecord.landmarks import network_files
from wlasl_tfrecord.landmarks.network_files import (
    NETWORK_FILES,
    cache_folder,
    find_networks,
    read_network,
)

CONTENT = {name: f"content of {name}".encode() for name in NETWORK_FILES}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A user's cache of their own, and files that a test can write."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    known = {
        name: network_files._File(
            folder=file.folder,
            num_bytes=len(CONTENT[name]),
            sha256=hashlib.sha256(CONTENT[name]).hexdigest(),
        )
        for name, file in NETWORK_FILES.items()
    }
    monkeypatch.setattr(network_files, "NETWORK_FILES", known)
    return cache_folder()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder from which pip fetches, without a network, a wheel of such files."""
    directory = tmp_path / "index"
    directory.mkdir()
    wheel = directory / network_files._WHEEL
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, file in NETWORK_FILES.items():
            archive.writestr(f"{file.folder}/{name}", CONTENT[name])
        about = "mediapipe-0.10.21.dist-info"
        archive.writestr(
            f"{about}/METADATA",
            "Metadata-Version: 2.1\nName: mediapipe\nVersion: 0.10.21\n",
        )
        tags = "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_28_x86_64\n"
        archive.writestr(f"{about}/WHEEL", tags)
        archive.writestr(f"{about}/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    monkeypatch.setattr(network_files, "_WHEEL_SHA256", digest)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


def write(directory, contents=CONTENT):
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    return directory


def test_networks_are_fetched_once_into_the_cache(cache, index):
    said: list[str] = []
    for _ in range(2):
        assert find_networks(say=said.append) == str(cache)
    assert {p.name: p.read_bytes() for p in cache.iterdir()} == CONTENT
    assert said == [
        "fetching the networks for landmarks, once: mediapipe==0.10.21, 34 MiB"
    ]


def test_what_is_damaged_in_the_cache_is_fetched_again(cache, index):
    write(cache, dict.fromkeys(NETWORK_FILES, b"half"))
    find_networks()
    assert {p.name: p.read_bytes() for p in cache.iterdir()} == CONTENT


def test_a_pip_of_the_current_folder_is_not_run(cache, index, tmp_path, monkeypatch):
    (tmp_path / "pip.py").write_text("open('was-run', 'w')")
    monkeypatch.chdir(tmp_path)
    find_networks()
    assert not (tmp_path / "was-run").exists()


def test_another_wheel_than_the_known_one_is_refused(cache, index, monkeypatch):
    monkeypatch.setattr(network_files, "_WHEEL_SHA256", "0" * 64)
    with pytest.raises(LandmarkError, match="is not the release that is known: its SH"):
        find_networks()
    assert list(cache.iterdir()) == []


def test_a_machine_without_a_network_is_told_what_to_do(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    message = r"cannot fetch mediapipe==0.10.21 \(.*No matching distribution.*; on a "
    with pytest.raises(LandmarkError, match=message + ".*--landmark-models"):
        find_networks()


def test_a_python_without_pip_is_told_what_to_do(cache, tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'No module named pip' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(LandmarkError, match=r"\(No module named pip\); on a machine"):
        find_networks()


def test_a_network_that_does_not_answer_is_given_up(cache, tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(network_files, "_FETCH_SECONDS", 0.2)
    with pytest.raises(LandmarkError, match=r"was not fetched within 0.2 seconds; on"):
        find_networks()


def test_a_cache_that_is_a_link_or_cannot_be_made_is_refused(cache, index, tmp_path):
    cache.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    cache.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LandmarkError, match=r"cannot keep the networks .* \(a link"):
        find_networks()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_that_is_named_is_used_as_it_is(cache, tmp_path, monkeypatch):
    directory = write(tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    assert find_networks("models") == str(directory)
    assert not cache.exists()


def test_a_missing_or_other_file_is_named(cache, tmp_path):
    directory = write(tmp_path / "models")
    name = "palm_detection_full.tflite"
    (directory / name).write_bytes(CONTENT[name] + b"x")
    with pytest.raises(LandmarkError, match=f"{name} is not the file of mediapipe==0."):
        find_networks(directory)
    (directory / name).unlink()
    message = rf"cannot read .*{name} \(No such file.*\); --landmark-models takes a fol"
    with pytest.raises(LandmarkError, match=message):
        find_networks(directory)


def test_a_pipe_is_not_waited_for(cache, tmp_path):
    directory = write(tmp_path / "models")
    name = next(iter(NETWORK_FILES))
    (directory / name).unlink()
    os.mkfifo(directory / name)
    with pytest.raises(LandmarkError, match="not a regular file"):
        read_network(directory, name)


def test_the_cache_is_the_users(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    expected = Path("/home/somebody/.cache/wlasl_tfrecord/mediapipe-0.10.21")
    assert cache_folder() == expected

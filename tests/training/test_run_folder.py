"""The run folder: made, kept for one run, and refused where nothing can be written."""

import contextlib
import os

import pytest

from wlasl_tfrecord import files
from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.training import run_folder


def test_a_folder_that_a_run_wrote_nothing_into_is_taken_away(tmp_path):
    for name, is_kept in (("new", False), ("filled", True), ("old", True)):
        run_dir = tmp_path / name
        if name == "old":
            run_dir.mkdir()
        with contextlib.suppress(KeyError), run_folder.own_folder(run_dir):
            if name == "filled":
                (run_dir / "config.json").write_text("{}")
            raise KeyError
        assert run_dir.exists() == is_kept


def test_a_place_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*; free some space, or"):
        files.write_json(tmp_path / "file" / "x.json", {})
    with pytest.raises(OutputError, match=r"file/run: .*/file is not a folder; choose"):
        run_folder.check_writable(tmp_path / "file" / "run")
    # Where not even root may write; elsewhere it may anywhere.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match=r"new/run: .* is not writable; choose ano"):
        run_folder.check_writable(tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", run_folder.FOLDERS)
def test_a_folder_in_it_that_is_a_link_is_refused(tmp_path, name):
    theirs, run_dir = tmp_path / "theirs", tmp_path / "run"
    for folder in (theirs, run_dir):
        folder.mkdir()
    kept = theirs / ".host.1.part.npz"
    kept.write_text("kept")
    (run_dir / name).symlink_to(theirs)
    with (
        pytest.raises(OutputError, match=rf"run/{name} is a link, and may lead"),
        run_folder.own_folder(run_dir),
    ):
        pytest.fail("it was opened")
    assert kept.read_text() == "kept"


def test_only_files_are_removed_as_half_written(tmp_path):
    (tmp_path / ".a.part.b").mkdir()
    (tmp_path / ".c.part.d").touch()
    with run_folder.own_folder(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [".a.part.b"]

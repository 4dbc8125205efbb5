"""Claims: one holder at a time, kept while it lives, taken over when it is dead."""

import os
import subprocess
import sys
import time

import pytest
from checkout import CHECKOUT

from wlasl_tfrecord.sharding import claims
from wlasl_tfrecord.sharding.claims import Claims
from wlasl_tfrecord.sharding.shared_folder import DiskFolder


def is_taken_elsewhere(folder, name, lasts=120.0):
    """Lets another process try to take a claim, and end without releasing it."""
    program = (
        "import os, sys\n"
        "from wlasl_tfrecord.sharding import claims\n"
        "from wlasl_tfrecord.sharding.shared_folder import DiskFolder\n"
        f"claims.LASTS_SECONDS = {lasts}\n"
        f"print(claims.Claims(DiskFolder({str(folder)!r})).take({name!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout == "True\n"


def test_a_claim_has_one_holder(tmp_path):
    with Claims(DiskFolder(str(tmp_path))) as own:
        assert own.take("a")
        assert not own.take("a")
        assert not is_taken_elsewhere(tmp_path, "a")
        own.release("a")
        assert is_taken_elsewhere(tmp_path, "a")
        assert not own.take("a")


def test_a_process_that_ends_releases_its_claims(tmp_path):
    with Claims(DiskFolder(str(tmp_path))) as own:
        assert own.take("a")
        assert own.take("b")
    assert not os.listdir(tmp_path)


def test_the_claim_of_a_dead_process_is_taken_over(tmp_path):
    assert is_taken_elsewhere(tmp_path, "a")
    with Claims(DiskFolder(str(tmp_path))) as own:
        assert not own.is_stale("a")
        assert not own.take("a")
        long_ago = time.time() - claims.LASTS_SECONDS - 1
        os.utime(tmp_path / "a.claim", (long_ago, long_ago))
        assert own.is_stale("a")
        assert own.take("a")
        assert not own.is_stale("a")
    assert not os.listdir(tmp_path)


def test_a_claim_is_kept_fresh_while_its_process_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "LASTS_SECONDS", 0.2)
    path = tmp_path / "a.claim"
    with Claims(DiskFolder(str(tmp_path))) as own:
        assert own.take("a")
        times = {path.stat().st_mtime_ns}
        deadline = time.monotonic() + 60
        while len(times) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
            times.add(path.stat().st_mtime_ns)
    assert len(times) == 3


def test_a_claim_that_is_a_link_is_not_followed(tmp_path):
    target = tmp_path / "target"
    target.write_text("kept")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.claim").symlink_to(target)
    own = Claims(DiskFolder(str(tmp_path / "work")))
    with pytest.raises(OSError, match="symbolic link"):
        own.take("a")
    assert target.read_text() == "kept"


def test_a_claim_that_is_a_pipe_or_of_the_future_holds_nobody_up(tmp_path):
    os.mkfifo(tmp_path / "a.claim")
    (tmp_path / "b.claim").touch()
    (tmp_path / "c.claim").touch()
    for name, age in (("a", 1e6), ("b", -1e6), ("c", 0)):
        touched = time.time() - age
        os.utime(tmp_path / f"{name}.claim", (touched, touched))
    with Claims(DiskFolder(str(tmp_path))) as own:
        assert [own.take(name) for name in "abc"] == [True, True, False]


def test_a_claim_in_a_folder_that_is_gone_fails(tmp_path):
    with Claims(DiskFolder(str(tmp_path / "gone"))) as own:
        with pytest.raises(FileNotFoundError):
            own.take("a")
        assert not own.is_stale("a")
        own.release("a")

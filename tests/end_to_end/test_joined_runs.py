"""Several processes write one shard folder: the bytes of one, whoever dies."""

import re
import shutil
import signal
import threading
from functools import partial

import pytest
from joined_processes import end, stands_still_once, start_joined
from sharding import folder_bytes, run, shard_here, wait_for

from wlasl_tfrecord.sharding import claims
from wlasl_tfrecord.sharding.joined_run import JoinedRun

# What a patched process does before the command runs.
DIES_AT_FIRST_SHARD = "plan_writer.settle_shard = lambda *_: os.kill(os.getpid(), 9)"
DIES_WHILE_IT_FINISHES = "sharder.finish_folder = lambda *_: os.kill(os.getpid(), 9)"
STANDS_STILL_ONCE = stands_still_once("plan_writer.settle_shard")
STANDS_STILL_AT_THE_END = stands_still_once("sharder.finish_folder")

start = partial(start_joined, lasts=2.0)


def test_processes_that_join_write_what_one_writes(tmp_path, src, undisturbed):
    out = tmp_path / "s"
    processes = [start(src, out, lasts=120.0) for _ in range(3)]
    outputs = [end(process) for process in processes]
    assert folder_bytes(out) == undisturbed
    assert not (out / ".shard-work").exists()
    shares = [re.findall(r"(\d+) of 24 shards written", text) for text in outputs]
    assert sum(int(num) for share in shares for num in share) == 24
    assert "shards written" not in end(start(src, out))
    assert folder_bytes(out) == undisturbed


@pytest.mark.parametrize("patch", [DIES_AT_FIRST_SHARD, DIES_WHILE_IT_FINISHES])
def test_the_work_of_one_that_dies_is_done_by_the_others(
    tmp_path, src, undisturbed, patch
):
    out = tmp_path / "s"
    dead = start(src, out, patch=patch)
    dead.communicate(timeout=120)
    assert dead.returncode == -signal.SIGKILL
    assert list((out / ".shard-work").glob("*.claim"))
    for process in [start(src, out), start(src, out)]:
        end(process)
    assert folder_bytes(out) == undisturbed
    assert not (out / ".shard-work").exists()


@pytest.mark.parametrize(
    ("patch", "claim"),
    [(STANDS_STILL_ONCE, "wlasl-*.claim"), (STANDS_STILL_AT_THE_END, "finish.claim")],
)
def test_one_that_stood_still_ends_well_after_the_others(
    tmp_path, src, undisturbed, patch, claim
):
    out = tmp_path / "s"
    still = start(src, out, patch=patch)
    wait_for(lambda: list((out / ".shard-work").glob(claim)))
    end(start(src, out))
    assert folder_bytes(out) == undisturbed
    still.send_signal(signal.SIGCONT)
    assert "40 clips in" in end(still)
    assert folder_bytes(out) == undisturbed
    assert not (out / ".shard-work").exists()


def test_one_that_comes_while_another_removes_the_folder_waits(
    tmp_path, src, undisturbed
):
    out = tmp_path / "s"
    assert shard_here(src, out, "--join") == 0
    assert not (out / ".shard-hashes").exists()
    # Its notes are gone, and a process that lives has not left yet.
    (out / "index.json").unlink()
    work_dir = out / ".shard-work"
    work_dir.mkdir()
    (work_dir / "member.elsewhere.1.claim").touch()
    remover = threading.Timer(1.5, shutil.rmtree, args=(work_dir,))
    remover.start()
    assert shard_here(src, out, "--join") == 0
    assert not remover.is_alive()
    assert folder_bytes(out) == undisturbed


@pytest.mark.parametrize("name", ["plan", "finish.claim"])
def test_a_folder_where_the_run_has_a_file_is_named(
    tmp_path, src, monkeypatch, capsys, name
):
    may_finish, path = JoinedRun.may_finish, tmp_path / "s" / ".shard-work" / name

    def forged(joined):
        path.unlink(missing_ok=True)
        path.mkdir()
        return may_finish(joined)

    monkeypatch.setattr(JoinedRun, "may_finish", forged)
    # What is there is old at once.
    monkeypatch.setattr(claims, "LASTS_SECONDS", -1.0)
    assert shard_here(src, tmp_path / "s", "--join") == 1
    error = capsys.readouterr().err
    assert f"cannot write {path.parent}" in error
    assert error.endswith("Is a directory; check --out\n")


@pytest.mark.parametrize(
    ("patch", "claim", "reason"),
    [
        (
            STANDS_STILL_ONCE,
            "wlasl-*.claim",
            "with another plan: they see other videos, labels or options",
        ),
        (
            STANDS_STILL_AT_THE_END,
            "finish.claim",
            "the work of an unfinished run with other options: seed was 0 and is 7",
        ),
    ],
    ids=["before a shard is noted", "after that"],
)
def test_another_plan_and_a_run_alone_are_refused(
    tmp_path, src, undisturbed, patch, claim, reason
):
    out = tmp_path / "s"
    still = start(src, out, patch=patch)
    try:
        wait_for(lambda: list((out / ".shard-work").glob(claim)))
        other = start(src, out, "--seed", "7", lasts=120.0)
        _, errors = other.communicate(timeout=120)
        assert other.returncode == 1
        assert reason in errors
        alone = run(src, out)
        assert alone.returncode == 1
        assert "another run is writing to" in alone.stderr
    finally:
        still.kill()
        still.communicate()
    end(start(src, out))
    assert folder_bytes(out) == undisturbed


def test_join_cannot_write_again_what_is_there(tmp_path, src, capsys):
    assert shard_here(src, tmp_path / "s", "--join", "--retry") == 2
    assert "leave out --overwrite and --retry, or delete" in capsys.readouterr().err

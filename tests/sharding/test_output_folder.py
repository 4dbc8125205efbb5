"""A place to write that is full, closed, taken or none at all."""

import hashlib
import os
import resource
import subprocess
from pathlib import Path

import pytest
from sharding import (
    CHECKOUT,
    OPTIONS,
    command,
    folder_bytes,
    manifest_of,
    run,
    wait_for,
)

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.sharding.output_folder import check_output_folder
from wlasl_tfrecord.sharding.sharder import write_shards


def test_two_runs_do_not_share_a_folder(tmp_path, src):
    import fcntl

    out = tmp_path / "s"
    out.mkdir()
    descriptor = os.open(out, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(OutputError, match=r"another run is writing to .*/s; wait"):
            write_shards(manifest_of(src), out, options=OPTIONS)
    finally:
        os.close(descriptor)


def test_a_full_disk_is_one_clear_line_and_the_rest_comes_later(
    tmp_path, src, undisturbed, shard
):
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    out = tmp_path / "disk"
    out.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1500k", "none", out], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.decode()}")
    try:
        done = run(src, out / "s")
        assert done.returncode == 1
        assert (
            " are free; free some space" in done.stderr
            or "no space left" in done.stderr
        )
        assert "Traceback" not in done.stderr
        # What was checked beforehand may be gone later: another process writes too.
        subprocess.run(["mount", "-o", "remount,size=4000k", out], check=True)
        filler = out / "filler"
        filler.write_bytes(bytes(2_500_000))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "wlasl_tfrecord.sharding.sharder.check_space", lambda *_, **__: None
            )
            manifest = read_manifest(src)
            with pytest.raises(OutputError, match="no space left to write"):
                write_shards(manifest, out / "s", options=OPTIONS, src=src, workers=2)
        assert not list((out / "s").glob("wlasl-*"))
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=9000k", out], check=True)
        done = run(src, out / "s")
        assert done.returncode == 0, done.stderr
        assert folder_bytes(out / "s") == undisturbed
        # Read-only, it is still known to be finished; more than that it cannot be.
        subprocess.run(["mount", "-o", "remount,ro", out], check=True)
        done = shard(src, out / "s")
        assert done.returncode == 0
        assert "everything is there" in done.stdout
        done = shard(src, out / "s", "--overwrite")
        assert done.returncode == 1
        assert "Read-only file system; check --out" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert folder_bytes(out / "s") == undisturbed
    finally:
        subprocess.run(["umount", out], check=True)


def test_a_file_that_may_not_grow_is_one_clear_line(tmp_path, src, undisturbed):
    out = tmp_path / "s"
    work = out / ".shard-work"
    process = subprocess.Popen(
        command(src, out), cwd=CHECKOUT, stderr=subprocess.PIPE, text=True
    )
    # Not from the start: then it is the memory of the decoders that may not grow.
    wait_for(lambda: list(work.glob("wlasl-*.json")))
    # Six frames of 64 x 64 are 73,728 bytes: the next record is cut off.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (50_000, 50_000))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stderr == (f"wlasl-shard: cannot write {out}: File too large; check --out\n")
    # Nothing of it is visible; and what is noted as finished in the working folder is.
    assert [path.name for path in out.iterdir()] == [".shard-work"]
    assert not list(work.glob(".*.part.*"))
    noted = {path.stem for path in work.glob("wlasl-*.json")}
    assert noted
    for name in noted:
        content = (work / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == undisturbed[name]
    assert run(src, out).returncode == 0
    assert folder_bytes(out) == undisturbed


def test_what_is_put_in_its_place_is_on_the_disk(tmp_path, src, monkeypatch):
    out = tmp_path / "s"
    on_disk, placed = set(), {}
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        fsync(descriptor)
        on_disk.add(os.fstat(descriptor).st_ino)

    def noted_replace(old, new):
        if Path(new).parent == out:
            placed[Path(new).name] = os.stat(old).st_ino in on_disk
        replace(old, new)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_shards(manifest_of(src), out, options=OPTIONS)
    assert set(placed) == {path.name for path in out.iterdir()}
    assert all(placed.values()), placed


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path, src, shard):
    (tmp_path / "file").write_text("not a folder")
    done = shard(src, tmp_path / "file" / "s")
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "check --out" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    for name in ("file", "file/s", "gone/s"):
        done = shard(src, tmp_path / name, "--dry-run")
        assert done.returncode == 1
        assert done.stderr == (
            f"wlasl-shard: cannot write {tmp_path / name}: "
            f"{(tmp_path / name.split('/')[0])} is not a folder; check --out\n"
        )
    read_only = Path("/proc/s")
    done = shard(src, read_only)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    ("out", "message"),
    [
        (
            "hdfs://host/x",
            "shards are written to a folder, or to s3://, gs:// or az://, got "
            "'hdfs://host/x'",
        ),
        ("", "--out must name a folder, got ''"),
    ],
)
def test_an_out_that_cannot_be_written_is_refused(
    tmp_path, src, shard, monkeypatch, out, message, more
):
    monkeypatch.chdir(tmp_path)
    done = shard(src, out, *more)
    assert done.returncode == 2
    assert done.stderr == f"wlasl-shard: {message}\n"
    assert not list(tmp_path.iterdir())


THEIRS = (
    "clip.label.index.labels.txt",
    "dataset_info.json",
    "failures.csv",
    "features.json",
    "index.json",
    "report.json",
    "wlasl-train.tfrecord-00000-of-00001",
)


@pytest.mark.parametrize("name", THEIRS)
def test_files_of_others_are_not_replaced(tmp_path, src, shard, name):
    out = tmp_path / "s"
    out.mkdir()
    # JSON of another kind, as TFDS writes it.
    (out / name).write_text('{"name": "wlasl", "splits": []}')
    for more in ((), ("--dry-run",), ("--overwrite",)):
        done = shard(src, out, *more)
        assert done.returncode == 1
        assert done.stderr == (
            f"wlasl-shard: {out} holds {name}, but no index.json or report.json of "
            "bin/shard: it may be somebody else's; choose another --out, or move it "
            "away\n"
        )
        assert [path.name for path in out.iterdir()] == [name]


@pytest.mark.parametrize("content", ["[]", "{", None])
def test_what_is_no_file_of_ours_at_all_is_not_replaced(tmp_path, content):
    # A pipe would keep whoever reads it waiting.
    report = tmp_path / "report.json"
    os.mkfifo(report) if content is None else report.write_text(content)
    with pytest.raises(OutputError, match=r"holds report\.json, but no index\.json"):
        check_output_folder(str(tmp_path))


def test_a_run_without_a_clip_is_followed_by_one_with_clips(tmp_path, src, shard):
    out = tmp_path / "s"
    (tmp_path / "src" / "book").mkdir(parents=True)
    (tmp_path / "src" / "book" / "x.mp4").write_bytes(b"<html>")
    for _ in range(2):
        assert shard(tmp_path / "src", out).returncode == 1
        assert {path.name for path in out.iterdir()} == {"report.json", "failures.csv"}
    assert shard(src, out).returncode == 0


def test_files_beside_ours_stay(tmp_path, src, shard):
    out = tmp_path / "s"
    assert shard(src, out).returncode == 0
    mine = ("wlasl-backup.tfrecord-00000-of-00001", "wlasl-notes.index.csv")
    for name in mine:
        (out / name).write_text("mine")
    # One of ours that is of no use any more.
    (out / "wlasl-test.tfrecord-00000-of-00001").write_text("")
    assert shard(src, out, "--overwrite").returncode == 0
    assert all((out / name).read_text() == "mine" for name in mine)
    assert not list(out.glob("wlasl-test*"))


def test_a_folder_whose_index_is_gone_is_written_again(tmp_path, src, shard):
    out = tmp_path / "s"
    assert shard(src, out).returncode == 0
    before = folder_bytes(out)
    (out / "index.json").unlink()
    assert shard(src, out).returncode == 0
    assert folder_bytes(out) == before


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path, src, shard):
    out = tmp_path / "s"
    assert shard(src, out).returncode == 0
    before = folder_bytes(out)
    first = min(out.glob("wlasl-train.tfrecord-*"))
    first.unlink()
    first.mkdir()
    done = shard(src, out)
    assert done.returncode == 1
    assert done.stderr == (
        f"wlasl-shard: cannot write {first}: Is a directory; check --out\n"
    )
    first.rmdir()
    assert shard(src, out).returncode == 0
    assert folder_bytes(out) == before

import os
import tempfile
from datetime import timedelta

import pytest
from object_stores import BUCKET, running_store
from sharding import folder_bytes, shard_here

from wlasl_tfrecord.errors import ManifestError, StoreError
from wlasl_tfrecord.sharding import remote_videos as remote_videos_module
from wlasl_tfrecord.sharding.remote_videos import remote_videos
from wlasl_tfrecord.storage import object_store

URL = f"s3://{BUCKET}/videos"


@pytest.fixture(scope="module")
def server(src):
    with running_store() as server:
        for path in src.rglob("*.mp4"):
            if int(path.stem) < 12:
                server.put(f"videos/{path.relative_to(src)}", path.read_bytes())
        server.put("videos/train/", b"")
        yield server


@pytest.fixture(scope="module")
def few(src, tmp_path_factory):
    """The same videos on the disk."""
    folder = tmp_path_factory.mktemp("few")
    for path in src.rglob("*.mp4"):
        if int(path.stem) < 12:
            copy = folder / path.relative_to(src)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for what is temporary."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    backoff = {"init_backoff": timedelta(milliseconds=1)}
    monkeypatch.setattr(object_store, "_BACKOFF", backoff)
    return tmp_path


def test_videos_of_a_url_give_the_shards_of_a_disk(
    server, few, temporary, tmp_path_factory, capfd
):
    out = tmp_path_factory.mktemp("out")
    assert shard_here(few, out / "local") == 0
    server.reset()
    assert shard_here(URL, out / "remote") == 0
    assert folder_bytes(out / "remote") == folder_bytes(out / "local")
    # Each is read to be hashed, and to be decoded.
    assert server.count(".mp4") == 24
    assert list(temporary.iterdir()) == []
    assert str(temporary) not in capfd.readouterr().out


def test_a_video_is_on_the_disk_while_it_is_needed(server, temporary):
    with remote_videos(URL) as videos:
        paths = list(videos._videos)
        assert len(paths) == 12
        used = [os.stat(path).st_blocks for path in paths]
        assert sum(used) == 0
        path = paths[0]
        videos._fetch(path)
        videos._fetch(path)
        assert os.stat(path).st_blocks > 0
        videos._release(path)
        assert os.stat(path).st_blocks > 0
        videos._release(path)
        assert os.stat(path).st_blocks == 0


def test_a_video_that_does_not_come_is_tried_again_by_the_next_run(
    server, temporary, tmp_path_factory
):
    out = tmp_path_factory.mktemp("out") / "s"
    server.reset()
    server.fail(403, "/7.mp4", times=1)
    assert shard_here(URL, out, "--strict") == 1
    assert "Injected" in (out / "failures.csv").read_text()
    assert shard_here(URL, out, "--strict") == 0


def test_an_outage_ends_the_run_before_a_clip_is_left_out(
    server, temporary, tmp_path_factory, capsys
):
    out = tmp_path_factory.mktemp("out") / "s"
    server.reset()
    server.fail(500, "/7.mp4", times=99)
    assert shard_here(URL, out) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "cannot read s3://bucket/videos/" in error
    assert error.endswith("; the same command resumes")
    assert not (out / "index.json").exists()
    server.reset()
    assert shard_here(URL, out) == 0


def test_what_is_no_folder_of_videos_is_refused(server, temporary):
    with (
        pytest.raises(ManifestError, match=r"no videos at s3://bucket/none; name t"),
        remote_videos(f"s3://{BUCKET}/none"),
    ):
        pass
    with (
        pytest.raises(StoreError, match="https://host/a has no lists; read videos"),
        remote_videos("https://host/a"),
    ):
        pass
    server.put("bad/a/../b.mp4", b"")
    with (
        pytest.raises(ManifestError, match=r"cannot read s3://bucket/bad \(.* illegal"),
        remote_videos(f"s3://{BUCKET}/bad"),
    ):
        pass


def test_more_than_the_disk_has_room_for_is_refused(server, temporary, monkeypatch):
    server.put("notes/a.txt", b"text")
    server.put("notes/a.mp4", b"video")
    url = f"s3://{BUCKET}/notes"
    free = remote_videos_module._FREE_BYTES
    monkeypatch.setattr(remote_videos_module, "free_bytes", lambda _: free + 4)
    with remote_videos(url) as videos:
        path = os.path.join(videos.folder, "a.mp4")
        ((_, error),) = videos.hash_videos([path], 9)
        assert str(error) == "unreadable: No space left on device"
    monkeypatch.setattr(remote_videos_module, "free_bytes", lambda _: free + 3)
    with pytest.raises(ManifestError, match=r"notes has 4 B of files that are no vid"):
        remote_videos(url).__enter__()
    assert list(temporary.iterdir()) == []


def test_names_that_no_disk_has_are_one_line_of_the_url(server, temporary):
    for name in ("a.mp4", "a.mp4/b.mp4"):
        server.put(f"names/{name}", b"video")
    url = f"s3://{BUCKET}/names"
    with pytest.raises(ManifestError, match=rf"cannot read {url}/a\.mp4 \(File exi"):
        remote_videos(url).__enter__()
    assert list(temporary.iterdir()) == []

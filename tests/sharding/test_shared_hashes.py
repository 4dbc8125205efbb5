import threading

import pytest

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.sharding import shared_hashes
from wlasl_tfrecord.sharding.shared_folder import DiskFolder
from wlasl_tfrecord.sharding.shared_hashes import (
    HASHES_DIR,
    file_facts,
    hash_together,
)
from wlasl_tfrecord.sharding.video_hashes import hash_videos


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "videos").mkdir()
    found = [tmp_path / "videos" / f"{n}.mp4" for n in range(50)]
    for n, path in enumerate(found):
        path.write_bytes(bytes([n]) * (n + 1))
    return [str(path) for path in found]


READ = []


@pytest.fixture
def read(monkeypatch):
    """The paths that were read, by whomever."""
    monkeypatch.setattr(shared_hashes, "_BLOCK", 4)
    READ.clear()
    return READ


def hashed(paths, timeout_seconds):
    READ.extend(paths)
    return hash_videos(paths, timeout_seconds)


def folder_of(out):
    return DiskFolder(str(out / HASHES_DIR))


def together(out, paths, timeout_seconds):
    return hash_together(folder_of(out), hashed, file_facts, paths, timeout_seconds)


def test_several_processes_read_each_video_once(tmp_path, paths, read):
    results = {}

    def plan(number):
        results[number] = list(together(tmp_path, paths, 10.0))

    threads = [threading.Thread(target=plan, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert results[0] == results[1] == results[2] == list(hash_videos(paths, 10.0))
    assert sorted(read) == sorted(paths)
    assert not list((tmp_path / ".shard-hashes").glob("*.claim"))


def test_a_video_that_has_changed_is_read_again(tmp_path, paths, read):
    list(together(tmp_path, paths, 10.0))
    read.clear()
    with open(paths[9], "ab") as file:
        file.write(b"more")
    assert list(together(tmp_path, paths, 10.0)) == list(hash_videos(paths, 10.0))
    assert read == paths[8:12]


def test_what_cannot_be_read_is_found_by_each(tmp_path, paths, read):
    paths[2] = str(tmp_path / "gone.mp4")
    for _ in range(2):
        found = dict(together(tmp_path, paths, 10.0))
        assert isinstance(found[paths[2]], VideoError)
    assert read[-1] == paths[2]
    assert len(read) == 51


@pytest.mark.parametrize("note", ["[", "{}", '["zz", null, null, null]', "[null]"])
def test_a_damaged_note_is_written_again(tmp_path, paths, read, note):
    list(together(tmp_path, paths[:4], 10.0))
    read.clear()
    (path,) = (tmp_path / ".shard-hashes").glob("*.json")
    path.write_text(note)
    expected = list(hash_videos(paths[:4], 10.0))
    assert list(together(tmp_path, paths[:4], 10.0)) == expected
    assert read == paths[:4]


def test_a_folder_of_images_is_read_by_each(tmp_path, paths, read):
    images = tmp_path / "images"
    images.mkdir()
    (images / "0.png").write_bytes(b"png")
    for _ in range(2):
        list(together(tmp_path, [str(images)], 10.0))
    assert read == [str(images)] * 2


def test_without_a_place_for_notes_all_are_read_here(tmp_path, paths, read):
    (tmp_path / ".shard-hashes").write_text("in the way")
    expected = list(hash_videos(paths, 10.0))
    assert list(together(tmp_path, paths, 10.0)) == expected
    # Removed by a process that has finished the run.
    (tmp_path / ".shard-hashes").unlink()
    hashes = together(tmp_path, paths, 10.0)
    first = next(hashes)
    folder_of(tmp_path).clear()
    assert [first, *hashes] == expected

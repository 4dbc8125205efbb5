from unittest.mock import Mock

from wlasl_tfrecord.storage.object_cache import CacheConfig, ObjectCache


def test_files_of_others_in_its_folder_are_neither_counted_nor_evicted(tmp_path):
    theirs = tmp_path / "photos" / "old.jpg"
    theirs.parent.mkdir()
    theirs.write_bytes(bytes(3000))
    (tmp_path / "photos" / "half.part").write_bytes(b"kept")
    config = CacheConfig(directory=str(tmp_path), max_gib=2000 / 2**30)
    cache = ObjectCache(config, "a folder")
    # The room is reserved, and nothing written into it.
    kept = [cache.keep(n, size, Mock()) for n, size in (("a", 1500), ("b", 400))]
    assert kept == [True, True]
    assert not cache.keep("c", 400, Mock())
    assert theirs.stat().st_size == 3000
    assert len(list(theirs.parent.iterdir())) == 2

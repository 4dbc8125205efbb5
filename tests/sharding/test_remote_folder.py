import dataclasses
import json
from datetime import timedelta
from pathlib import Path

import pytest
from drawn_manifests import drawn_manifest
from object_stores import BUCKET
from sharding import folder_bytes

from wlasl_tfrecord.errors import ManifestError, OutputError, StoreError
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding import joined_run
from wlasl_tfrecord.sharding.claims import Claims
from wlasl_tfrecord.sharding.remote_folder import RemoteFolder
from wlasl_tfrecord.sharding.sharder import write_shards
from wlasl_tfrecord.sharding.shared_folder import StoreFolder
from wlasl_tfrecord.storage import object_store
from wlasl_tfrecord.storage.object_store import ObjectStore

URL = f"s3://{BUCKET}/out"
# Clips of 250 kB, so that there are several shards.
MANY = ShardOptions(clip=ClipSpec(num_frames=6, height=120, width=120), shard_mib=1)


@pytest.fixture
def remote(server, monkeypatch):
    """A server without objects."""
    backoff = {"init_backoff": timedelta(milliseconds=1)}
    monkeypatch.setattr(object_store, "_BACKOFF", backoff)
    for url in (URL, f"{URL}/.shard-work"):
        store = ObjectStore(url)
        store.delete(store.sizes())
    server.reset()
    return server


@pytest.fixture(scope="module")
def manifest(videos):
    return drawn_manifest(videos)


@pytest.fixture(scope="module")
def expected(manifest, tmp_path_factory):
    """The files that a folder on the disk has."""
    out = tmp_path_factory.mktemp("local") / "s"
    write_shards(manifest, out, options=MANY, workers=2)
    return folder_bytes(out)


def remote_bytes(tmp_path):
    """Fetches the folder, and returns what `folder_bytes` does."""
    store = ObjectStore(URL)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in store.sizes():
        Path(copy, name).write_bytes(store.read(name).data)
    return folder_bytes(copy)


def test_the_objects_are_the_files_of_a_disk(remote, manifest, expected, tmp_path):
    plans = []
    report = write_shards(
        manifest,
        URL,
        options=MANY,
        workers=2,
        on_plan=plans.append,
    )
    assert (report.num_written, report.out, plans[0].out) == (24, URL, URL)
    written = [path.rpartition("/")[2] for m, path in remote.requests if m == "PUT"]
    # That it is alone here is said first.
    assert written.pop(0) == "alone.claim"
    assert written[-1] == "index.json"
    assert remote_bytes(tmp_path) == expected
    assert not ObjectStore(f"{URL}/.shard-work").sizes()
    remote.reset()
    again = write_shards(manifest, URL, options=MANY, workers=2)
    assert again.num_shards_written == 0
    assert remote.count(method="PUT") == remote.count("/alone.claim", "PUT") == 1


def test_a_run_that_was_ended_resumes(remote, manifest, expected, tmp_path):
    # The third of the shards cannot be sent, and no try again.
    shards = sorted(name for name in expected if ".tfrecord-" in name)
    assert len(shards) > 3
    remote.fail(403, shards[2], times=9, method="PUT")
    with pytest.raises(OutputError, match=rf"cannot write {URL}/{shards[2]} \(403.*"):
        write_shards(manifest, URL, options=MANY, workers=2)
    sizes = ObjectStore(URL).sizes()
    assert "index.json" not in sizes
    assert shards[0] in sizes
    remote.reset()
    report = write_shards(manifest, URL, options=MANY, workers=2)
    assert 0 < report.num_shards_written < len(shards)
    assert not remote.count(f"{shards[0]}", "PUT")
    assert remote_bytes(tmp_path) == expected


def test_forged_notes_are_left_alone(remote, manifest, expected, tmp_path):
    shards = sorted(name for name in expected if ".tfrecord-" in name)
    remote.fail(403, shards[-1], times=9, method="PUT")
    with pytest.raises(OutputError, match=r"cannot write .* \(403"):
        write_shards(manifest, URL, options=MANY, workers=2)
    remote.reset()
    work = ObjectStore(f"{URL}/.shard-work")
    notes = {n: json.loads(bytes(work.read(n).data)) for n in work.sizes()}
    forged = [note for note in notes.values() if note.get("clips")][:4]
    forged[0]["clips"][0]["crc"] = 2**40
    forged[1]["name"] = "../../elsewhere"
    forged[2]["clips"][0]["offset"] = 2**61
    forged[3]["clips"] = []
    for name, note in notes.items():
        remote.put(f"out/.shard-work/{name}", json.dumps(note).encode())
    remote.put(f"out/.shard-work/{'n' * 300}.json", b"[")
    report = write_shards(manifest, URL, options=MANY, workers=2)
    assert 4 < report.num_shards_written < len(shards)
    assert remote_bytes(tmp_path) == expected


def test_a_changed_shard_alone_is_written_again(remote, manifest, expected, tmp_path):
    write_shards(manifest, URL, options=MANY, workers=2)
    sizes = ObjectStore(URL).sizes()
    shard = max(sizes, key=sizes.__getitem__)
    content = bytearray(ObjectStore(URL).read(shard).data)
    content[-1] ^= 1
    remote.put(f"out/{shard}", bytes(content))
    report = write_shards(manifest, URL, options=MANY, workers=2)
    assert report.num_shards_written == 1
    assert remote_bytes(tmp_path) == expected


def test_other_options_are_refused(remote, manifest):
    write_shards(manifest, URL, options=MANY, workers=2)
    other = dataclasses.replace(MANY, codec="jpeg")
    with pytest.raises(OutputError, match=rf"^{URL} was written with other options"):
        write_shards(manifest, URL, options=other)
    with pytest.raises(StoreError, match="shards cannot be written to https://host/a"):
        write_shards(manifest, "https://host/a", options=MANY)


def test_the_report_of_a_run_without_clips_is_sent(remote, manifest, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    instance = dataclasses.replace(manifest.instances[0], path=str(broken))
    manifest = dataclasses.replace(manifest, instances=(instance,))
    with pytest.raises(ManifestError, match=rf"became a clip; {URL}/failures.csv says"):
        write_shards(manifest, URL, options=MANY)
    assert set(ObjectStore(URL).sizes()) == {"failures.csv", "report.json"}


def test_a_second_run_is_refused_and_one_that_was_killed_is_not_waited_for(
    remote, manifest, expected, tmp_path, monkeypatch
):
    monkeypatch.setattr(StoreFolder, "poll_seconds", 0.05)
    # The first one lives, so there is nothing to wait for.
    monkeypatch.setattr(joined_run, "_MARGIN_SECONDS", 0.2 - joined_run.ALONE_SECONDS)
    first = RemoteFolder(URL, str(tmp_path / "stage"))
    with joined_run.alone_at(first):
        with pytest.raises(
            OutputError, match=rf"^another run is writing to {URL}; wait"
        ):
            write_shards(manifest, URL, options=MANY)
        with pytest.raises(
            OutputError, match=rf"^another run is .*{URL} without --join"
        ):
            write_shards(manifest, URL, options=MANY, join=True)
    remote.put("out/.shard-work/alone.claim", b"of a process that was killed")
    remote.make_older("out/.shard-work/alone.claim", joined_run.ALONE_SECONDS + 5)
    write_shards(manifest, URL, options=MANY, workers=2)
    assert remote_bytes(tmp_path) == expected


def test_what_a_run_left_that_was_killed_at_its_end_goes(
    remote, manifest, expected, tmp_path
):
    write_shards(manifest, URL, options=MANY, workers=2, join=True)
    work = ObjectStore(f"{URL}/.shard-work")
    assert not work.sizes()
    for others in (["member.x.claim"], []):
        remote.put("out/.shard-work/left.json", b"{}")
        for name in others:
            remote.put(f"out/.shard-work/{name}", b"alive")
        write_shards(manifest, URL, options=MANY, join=True)
        # Not while somebody is at work.
        assert sorted(work.sizes()) == (["left.json", *others] if others else [])
        work.delete(others)
    assert remote_bytes(tmp_path) == expected


def test_what_is_not_ours_stays(remote, manifest):
    theirs = "theirs.tfrecord-00000-of-00001"
    remote.put(f"out/{theirs}", b"theirs")
    write_shards(manifest, URL, options=MANY, workers=2)
    assert theirs in ObjectStore(URL).sizes()
    # By the name alone it may be ours.
    ObjectStore(URL).delete(["index.json", "report.json"])
    with pytest.raises(OutputError, match=r"holds wlasl-train\..*somebody else's"):
        write_shards(manifest, URL, options=MANY)


def test_a_run_that_waited_sees_what_the_other_has_written(
    remote, manifest, expected, tmp_path, monkeypatch
):
    monkeypatch.setattr(StoreFolder, "poll_seconds", 0.0)
    take, reports = Claims.take, []

    def take_later(claims, *arguments):
        if not reports:
            reports.append(None)
            reports.append(write_shards(manifest, URL, options=MANY, workers=2))
            return False
        return take(claims, *arguments)

    monkeypatch.setattr(Claims, "take", take_later)
    reports.append(write_shards(manifest, URL, options=MANY, workers=2))
    assert reports[1].num_shards_written > 0
    assert reports[2].num_shards_written == 0
    assert remote_bytes(tmp_path) == expected

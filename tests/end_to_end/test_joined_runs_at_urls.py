"""Several processes write one shard folder in an object store: the bytes of one."""

import re
import signal
from pathlib import Path

import pytest
from joined_processes import end, stands_still_once, start_joined
from object_stores import BUCKET, upload_folder
from sharding import folder_bytes, run, wait_for

from wlasl_tfrecord.storage.object_store import ObjectStore

pytestmark = pytest.mark.slow

URL = f"s3://{BUCKET}/joined/shards"

# What a patched process does before the command runs.
DIES_BEFORE_IT_NOTES = """
write = ObjectStore.write
def write_no_note(store, name, content):
    if name.endswith(".json") and ".tfrecord-" in name:
        os.kill(os.getpid(), 9)
    write(store, name, content)
ObjectStore.write = write_no_note
"""
DIES_BEFORE_THE_INDEX = DIES_BEFORE_IT_NOTES.replace(
    'name.endswith(".json") and ".tfrecord-" in name', 'name == "index.json"'
)
STANDS_STILL_ONCE = stands_still_once("plan_writer.settle_shard")


@pytest.fixture(autouse=True)
def empty(server):
    for url in (URL, f"{URL}/.shard-work", f"{URL}/.shard-hashes"):
        store = ObjectStore(url)
        store.delete(store.sizes())
    server.reset()


def start(src, *more, patch="", lasts=3.0):
    return start_joined(src, URL, *more, patch=patch, lasts=lasts)


def names(folder=""):
    return ObjectStore(f"{URL}/{folder}").sizes().keys()


def remote_bytes(tmp_path):
    """Fetches all that is there, and returns what `folder_bytes` does."""
    copy = tmp_path / "copy"
    store = ObjectStore(URL)
    for name in store.walk():
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(store.read(name).data)
    return folder_bytes(copy)


def test_processes_that_join_write_what_one_writes(server, tmp_path, src, undisturbed):
    upload_folder(src, f"s3://{BUCKET}/joined/videos")
    videos = f"s3://{BUCKET}/joined/videos"
    server.reset()
    outputs = [end(one) for one in [start(videos, lasts=120.0) for _ in range(3)]]
    assert remote_bytes(tmp_path) == undisturbed
    shares = [re.findall(r"(\d+) of 24 shards written", text) for text in outputs]
    assert sum(int(num) for share in shares for num in share) == 24
    # Each video once to be hashed, by one of them, and once to be decoded.
    assert server.count("/joined/videos/") == 2 * 40
    assert "shards written" not in end(start(videos))


@pytest.mark.parametrize("patch", [DIES_BEFORE_IT_NOTES, DIES_BEFORE_THE_INDEX])
def test_the_work_of_one_that_dies_is_done_by_the_others(
    tmp_path, src, undisturbed, patch
):
    dead = start(src, patch=patch)
    dead.communicate(timeout=120)
    assert dead.returncode == -signal.SIGKILL
    assert any(name.endswith(".claim") for name in names(".shard-work"))
    assert "index.json" not in names()
    # Started again by its scheduler, and another one.
    for process in [start(src), start(src)]:
        end(process)
    assert remote_bytes(tmp_path) == undisturbed


def test_one_that_stood_still_leaves_the_finished_folder_alone(
    server, tmp_path, src, undisturbed
):
    still = start(src, patch=STANDS_STILL_ONCE)
    wait_for(lambda: any(n.startswith("wlasl-") for n in names(".shard-work")))
    # As long as it counts as alive, another plan and a run alone are refused.
    other = start(src, "--seed", "7", lasts=120.0)
    _, errors = other.communicate(timeout=120)
    assert other.returncode == 1
    assert f"write to {URL} with another plan: they see other videos" in errors
    alone = run(src, URL)
    assert alone.returncode == 1
    assert f"processes on other machines write to {URL} with --join" in alone.stderr
    end(start(src))
    assert remote_bytes(tmp_path) == undisturbed
    server.reset()
    still.send_signal(signal.SIGCONT)
    assert "40 clips in" in end(still)
    assert not server.count("/joined/shards/wlasl-", "PUT")
    assert remote_bytes(tmp_path) == undisturbed

"""Both kinds of folder that processes share: on a disk, and in a store."""

import contextlib
import dataclasses
import time
from datetime import timedelta

import pytest
from object_stores import BUCKET

from wlasl_tfrecord.sharding import claims, shared_folder
from wlasl_tfrecord.sharding.claims import Claims
from wlasl_tfrecord.sharding.shared_folder import DiskFolder, StoreFolder
from wlasl_tfrecord.storage import object_store

URL = f"s3://{BUCKET}/shared"


@pytest.fixture
def store(server, monkeypatch):
    backoff = {"init_backoff": timedelta(milliseconds=1)}
    monkeypatch.setattr(object_store, "_BACKOFF", backoff)
    monkeypatch.setattr(shared_folder, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(shared_folder, "_LOOK_SHARE", float("inf"))
    StoreFolder(URL).clear()
    server.reset()
    return server


@pytest.fixture(params=["disk", "store"])
def new_folder(request, tmp_path):
    """Returns what each process opens for itself."""
    if request.param == "disk":
        return lambda: DiskFolder(str(tmp_path))
    request.getfixturevalue("store")
    return lambda: StoreFolder(URL)


def test_a_file_is_made_once(new_folder):
    one, other = new_folder(), new_folder()
    one.open()
    assert one.make("a", b"one")
    assert not other.make("a", b"other")
    assert not one.make("a", b"one again")
    assert other.read("a") == b"one"
    assert set(other.names()) == {"a"}
    assert one.age_seconds("b") is None
    assert abs(other.age_seconds("a")) < 60
    one.remove("a")
    one.remove("a")
    assert other.make("a", b"other")
    with pytest.raises(FileNotFoundError):
        one.read("b")
    one.write("b", b"note")
    one.clear()
    assert not other.names()


def test_a_claim_that_was_taken_over_is_lost(new_folder, monkeypatch):
    with contextlib.ExitStack() as stack:
        one, other = (stack.enter_context(Claims(new_folder())) for _ in range(2))
        assert one.take("a")
        assert not other.take("a")
        assert not other.is_stale("a")
        monkeypatch.setattr(claims, "LASTS_SECONDS", -1.0)
        assert other.take("a")
    assert not new_folder().names()


def test_of_several_that_take_over_one_succeeds(store):
    StoreFolder(URL).make("a", b"dead")
    several = [StoreFolder(URL) for _ in range(3)]
    for folder in several:
        assert folder.age_seconds("a") is not None
    assert [folder.take_over("a", b"%d" % n) for n, folder in enumerate(several)] == [
        True,
        False,
        False,
    ]


def test_lists_of_other_stores_name_the_same_content(store, monkeypatch):
    # Google's have fractions of seconds, Azure's ETags without quotes; as observed.
    folder = StoreFolder(URL)
    monkeypatch.setattr(shared_folder, "_LOOK_SECONDS", 60.0)
    assert folder.make("a", b"dead")
    folder.names()
    seen = folder._seen["a"]
    folder._seen["a"] = dataclasses.replace(
        seen,
        written_seconds=seen.written_seconds + 0.4,
        version={"e_tag": seen.version["e_tag"].strip('"')},
    )
    assert folder.take_over("a", b"alive")


def test_what_is_gone_or_of_another_is_not_touched(store):
    one, other = StoreFolder(URL), StoreFolder(URL)
    assert one.make("a", b"1")
    assert one.touch("a", b"2")
    assert other.names()
    assert other.take_over("a", b"3")
    assert not one.touch("a", b"4")
    assert not one.touch("a", b"5")
    assert other.touch("a", b"6")
    one.remove("a")
    assert not other.touch("a", b"7")
    assert not one.names()


@pytest.mark.parametrize("fault", ["refuse", "lost", 500])
def test_an_answer_that_is_lost_loses_no_claim(store, fault):
    folder = StoreFolder(URL)
    store.fail(fault, "/a", times=2, method="PUT")
    assert folder.make("a", b"1")
    store.fail(fault, "/a", times=2, method="PUT")
    assert folder.touch("a", b"2")
    assert folder.touch("a", b"3")
    assert folder.read("a") == b"3"


def test_an_old_list_makes_no_claim_old(store, monkeypatch):
    monkeypatch.setattr(shared_folder, "_LOOK_SECONDS", 1e6)
    folder = StoreFolder(URL)
    assert folder.make("a", b"1")
    folder.names()
    now = time.monotonic()
    assert abs(folder.age_seconds("a")) < 60
    monkeypatch.setattr(time, "monotonic", lambda: now + 1e5)
    assert abs(folder.age_seconds("a")) < 60


def test_what_the_last_list_has_costs_no_request(store, monkeypatch):
    monkeypatch.setattr(shared_folder, "_LOOK_SECONDS", 60.0)
    for name in "abc":
        StoreFolder(URL).make(name, b"theirs")
    folder = StoreFolder(URL)
    store.reset()
    for name in "abcd":
        folder.make(name, b"ours")
    assert store.count() == 1
    assert store.count(method="PUT") == 1

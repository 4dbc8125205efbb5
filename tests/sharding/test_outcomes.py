"""Outcomes: who shows the same as whom, and what a reason is filed under."""

import pytest

from wlasl_tfrecord.annotations.manifest import Instance
from wlasl_tfrecord.decoder_pool.jobs import Task
from wlasl_tfrecord.sharding import outcomes
from wlasl_tfrecord.sharding.outcomes import decoding_failure, find_duplicates


def task(video_id, sha256, split="train", start=None, stop=None):
    return Task(
        instance=Instance(
            video_id=video_id,
            gloss="book",
            label=0,
            split=split,
            path=f"{video_id}.mp4",
            start=start,
            stop=stop,
        ),
        sha256=sha256,
    )


def test_the_same_bytes_are_the_same_whatever_the_split():
    tasks = [task("a", "1"), task("b", "2"), task("c", "1", "val"), task("d", "1")]
    assert find_duplicates(tasks) == {
        "a": ("c", "d"),
        "c": ("a", "d"),
        "d": ("a", "c"),
    }


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((0, 10), (10, 20), False),
        ((0, 10), (9, 20), True),
        # To the end, and so over every later range.
        ((5, None), (100, 110), True),
        ((None, 5), (5, None), False),
        ((None, None), (100, 110), True),
    ],
)
def test_ranges_that_do_not_overlap_are_two_signs(one, other, same):
    tasks = [task("a", "1", "train", *one), task("b", "1", "val", *other)]
    assert bool(find_duplicates(tasks)) == same


def test_thousands_of_equal_files_are_quick_and_still_seen_across_splits(monkeypatch):
    # Error pages, saved under the names of videos.
    tasks = [task(f"{n:05d}", "1", "val" if n % 3 else "train") for n in range(9000)]
    compared = []
    overlap = outcomes._overlap
    monkeypatch.setattr(
        outcomes, "_overlap", lambda *pair: compared.append(1) or overlap(*pair)
    )
    duplicates = find_duplicates(tasks)
    assert len(compared) <= 40 * 9000
    assert len(duplicates) == 9000
    assert {"00001", "00003"} <= set(duplicates["00000"])
    assert max(map(len, duplicates.values())) <= 60


def test_of_many_signs_in_one_long_video_every_one_is_compared():
    train = [task(f"t{n:02d}", "1", "train", 10 * n, 10 * n + 9) for n in range(50)]
    val = [task(f"v{n:02d}", "1", "val", 10 * n + 5, 10 * n + 9) for n in range(50)]
    duplicates = find_duplicates([*train, *val])
    assert duplicates["t00"] == ("v00",)
    assert duplicates["t49"] == ("v49",)
    assert len(duplicates) == 100


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("a.mp4: unreadable: not a video", "unreadable"),
        ("a.mp4: too short: no frame", "too short"),
        ("range outside the video: wants 3 to 9", "range outside the video"),
        ("timeout: not decoded within 60 seconds", "timeout"),
        ("crash: its decoder was ended by SIGSEGV", "crash"),
        ("out of memory: its frames are too large", "out of memory"),
        ("changed: it was replaced during the run", "changed"),
        ("something that nobody thought of", "unreadable"),
    ],
)
def test_a_reason_is_filed_under_its_kind(reason, kind):
    outcome = decoding_failure(task("a", "1").instance, reason)
    assert outcome.kind == kind
    assert outcome.is_failure
    assert not outcome.reason.startswith("a.mp4")

"""Outcomes: instances that show the same, and failures that keep their kind."""

import pytest

from wlasl_tfrecord.annotations.manifest import Instance
from wlasl_tfrecord.decoder_pool.jobs import Task, Undecoded
from wlasl_tfrecord.sharding import outcomes
from wlasl_tfrecord.sharding.outcomes import failure, find_duplicates


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


def test_a_failure_keeps_its_kind_whatever_its_reason_says():
    reason = "unreadable: take: 2: changed: b.png is no image"
    undecoded = Undecoded(kind="unreadable", reason=reason)
    outcome = failure(task("a", "1").instance, undecoded, "1")
    assert (outcome.kind, outcome.reason) == ("unreadable", reason)
    assert (outcome.stage, outcome.sha256, outcome.is_failure) == ("decode", "1", True)


def test_an_unknown_kind_of_failure_is_refused():
    with pytest.raises(ValueError, match="no failure of a video is 'written'"):
        Undecoded(kind="written", reason="written: x")
    with pytest.raises(ValueError, match="the reason of a failure is text, got 7"):
        Undecoded(kind="crash", reason=7)

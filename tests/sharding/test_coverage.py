"""Gaps: glosses without a train or test clip are named, before a run and after it."""

import json

import pytest

from wlasl_tfrecord.cli.shard import main


@pytest.fixture
def shard(tmp_path, capsys, numbered_video):
    """A function that shards some of the videos that it annotates."""

    def call(rows, present, *more):
        content = {}
        for n, (gloss, split) in enumerate(rows):
            row = {"video_id": f"{n:05d}", "split": split}
            content.setdefault(gloss, []).append(row)
        (tmp_path / "v").mkdir()
        (tmp_path / "v" / "mine.json").write_text(
            json.dumps([{"gloss": g, "instances": i} for g, i in content.items()])
        )
        for n in present:
            numbered_video(tmp_path / "v" / f"{n:05d}.mp4", num_frames=4)
        printed = []
        for options in (("--dry-run",), ()):
            small = ("--num-frames", "2", "--size", "8", "--workers", "1")
            words = ["--src", tmp_path / "v", "--out", tmp_path / "s", *small, *options]
            assert main([str(word) for word in words]) == 0
            printed.append(capsys.readouterr().out)
        report = json.loads((tmp_path / "s" / "report.json").read_text())
        return *printed, report["glosses_without_clips"]

    return call


WORDS = ("book", "drink", "go")
TRAIN, TEST = ([(word, split) for word in WORDS] for split in ("train", "test"))


def test_glosses_without_a_clip_are_named(shard):
    plan, summary, gaps = shard([*TRAIN, *TEST], [0, 1, 4])
    for text, verb in ((plan, "will have"), (summary, "have")):
        assert f"1 of 3 glosses {verb} no train clip: go\n" in text
        assert f"2 of 3 glosses {verb} no test clip: book, go\n" in text
    assert gaps == {"train": ["go"], "test": ["book", "go"]}


def test_a_split_of_which_nothing_is_there_is_one_line(shard):
    plan, summary, gaps = shard([*TRAIN, *TEST], [0, 1, 2])
    assert "none of the 3 glosses will have a test clip: 3 missing\n" in plan
    assert "none of the 3 glosses have a test clip: 3 missing\n" in summary
    assert gaps == {"train": [], "test": list(WORDS)}


def test_a_split_that_nobody_annotated_is_not_spoken_of(shard):
    plan, summary, gaps = shard(TRAIN, [0, 1, 2])
    assert "no train clip" not in plan + summary
    assert "test clip" not in plan + summary
    # But whoever reads the report by a program finds them.
    assert gaps == {"train": [], "test": list(WORDS)}


def test_many_are_counted_and_the_first_are_named(shard):
    rows = [(f"w{n}", "train") for n in range(8)]
    plan, summary, gaps = shard(rows, [0])
    line = "7 of 8 glosses {} no train clip: w1, w2, w3, w4, w5 and 2 more\n"
    assert line.format("will have") in plan
    assert line.format("have") in summary
    assert len(gaps["train"]) == 7


def test_no_gap_is_no_line(shard):
    plan, summary, gaps = shard([*TRAIN, *TEST], range(6))
    assert "no train clip" not in plan + summary
    assert "test clip" not in plan + summary
    assert gaps == {"train": [], "test": []}

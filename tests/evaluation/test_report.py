"""What a report counts, on clips whose answers are known."""

import numpy as np
import pytest
from drawn_reports import report_of
from drawn_shards import write_folder

from wlasl_tfrecord.evaluation.intervals import Share
from wlasl_tfrecord.evaluation.metrics import ClipLogits
from wlasl_tfrecord.evaluation.report import report_clips
from wlasl_tfrecord.shard_format.shard_folder import load_folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """11 clips to validate with, of signers 0 to 3; train knows the signers 0 and 1."""
    return write_folder(
        tmp_path_factory.mktemp("data") / "shards", {"train": 2, "val": 11}
    )


@pytest.fixture(scope="module")
def report(shards):
    # The truth is 0 1 2 0 1 2 0 1 2 0 1; the third and the last one are wrong.
    return report_of(shards, [0, 1, 0, 0, 1, 2, 0, 1, 2, 0, 0])


def test_shares_are_counted_by_gloss_best_first(report):
    assert report.gloss_shares() == {
        "book": Share(num_right=4, num_clips=4),
        "drink": Share(num_right=3, num_clips=4),
        "computer": Share(num_right=2, num_clips=3),
    }
    assert report.share() == Share(num_right=9, num_clips=11)


def test_shares_are_counted_by_signer_and_by_what_train_knows(report):
    # Signers are the clips' numbers modulo 4.
    assert report.signer_shares() == {
        0: Share(num_right=3, num_clips=3),
        1: Share(num_right=3, num_clips=3),
        2: Share(num_right=1, num_clips=3),
        3: Share(num_right=2, num_clips=2),
    }
    seen, unseen = report.seen_and_unseen()
    assert seen == Share(num_right=6, num_clips=6)
    assert unseen == Share(num_right=3, num_clips=5)
    values = report.to_json()["signers"]
    assert values["gap"] == pytest.approx(0.4)
    low, high = values["gap_interval"]
    assert low < 0.4 < high
    assert values["each"]["2"]["num_right"] == 1


def test_the_interval_of_the_mean_of_glosses_counts_rare_ones_for_more(report):
    # By hand: 9 glosses squared, by 1/4 + 1/4 + 1/3.
    clips = 9 / (1 / 4 + 1 / 4 + 1 / 3)
    assert clips < 11
    low, high = report.mean_gloss_interval(1)
    one, other = report.interval(1)
    assert high - low > other - one
    assert low < report.mean_gloss_top(1) < high


def test_the_table_names_signers_and_intervals(report):
    text = str(report)
    assert "top-1 with 95 % confidence" in text
    assert "signers in train: 100.0% of 6 clips" in text
    assert "signers not in train: 60.0% of 5 clips" in text
    assert "'computer' taken for 'book': 1 of 3 clips" in text


def test_of_several_views_the_mean_probability_counts(shards):
    folder = load_folder(shards)
    labels = np.arange(11) % 3
    # One view is a little wrong, the other very right.
    wrong = np.eye(3, dtype=np.float32)[(labels + 1) % 3] * 0.5
    right = np.eye(3, dtype=np.float32)[labels] * 9
    views = [
        ClipLogits(records=np.arange(11), labels=labels, logits=logits)
        for logits in (wrong, right)
    ]
    alone = report_clips(folder, "val", views[:1])
    both = report_clips(folder, "val", views)
    assert (alone.top(1), both.top(1)) == (0, 1)
    expected = (views[0].probabilities() + views[1].probabilities()) / 2
    assert both.probabilities == pytest.approx(expected)
    assert both.scores.losses == pytest.approx(-np.log(expected[range(11), labels]))
    assert "mean of 2 views" in str(both)


def test_the_best_and_the_worst_of_many_glosses_are_listed(tmp_path):
    glosses = [f"g{label}" for label in range(10)]
    write_folder(tmp_path, {"val": 25}, glosses=glosses)
    # Of g0 to g4 there are three clips, of the others two.
    truth = np.arange(25) % 10
    wrong = np.isin(truth, [1, 7, 8])
    report = report_of(tmp_path, np.where(wrong, 0, truth))
    lines = str(report).splitlines()
    assert "  best:  'g0' 3/3, 'g2' 3/3, 'g3' 3/3, 'g4' 3/3" in lines
    assert "  worst: 'g1' 0/3, 'g7' 0/2, 'g8' 0/2, 'g0' 3/3" in lines

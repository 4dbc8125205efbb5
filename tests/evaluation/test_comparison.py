"""Two models on the same clips."""

import dataclasses

import pytest
from drawn_reports import report_of
from drawn_shards import write_folder

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.evaluation.comparison import compare


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "shards", {"val": 11})


def test_clips_are_paired(shards):
    truth = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1]
    first = report_of(shards, truth)
    second = report_of(shards, [1, 2, 0, 1, 2, 0, 1, 1, 2, 0, 1])
    found = compare(first, second, ("one", "other"))
    assert found.tops == (1, pytest.approx(4 / 11))
    assert found.only_first == first.video_ids[:7]
    assert found.only_second == ()
    assert found.difference.p_value == pytest.approx(2 / 2**7)
    text = str(found)
    assert "compared with other on the same 11 clips: top-1 100.0% and 36.4%" in text
    assert "p = 0.0156 (McNemar): the two differ" in text
    values = found.to_json()
    assert values["runs"] == ["one", "other"]
    assert values["difference"] == pytest.approx(7 / 11)


def test_too_few_clips_cannot_tell(shards):
    truth = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1]
    found = compare(
        report_of(shards, truth), report_of(shards, [1, *truth[1:]]), ("one", "other")
    )
    assert "p = 1 (McNemar): these clips cannot tell the two apart" in str(found)


def test_other_clips_do_not_compare(shards):
    report = report_of(shards, [0] * 11)
    fewer = dataclasses.replace(report, video_ids=report.video_ids[:-1])
    with pytest.raises(TrainingError, match="one was evaluated on 11 clips and other"):
        compare(report, fewer, ("one", "other"))

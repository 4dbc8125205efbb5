"""Clips: what the report says of one, and back."""

import json

import pytest

from wlasl_tfrecord.shard_format.clips import (
    ClipFacts,
    ClipSource,
    ClipSpec,
    SignRange,
)

SOURCE = ClipSource(
    video_fps=25.0,
    num_video_frames=30,
    sign=SignRange(0, 3, "cut"),
    frame_indices=(0, 1, 1, 2),
    sha256="0" * 64,
)


def test_the_facts_of_a_clip_come_from_its_source_and_the_notes():
    assert ClipFacts.of(SOURCE, ["cut off"]) == ClipFacts(
        range_rule="cut",
        num_video_frames=30,
        num_distinct_frames=3,
        notes=("cut off",),
    )


def test_the_json_of_the_facts_is_pinned():
    # It is a part of report.json: resuming reads those of earlier releases.
    facts = ClipFacts.of(SOURCE, [])
    text = '{"range_rule": "cut", "num_video_frames": 30, "num_distinct_frames": 3}'
    assert json.dumps(facts.to_json()) == text
    noted = ClipFacts.of(SOURCE, ["a", "b"])
    assert json.dumps(noted.to_json()) == f'{text[:-1]}, "notes": ["a", "b"]}}'
    for one in (facts, noted):
        values = {"video_id": "00335", **json.loads(json.dumps(one.to_json()))}
        assert ClipFacts.from_json(values) == one


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"range_rule": "odd"},
            "range_rule must be one of whole, trimmed, cut, got",
        ),
        ({"range_rule": ["cut"]}, r"range_rule must be one of .*, got \('cut',\)"),
        ({"num_video_frames": 0}, "num_video_frames must be at least 1, got 0"),
        ({"num_distinct_frames": True}, "num_distinct_frames must be .*, got True"),
        ({"notes": "cut off"}, "notes must be lines of text, got 'cut off'"),
        ({"num_pose_frames": -1}, "num_pose_frames must be at least 0, got -1"),
        ({"num_left_hand_frames": True}, "num_left_hand_frames must be .*, got True"),
        ({"notes": [1]}, r"notes must be lines of text, got \(1,\)"),
    ],
)
def test_facts_that_no_clip_has_are_refused(change, message):
    values = ClipFacts.of(SOURCE, []).to_json()
    with pytest.raises(ValueError, match=message):
        ClipFacts.from_json({**values, **change})


def test_landmarks_that_were_found_are_facts_and_none_are_left_out():
    values = ClipFacts.of(SOURCE, [], (3, 0, 4)).to_json()
    assert values["num_left_hand_frames"] == 3
    assert values["num_pose_frames"] == 4
    assert "num_right_hand_frames" not in values
    assert ClipFacts.from_json(values).num_right_hand_frames == 0


def test_facts_must_be_complete():
    with pytest.raises(TypeError, match="num_distinct_frames"):
        ClipFacts.from_json({"range_rule": "cut", "num_video_frames": 3})


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_frames": 0}, "num_frames must be at least 1, got 0"),
        ({"num_frames": True}, "num_frames must be a whole number, got True"),
        ({"height": 224.0}, "height must be a whole number, got 224.0"),
        ({"width": "224"}, "width must be a whole number, got '224'"),
        ({"num_frames": 10**9}, "num_frames must be at most 10,000, got 1000000000"),
        ({"height": 2**16, "width": 2**16}, "a record holds less than 2 GiB"),
        ({"num_frames": 20_00, "height": 1000, "width": 1000}, "less than 2 GiB"),
    ],
)
def test_shapes_that_no_clip_can_have_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        ClipSpec(**sizes)

"""The note about a finished shard, which lies in a folder that anybody can edit."""

import dataclasses
import json
from typing import Any

import pytest
from drawn_manifests import instance

from wlasl_tfrecord.decoder_pool.jobs import Task, Undecoded
from wlasl_tfrecord.shard_format.clips import ClipFacts
from wlasl_tfrecord.sharding.plan import PlannedShard
from wlasl_tfrecord.sharding.written_shard import (
    WrittenClip,
    WrittenShard,
    describes,
    load_state,
    save_state,
)

FACTS = ClipFacts(range_rule="whole", num_video_frames=9, num_distinct_frames=5)
CLIP: dict[str, Any] = {"video_id": "1", "offset": 0, "num_bytes": 9, "crc": 1}
SHARD: dict[str, Any] = {"name": "s", "fingerprint": "0", "num_bytes": 25}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offset": "0"}, r"no place of a record: \('0', 9, 1\)"),
        ({"num_bytes": -1}, r"no place of a record: \(0, -1, 1\)"),
        ({"crc": 2**32}, r"no place of a record: \(0, 9, 4294967296\)"),
        ({"video_id": 7}, "video_id must be text, got 7"),
    ],
)
def test_a_clip_that_no_run_writes_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        WrittenClip(**{**CLIP, **changes}, facts=FACTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 1}, "name and fingerprint of a shard must be text"),
        ({"fingerprint": None}, "name and fingerprint of a shard must be text"),
        ({"num_bytes": "25"}, "num_bytes must be a number, got '25'"),
    ],
)
def test_a_shard_that_no_run_writes_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        WrittenShard(**{**SHARD, **changes}, clips=())


def test_a_note_is_read_back_unless_it_is_forged(tmp_path):
    path = tmp_path / "s.json"
    shard = WrittenShard(**SHARD, clips=(WrittenClip(**CLIP, facts=FACTS),))
    save_state(shard, str(path))
    assert load_state(str(path)) == shard
    note = json.loads(path.read_text())
    note["clips"][0]["offset"] = [0]
    path.write_text(json.dumps(note))
    assert load_state(str(path)) is None


ONE, OTHER = (
    WrittenClip(**{**CLIP, "video_id": video_id, "offset": offset}, facts=FACTS)
    for video_id, offset in (("1", 0), ("2", 25))
)
FAILED = {"3": Undecoded(kind="timeout", reason="timeout: late")}


@pytest.mark.parametrize(
    ("changes", "is_possible"),
    [
        ({}, True),
        ({"name": "../x"}, False),
        ({"fingerprint": "1"}, False),
        ({"failures": {}}, False),
        ({"failures": {**FAILED, "4": FAILED["3"]}}, False),
        ({"failures": {**FAILED, "1": FAILED["3"]}}, False),
        ({"clips": (ONE,), "num_bytes": 25}, False),
        ({"clips": (ONE, dataclasses.replace(OTHER, video_id="1"))}, False),
        ({"clips": (ONE, dataclasses.replace(OTHER, video_id="../x"))}, False),
        ({"clips": (ONE, dataclasses.replace(OTHER, offset=2**61))}, False),
        ({"clips": (OTHER, ONE)}, False),
        ({"num_bytes": 51}, False),
    ],
)
def test_a_forged_note_does_not_describe_a_planned_shard(changes, is_possible):
    tasks = (Task(instance=instance(one, "a.mp4"), sha256="") for one in "123")
    planned = PlannedShard(
        split="train", shard_index=0, name="s", tasks=tuple(tasks), fingerprint="0"
    )
    values = {**SHARD, "num_bytes": 50, "clips": (ONE, OTHER), "failures": FAILED}
    assert describes(WrittenShard(**{**values, **changes}), planned) == is_possible

"""The plan: a pinned order, ranges of hashes, and what changes a shard."""

import dataclasses
import itertools

import pytest

from wlasl_tfrecord.annotations.manifest import Instance
from wlasl_tfrecord.decoder_pool.jobs import Task
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.shard_options import ShardOptions, record_bytes
from wlasl_tfrecord.sharding.plan import order_key, plan_shards

SMALL = ShardOptions(clip=ClipSpec(num_frames=2, height=8, width=8))


def task(video_id, split="train", sha256="0" * 64, **kwargs):
    instance = Instance(
        **{"video_id": video_id, "gloss": "book", "label": 0, "split": split}
        | {"path": f"videos/{video_id}.mp4"}
        | kwargs
    )
    return Task(instance=instance, sha256=sha256)


def ids(shards):
    return [[task.instance.video_id for task in shard.tasks] for shard in shards]


def test_order_is_pinned():
    # Shards of two releases must agree. A new value here is a new shard format: raise
    # its version in layout.py and docs/shard-format.md too.
    videos = ["00335", "00336", "00338", "00339", "00341", "70304"]
    by_key = sorted(videos, key=lambda video: order_key(video, seed=0))
    assert by_key == ["00335", "00341", "00336", "00338", "70304", "00339"]
    assert order_key("00335", seed=0) == 0x315182CF9464D400
    assert order_key("00335", seed=1) == 0xFC362A54DC620525


def test_adding_a_video_moves_no_other_and_changes_one_shard():
    videos = [f"{number:05d}" for number in range(100)]
    before = plan_shards([task(video) for video in videos], SMALL)
    after = plan_shards([task(video) for video in [*videos, "new"]], SMALL)
    changed = [
        (old, new)
        for old, new in zip(before, after, strict=True)
        if old.fingerprint != new.fingerprint
    ]
    assert len(changed) == 1
    old, new = (ids([shard])[0] for shard in changed[0])
    assert [video for video in new if video != "new"] == old


def test_the_order_of_the_manifest_decides_nothing():
    tasks = [task(f"{number:05d}", split) for number in range(9) for split in ["val"]]
    assert plan_shards(tasks[::-1], SMALL) == plan_shards(tasks, SMALL)


def test_another_seed_is_another_order():
    tasks = [task(f"{number:05d}") for number in range(50)]
    other = dataclasses.replace(SMALL, seed=1)
    assert ids(plan_shards(tasks, SMALL)) != ids(plan_shards(tasks, other))


@pytest.mark.parametrize(
    ("num_clips", "num_shards"),
    [(0, 0), (1, 1), (3, 2), (15, 8), (16, 16), (17, 16), (700, 32), (14000, 512)],
)
def test_shards_are_many_enough_and_about_as_large_as_asked(num_clips, num_shards):
    # 4.5 MB a clip: 28 in 128 MiB.
    shards = plan_shards([task(str(n)) for n in range(num_clips)], ShardOptions())
    assert len(shards) == num_shards
    assert sum(len(shard.tasks) for shard in shards) == num_clips


@pytest.mark.parametrize("codec", ["raw", "jpeg", "png"])
@pytest.mark.parametrize("shard_mib", [32, 100, 128])
def test_on_average_shards_have_the_nearest_size_that_a_power_of_two_gives(
    codec, shard_mib
):
    options = ShardOptions(codec=codec, shard_mib=shard_mib)
    tasks = [task(str(n)) for n in range(2400)]
    for num_clips in range(20, 2400, 170):
        num_shards = len(plan_shards(tasks[:num_clips], options))
        ratio = num_clips * record_bytes(options) / num_shards / (shard_mib * 2**20)
        # Half as many or twice as many would be further away, unless they may not be.
        assert ratio < 1.4143
        assert ratio > 0.707 or num_shards == 16


def test_shards_of_one_split_differ_by_as_much_as_hashes_do():
    # As docs/wlasl.md says of WLASL100's 646 train clips.
    shards = plan_shards([task(f"{n:05d}") for n in range(646)], ShardOptions())
    counts = [len(shard.tasks) for shard in shards]
    assert len(shards) == 16
    assert min(counts) > 646 / 16 * 0.6
    assert max(counts) < 646 / 16 * 1.5


def test_smaller_shards_are_more():
    tasks = [task(str(n)) for n in range(400)]
    smaller = dataclasses.replace(ShardOptions(), shard_mib=16)
    assert len(plan_shards(tasks, smaller)) == 128


def test_shards_are_named_by_split_and_position():
    names = [s.name for s in plan_shards([task("a"), task("b", "test")], SMALL)]
    assert names == [
        "wlasl-train.tfrecord-00000-of-00001",
        "wlasl-test.tfrecord-00000-of-00001",
    ]


CHANGES = {
    "video_id": "b",
    "gloss": "drink",
    "label": 1,
    "signer_id": 7,
    "start": 3,
    "stop": 9,
    "annotation_fps": 30.0,
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_is_in_a_record_changes_the_fingerprint(name):
    before = plan_shards([task("a")], SMALL)[0].fingerprint
    after = plan_shards([task(**{"video_id": "a", name: CHANGES[name]})], SMALL)
    assert after[0].fingerprint != before


def test_content_and_codec_change_the_fingerprint_and_the_path_does_not():
    plans = [
        plan_shards([task("a")], SMALL),
        plan_shards([task("a", sha256="1" * 64)], SMALL),
        plan_shards([task("a")], dataclasses.replace(SMALL, codec="png")),
        plan_shards([task("a")], dataclasses.replace(SMALL, framing="pad")),
    ]
    prints = [shards[0].fingerprint for shards in plans]
    assert all(one != other for one, other in itertools.combinations(prints, 2))
    elsewhere = plan_shards([task("a", path="/other/a.mp4")], SMALL)
    assert elsewhere[0].fingerprint == prints[0]
    # Pinned: another value writes every finished folder again.
    assert prints[0].startswith("56cbb79c26767a17")
    published = plan_shards([task("a", url="http://example.org/a.mp4")], SMALL)
    assert published[0].fingerprint == prints[0]


def test_jpeg_quality_counts_for_jpeg_alone():
    assert "jpeg_quality" not in SMALL.to_dict()
    assert dataclasses.replace(SMALL, codec="jpeg").to_dict()["jpeg_quality"] == 95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"framing": "zoom"}, "framing must be one of center, squash, pad, got 'zoom'"),
        ({"codec": "gif"}, "codec must be one of raw, jpeg, png, got 'gif'"),
        ({"jpeg_quality": 0}, "jpeg_quality must be from 1 to 100, got 0"),
        ({"shard_mib": 0}, "shard_mib must be at least 1, got 0"),
        ({"seed": -1}, r"seed must be from 0 to 2\*\*63 - 1, got -1"),
        (
            {"clip": ClipSpec(height=2, width=65_501), "codec": "jpeg"},
            "a jpeg image has at most 65,500 pixels a side, got 65,501; use --codec",
        ),
        ({"clip": ClipSpec(height=1_000_001, width=1), "codec": "png"}, "1,000,000"),
    ],
)
def test_what_no_folder_can_be_written_with_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ShardOptions(**change)

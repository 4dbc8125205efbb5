import numpy as np
import pytest
import tensorflow as tf
from drawn_shards import drawn_frames, drawn_landmarks

from wlasl_tfrecord import input_fn
from wlasl_tfrecord.errors import ShardFolderError
from wlasl_tfrecord.input_pipeline.augment import AugmentConfig
from wlasl_tfrecord.input_pipeline.dataset import steps_per_epoch

SHAPE = (5, 16, 24, 3)
NUM_TRAIN, NUM_VAL = 13, 5


@pytest.fixture(scope="module")
def shards(write_folder, tmp_path_factory):
    counts = {"train": NUM_TRAIN, "val": NUM_VAL}
    return write_folder(tmp_path_factory.mktemp("raw") / "shards", counts)


def ids(dataset):
    """Gives the video ids of each batch."""
    return [[i.decode() for i in batch["video_id"].numpy()] for batch in dataset]


def context(pipelines, pipeline, replicas):
    return tf.distribute.InputContext(pipelines, pipeline, replicas)


def arrays(dataset):
    return [tf.nest.map_structure(lambda x: x.numpy(), batch) for batch in dataset]


def assert_same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other):
        tf.nest.map_structure(np.testing.assert_array_equal, a, b)


def test_an_element_is_a_pair_of_frames_and_labels(shards):
    dataset = input_fn(shards, split="train", batch_size=4)
    assert dataset.element_spec == (
        tf.TensorSpec([4, *SHAPE], tf.uint8),
        tf.TensorSpec([4], tf.int64),
    )
    assert int(dataset.cardinality()) == len(list(dataset)) == 3


@pytest.mark.parametrize("codec", ["raw", "png", "jpeg"])
def test_pixels_are_those_that_were_written(write_folder, tmp_path, codec):
    folder = write_folder(tmp_path / codec, {"val": 5}, codec=codec)
    batches = arrays(input_fn(folder, "val", 2, element="dict"))
    frames = np.concatenate([b["frames"] for b in batches]).astype(int)
    for number in range(5):
        drawn = drawn_frames(number, SHAPE).astype(int)
        difference = np.abs(frames[number] - drawn)
        if codec == "jpeg":
            # Quality 95 with chroma at half the resolution; swapped channels or rows
            # would differ by far more.
            assert difference.mean() < 3
            assert np.abs(frames[number] - drawn[..., ::-1]).mean() > 10
        else:
            assert difference.max() == 0


def test_each_clip_comes_with_what_the_index_says_of_it(shards):
    batch = arrays(input_fn(shards, "train", NUM_TRAIN, element="dict"))[0]
    glosses = np.array([b"book", b"drink", b"computer"])
    for place, record in enumerate(batch["record"]):
        assert batch["video_id"][place] == f"train{record:05d}".encode()
        assert batch["label"][place] == record % 3
        assert batch["gloss"][place] == glosses[record % 3]
        assert batch["signer_id"][place] == record % 4
        assert batch["num_distinct_frames"][place] == 5
        assert batch["weight"][place] == 1
        assert batch["epoch"][place] == 0


def test_frames_belong_to_their_record(shards):
    batches = arrays(input_fn(shards, "train", 4, augment=False, element="dict"))
    for batch in batches:
        for record, frames in zip(batch["record"], batch["frames"]):
            np.testing.assert_array_equal(frames, drawn_frames(int(record), SHAPE))


def test_keys_are_the_dict_without_frames(shards):
    full = arrays(input_fn(shards, "train", 4, num_epochs=2, element="dict"))
    keys = arrays(input_fn(shards, "train", 4, num_epochs=2, element="keys"))
    for batch in full:
        del batch["frames"]
    assert_same(full, keys)


def test_each_epoch_holds_every_clip_once(shards):
    batches = ids(input_fn(shards, "train", 1, num_epochs=3, element="keys"))
    flat = [i for batch in batches for i in batch]
    epochs = [flat[e * NUM_TRAIN : (e + 1) * NUM_TRAIN] for e in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == [f"train{n:05d}" for n in range(NUM_TRAIN)]
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_batches_are_pinned(shards):
    # A run resumes by its step alone. Another value here means that a run interrupted
    # under an older release would go on with other clips: say so in CHANGELOG.md.
    batches = ids(input_fn(shards, "train", 4, seed=7, num_epochs=2, element="keys"))
    assert [[int(i[-5:]) for i in batch] for batch in batches] == [
        [12, 6, 3, 8],
        [11, 0, 1, 2],
        [5, 10, 9, 4],
        [2, 7, 8, 6],
        [9, 1, 5, 12],
        [0, 3, 10, 11],
    ]


@pytest.mark.parametrize("num_shards", [1, 3, 13])
def test_the_order_does_not_depend_on_the_shards(
    shards, write_folder, tmp_path, num_shards
):
    other = write_folder(
        tmp_path / "other", {"train": NUM_TRAIN}, num_shards=num_shards
    )
    assert_same(
        arrays(input_fn(shards, "train", 4)), arrays(input_fn(other, "train", 4))
    )


@pytest.mark.parametrize("start_step", [1, 4, 8, 9])
def test_a_later_start_is_the_tail_of_the_whole_run(shards, start_step):
    options = {"num_epochs": 3, "seed": 3, "element": "dict"}
    whole = arrays(input_fn(shards, "train", 4, **options))
    tail = input_fn(shards, "train", 4, start_step=start_step, **options)
    assert int(tail.cardinality()) == len(whole) - start_step
    assert_same(arrays(tail), whole[start_step:])


def test_a_start_far_into_an_endless_run_takes_no_longer(shards):
    dataset = input_fn(shards, "train", 4, num_epochs=None, start_step=10**9)
    assert int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY
    assert next(iter(dataset))[0].shape == (4, *SHAPE)


# Workers, replicas: 1x2, 2x1, 2x2, 4x1.
@pytest.mark.parametrize(("workers", "replicas"), [(1, 2), (2, 2), (2, 4), (4, 4)])
@pytest.mark.parametrize("split", ["train", "val"])
def test_the_workers_batches_make_up_the_global_batch(shards, workers, replicas, split):
    options = {"num_epochs": 2, "element": "dict", "augment": True}
    whole = arrays(input_fn(shards, split, 4, **options))
    local = replicas // workers
    parts = [
        arrays(
            input_fn(
                shards,
                split,
                4,
                input_context=context(workers, worker, replicas),
                **options,
            )
        )
        for worker in range(workers)
    ]
    assert all(len(part) == len(whole) * local for part in parts)
    for step, batch in enumerate(whole):
        pieces = [p for part in parts for p in part[step * local : (step + 1) * local]]
        assert all(len(p["label"]) == 4 // replicas for p in pieces)
        for key in ("video_id", "weight"):
            union = np.concatenate([p[key] for p in pieces])
            assert sorted(union) == sorted(batch[key])
        by_id = {
            (i, w): frames
            for p in pieces
            for i, w, frames in zip(p["video_id"], p["weight"], p["frames"])
        }
        for i, w, frames in zip(batch["video_id"], batch["weight"], batch["frames"]):
            np.testing.assert_array_equal(by_id[i, w], frames)


def test_evaluation_is_in_order_with_a_short_last_batch(shards):
    dataset = input_fn(shards, "val", 2)
    assert int(dataset.cardinality()) == 3
    assert [len(labels) for _, labels in dataset] == [2, 2, 1]
    numbers = [int(n) for _, labels in dataset for n in labels]
    assert numbers == [n % 3 for n in range(NUM_VAL)]


def test_evaluation_pads_with_clips_of_no_weight(shards):
    batches = arrays(input_fn(shards, "val", 4, element="weighted"))
    assert [frames.shape for frames, _, _ in batches] == [(4, *SHAPE)] * 2
    assert [list(w) for _, _, w in batches] == [[1, 1, 1, 1], [1, 0, 0, 0]]


def test_a_batch_may_be_larger_than_the_split_in_evaluation(shards):
    (frames, _), *rest = arrays(input_fn(shards, "val", 100))
    assert len(frames) == NUM_VAL
    assert not rest
    _, _, weights = next(iter(input_fn(shards, "val", 100, element="weighted")))
    assert weights.numpy().sum() == NUM_VAL


def test_every_evaluation_epoch_ends_with_its_short_batch(shards):
    dataset = input_fn(shards, "val", 2, num_epochs=2, start_step=2)
    assert [len(labels) for _, labels in dataset] == [1, 2, 2, 1]


def test_views_of_all_clips_can_be_told_apart_and_found_again(shards):
    options = {"training": False, "augment": True, "element": "dict"}
    views = arrays(input_fn(shards, "train", 5, num_epochs=3, **options))
    assert [list(b["epoch"]) for b in views] == [
        [v] * 5 for v in range(3) for _ in "abc"
    ]
    steps = steps_per_epoch(shards, "train", 5, training=False)
    second = input_fn(shards, "train", 5, num_epochs=2, start_step=steps, **options)
    assert_same(arrays(second), views[steps : 2 * steps])
    assert (views[0]["frames"] != views[steps]["frames"]).any()


def test_training_augments_unless_refused(shards):
    plain = arrays(input_fn(shards, "train", 4, augment=False))
    default = arrays(input_fn(shards, "train", 4))
    chosen = arrays(input_fn(shards, "train", 4, augment=AugmentConfig()))
    assert_same(default, chosen)
    assert any((a[0] != b[0]).any() for a, b in zip(plain, default))
    assert_same([a[1:] for a in plain], [b[1:] for b in default])


def test_a_second_iteration_has_another_order_and_every_clip(shards):
    dataset = input_fn(shards, "train", 1, element="keys")
    runs = [ids(dataset) for _ in range(4)]
    assert len({str(run) for run in runs}) == 4
    everything = [[f"train{n:05d}"] for n in range(NUM_TRAIN)]
    assert all(sorted(run) == everything for run in runs)
    again = input_fn(shards, "train", 1, element="keys")
    assert [ids(again) for _ in range(4)] == runs


def test_no_iteration_depends_on_the_seed_of_the_process(shards):
    def iterations(seed):
        tf.random.set_seed(seed)
        dataset = input_fn(shards, "train", 1, element="keys", seed=5)
        return [ids(dataset) for _ in range(3)]

    assert iterations(1) == iterations(2)


def test_evaluation_is_the_same_in_each_iteration(shards):
    dataset = input_fn(shards, "val", 2)
    assert_same(arrays(dataset), arrays(dataset))


@pytest.mark.parametrize(
    ("split", "batch_size", "steps"),
    [("train", 4, 3), ("train", 13, 1), ("val", 2, 3), ("val", 5, 1)],
)
def test_steps_per_epoch_counts_the_batches(shards, split, batch_size, steps):
    assert steps_per_epoch(shards, split, batch_size) == steps
    assert len(list(input_fn(shards, split, batch_size, element="keys"))) == steps


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"element": "rows"},
            "element must be one of pair, weighted, dict, landmarks, keys",
        ),
        ({"batch_size": 14}, "batch_size 14 is larger than the split, which has 13"),
        (
            {"augment": "none"},
            "augment must be True, False or an AugmentConfig: 'none'",
        ),
        ({"batch_size": 8 / 2}, "batch_size must be a whole number, got 4.0"),
        ({"seed": None}, "seed must be a whole number, got None"),
        ({"num_epochs": "2"}, "num_epochs must be a whole number, got '2'"),
        ({"start_step": tf.Variable(1)}, "start_step must be a whole number, got <tf"),
        ({"max_bad_records": -1}, "max_bad_records must be at least 0, got -1"),
        ({"num_epochs": 0}, "num_epochs must be at least 1 or None, got 0"),
        ({"start_step": 4}, r"start_step must be in \[0, 3\], got 4"),
        ({"start_step": -1, "num_epochs": None}, r"start_step must be in \[0, …\]"),
        (
            {"input_context": context(1, 0, 3)},
            "batch_size 4 does not divide by 3 replicas in 1 workers; choose a",
        ),
        (
            {"split": "val", "input_context": context(1, 0, 2)},
            '5 clips do not fill batches of 4 on 2 replicas; use element="weighted"',
        ),
    ],
)
def test_an_impossible_argument_is_named(shards, options, message):
    with pytest.raises(ValueError, match=message):
        input_fn(shards, **{"split": "train", "batch_size": 4} | options)


def test_numbers_of_numpy_are_as_good_as_python_s(shards):
    def records(**options):
        batches = input_fn(shards, **options, element="keys")
        return [batch["record"].numpy().tolist() for batch in batches]

    small = {"batch_size": np.int8(4), "start_step": np.int32(1), "seed": np.int8(1)}
    assert records(**small) == records(batch_size=4, start_step=1, seed=1)
    with pytest.raises(ValueError, match="batch_size must be a whole number"):
        steps_per_epoch(shards, batch_size=4.0)


def test_a_split_that_is_not_there_is_named(shards):
    with pytest.raises(ShardFolderError, match=r"no 'test' shards in .*; it has train"):
        input_fn(shards, "test")
    with pytest.raises(ShardFolderError, match="cannot read the shard folder"):
        input_fn(shards / "nowhere")


@pytest.fixture(scope="module")
def with_landmarks(write_folder, tmp_path_factory):
    return {
        codec: write_folder(
            tmp_path_factory.mktemp(codec) / "shards",
            {"train": 6, "val": 3},
            codec=codec,
            landmarks=True,
        )
        for codec in ("raw", "jpeg")
    }


@pytest.mark.parametrize("codec", ["raw", "jpeg"])
@pytest.mark.parametrize("reader", ["direct", "graph"])
def test_landmarks_come_with_the_frames_or_alone(with_landmarks, codec, reader):
    folder = with_landmarks[codec]
    for element in ("dict", "landmarks"):
        batches = arrays(input_fn(folder, "val", 2, element=element, reader=reader))
        assert all(("frames" in batch) == (element == "dict") for batch in batches)
        found = np.concatenate([batch["landmarks"] for batch in batches])
        # The last batch is filled with clips of weight 0.
        assert found.shape == (4, 5, 67, 3)
        assert found.dtype == np.float32
        for number in range(3):
            np.testing.assert_array_equal(found[number], drawn_landmarks(number, 5))


@pytest.mark.parametrize("order", ["shuffled", "sequential"])
def test_both_readers_change_landmarks_alike(with_landmarks, order):
    changed = {
        reader: arrays(
            input_fn(
                with_landmarks["raw"],
                batch_size=3,
                augment=AugmentConfig(flip_probability=0.5),
                element="dict",
                reader=reader,
                order=order,
            )
        )
        for reader in ("direct", "graph")
    }
    for direct, graph in zip(changed["direct"], changed["graph"], strict=True):
        np.testing.assert_array_equal(direct["record"], graph["record"])
        np.testing.assert_allclose(direct["landmarks"], graph["landmarks"], atol=1e-6)
        for record, landmarks in zip(direct["record"], direct["landmarks"]):
            assert np.abs(landmarks - drawn_landmarks(record, 5)).max() > 0.001


def test_a_damaged_record_has_no_landmarks(write_folder, tmp_path):
    folder = write_folder(tmp_path / "shards", {"val": 3}, landmarks=True, num_shards=1)
    [shard] = folder.glob("*.tfrecord-*")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 255
    shard.write_bytes(content)
    for reader in ("direct", "graph"):
        batches = input_fn(
            folder, "val", 3, element="landmarks", max_bad_records=1, reader=reader
        )
        [batch] = arrays(batches)
        assert batch["weight"].tolist() == [1, 0, 1]
        assert (batch["landmarks"][1] == 0).all()


def test_a_folder_without_landmarks_is_refused(shards):
    with pytest.raises(ShardFolderError, match="has no landmarks; run bin/shard"):
        input_fn(shards, element="landmarks")
    assert "landmarks" not in input_fn(shards, "train", 4, element="dict").element_spec

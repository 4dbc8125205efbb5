import logging

import numpy as np
import pytest
import tensorflow as tf

from wlasl_tfrecord.errors import RecordError
from wlasl_tfrecord.input_pipeline.damaged_records import (
    DamageBudget,
    damage_text,
    damaged_records_by_name,
    failure_text,
    record_numbers,
)
from wlasl_tfrecord.shard_format.shard_folder import load_folder, load_records

# A name that looks like the text of an error.
LINE = "".join(damage_text("a; [b]: c", "3", "120", "assertion failed: [x]"))


def failing(condition):
    """A stage of an input that fails as a reader does."""
    message = tf.strings.join(failure_text(tf.constant(LINE), 2))
    check = tf.raw_ops.Assert(condition=condition, data=[message])
    with tf.control_dependencies([] if check is None else [check]):
        return tf.constant(0)


def fail_eagerly():
    failing(tf.constant(False))


def fail_in_a_map():
    list(tf.data.Dataset.from_tensors(False).map(failing))


@pytest.mark.parametrize("fail", [fail_eagerly, fail_in_a_map])
def test_an_input_that_fails_names_the_record_and_the_way_out(fail):
    with pytest.raises(RecordError) as caught, damaged_records_by_name():
        fail()
    assert str(caught.value) == (
        "a; [b]: c: record 3 at byte 120, video_id assertion failed: [x], is damaged "
        "or not the clip that the index says; more than max_bad_records=2: delete the "
        "file and run bin/shard again, copy it again, or allow more"
    )


def test_another_error_stays_what_it_is():
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="other"),
        damaged_records_by_name(),
    ):
        tf.debugging.Assert(tf.constant(False), ["other"])


def test_a_budget_counts_each_record_once_and_logs_it(caplog):
    budget = DamageBudget(2)
    with caplog.at_level(logging.WARNING, logger="absl"):
        assert [budget.tolerate(k, f"line {k}") for k in (5, 5, 7, 9, 5, 9)] == [
            *(True, True, True),
            *(False, True, False),
        ]
    assert [record.getMessage() for record in caplog.records] == [
        "line 5; passed over, 1 of at most 2",
        "line 7; passed over, 2 of at most 2",
    ]


def test_records_are_numbered_within_their_shard(write_folder, tmp_path):
    folder = load_folder(write_folder(tmp_path / "shards", {"train": 7}, num_shards=3))
    numbers = record_numbers(load_records(folder, "train"))
    np.testing.assert_array_equal(numbers, [0, 1, 0, 1, 0, 1, 2])

"""The workers of a training on several machines: who they are."""

import json

import numpy as np
import pytest

from wlasl_tfrecord.errors import TrainingError


def tf_config(workers, kind="worker", index=0):
    cluster = {
        "cluster": {"worker": workers},
        "task": {"type": kind, "index": index},
    }
    return json.dumps(cluster)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"cannot use TF_CONFIG='{': it is not JSON: Expecting"),
        ("{}", r"TF_CONFIG='{}': it names no cluster and task; it wants {\"cluster\""),
        ("[]", r"TF_CONFIG='\[\]': it names no cluster and task"),
        ("7", r"it names no cluster and task"),
        (tf_config([]), "its task is not one of its cluster"),
        (tf_config(["a:1"], index=3), "its task is not one of its cluster"),
        (tf_config(["a:1"], index=-1), "its task is not one of its cluster"),
        (tf_config(["a:1"], index="x"), "its task is not one of its cluster"),
        (tf_config(["a:1"], kind="chief"), "its task is not one of its cluster"),
        (tf_config("a:1"), "'worker' is not a list of chief or worker"),
        (
            '{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
            "'ps' is not a list of chief or worker",
        ),
        (tf_config(["nohost"]), "TF_CONFIG: a worker must be host:port, got 'nohost'"),
        (tf_config(["a:1", "a:1"]), "TF_CONFIG: two workers have one address in a:1"),
    ],
)
def test_a_tf_config_that_cannot_be_is_named(text, message, monkeypatch):
    from wlasl_tfrecord.training import strategies

    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(TrainingError, match=message):
        strategies.make_strategy("multi_worker", say=print)


@pytest.mark.parametrize(
    "address", ["foo", "a:0", "a:65536", "a:x", ":1", "http://a:1"]
)
def test_an_address_that_cannot_be_is_named(address):
    from wlasl_tfrecord.training import strategies

    with pytest.raises(
        TrainingError, match=f"--workers: a worker must be host:port, got '{address}'"
    ):
        strategies.make_strategy("multi_worker", ["a:1", address], 0)


def test_a_host_that_does_not_exist_is_named(monkeypatch):
    from wlasl_tfrecord.training import strategies

    monkeypatch.delenv("TF_CONFIG", raising=False)
    addresses = ["127.0.0.1:1", "no-such-host.invalid:7"]
    with pytest.raises(
        TrainingError,
        match=r"--workers: no host 'no-such-host.invalid' of the worker "
        r"no-such-host.invalid:7 \(.+\); check the name",
    ):
        strategies.make_strategy("multi_worker", addresses, 0)


def test_replicas_are_counted_each():
    import tensorflow as tf

    from wlasl_tfrecord.training import cluster, strategies

    for name, num_replicas in (("none", 1), ("mirrored", 2)):
        strategy = strategies.make_strategy(name)
        total = cluster.sum_over_replicas(strategy, [1, 2.5])
        np.testing.assert_array_equal(total, [num_replicas, 2.5 * num_replicas])
        assert not cluster.differs(strategy, 10**7)
        # Of one machine, an error is no other worker's.
        gone = tf.errors.UnavailableError(None, None, "Socket closed")
        assert cluster.lost_worker(strategy, gone) is None

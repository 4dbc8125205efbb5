"""Batches of a tf.data service that runs in this process."""

import logging
import socket

import numpy as np
import pytest
import tensorflow as tf

from wlasl_tfrecord.errors import DataServiceError, RecordError
from wlasl_tfrecord.input_pipeline import data_service
from wlasl_tfrecord.input_pipeline.damaged_records import damaged_records_by_name
from wlasl_tfrecord.input_pipeline.data_service import (
    check_service,
    served_errors_by_name,
    wait_for_service,
)
from wlasl_tfrecord.input_pipeline.dataset import input_fn

CONFIG = tf.data.experimental.service.WorkerConfig


@pytest.fixture(scope="module")
def dispatcher():
    server = tf.data.experimental.service.DispatchServer()
    yield server.target
    server._stop()


@pytest.fixture(scope="module")
def service(dispatcher):
    """The address of a dispatcher with two workers."""
    address = dispatcher.partition("://")[2]
    config = CONFIG(dispatcher_address=address, heartbeat_interval_ms=100)
    workers = [tf.data.experimental.service.WorkerServer(config) for _ in range(2)]
    yield dispatcher
    for worker in workers:
        worker._stop()


@pytest.fixture(scope="module")
def shards(write_folder, tmp_path_factory):
    return write_folder(
        tmp_path_factory.mktemp("s") / "shards", {"train": 11, "val": 5}
    )


def assert_same(ours, theirs):
    ours, theirs = list(ours), list(theirs)
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs):
        tf.nest.map_structure(lambda x, y: np.testing.assert_array_equal(x, y), a, b)


@pytest.mark.parametrize(
    "options",
    [
        {"num_epochs": 3, "start_step": 4},
        {"split": "val", "element": "pair"},
        # The second of two workers of a training, with 2 replicas.
        {"input_context": tf.distribute.InputContext(2, 1, 2), "augment": False},
    ],
)
def test_batches_and_their_order_are_those_without_the_service(
    shards, service, options
):
    options = {"element": "dict", **options}
    split = options.pop("split", "train")
    served = input_fn(shards, split, 2, data_service=service, **options)
    here = input_fn(shards, split, 2, reader="graph", **options)
    assert served.element_spec == here.element_spec
    assert served.cardinality() == here.cardinality()
    assert_same(here, served)
    # Another order in training, and the same two again.
    assert_same(here, served)


@pytest.mark.parametrize("element", ["landmarks", "dict"])
def test_landmarks_come_too(service, write_folder, tmp_path, element):
    folder = write_folder(tmp_path / "shards", {"val": 5}, landmarks=True)
    options = {"split": "val", "batch_size": 2, "element": element}
    here = input_fn(folder, reader="graph", **options)
    assert_same(here, input_fn(folder, data_service=service, **options))


def test_an_endless_input_can_be_left(shards, service):
    options = {"num_epochs": None, "start_step": 10**9, "element": "keys"}
    options["batch_size"] = 2
    expected = [b["record"].numpy() for b in input_fn(shards, **options).take(7)]
    options["element"] = "dict"
    served = input_fn(shards, data_service=service, **options).take(7)
    np.testing.assert_array_equal([b["record"] for b in served], expected)


def test_what_does_not_come_is_made_here(shards, service, monkeypatch, caplog):
    class Forgetful(data_service._Arrivals):
        """A service whose worker was killed with three batches."""

        def next(self):
            arrived = super().next()
            lost = arrived is not None and arrived[0] in (0, 7, 18)
            return self.next() if lost else arrived

    monkeypatch.setattr(data_service, "_Arrivals", Forgetful)
    options = {"num_epochs": 4, "element": "dict"}
    with caplog.at_level(logging.WARNING, logger="absl"):
        served = list(input_fn(shards, "train", 2, data_service=service, **options))
    assert_same(input_fn(shards, "train", 2, reader="graph", **options), served)
    assert [record.getMessage() for record in caplog.records] == [
        f"{service} has not sent batch 0: made here, as 1 so far; is a worker gone?",
        f"{service} has not sent batch 7: made here, as 2 so far; is a worker gone?",
    ]


def test_memory_for_what_comes_early_is_bounded(shards, service):
    made = []

    class Backwards:
        """A service that sends the last batch first."""

        def __init__(self, count):
            self.numbers = list(range(count))

        def next(self):
            return (number := self.numbers.pop(), (number,)) if self.numbers else None

        def warn(self, number, num_made):
            pass

    def make_here(number):
        made.append(number)
        return (number,)

    ordered = data_service._ordered(Backwards(10), 10, make_here, most_early=3)
    assert [number for (number,) in ordered] == list(range(10))
    assert len(made) == 7


def test_a_service_without_workers_is_one_line(shards, monkeypatch):
    monkeypatch.setattr(data_service, "_START_SECONDS", 0.2)
    lonely = tf.data.experimental.service.DispatchServer()
    batches = input_fn(shards, data_service=lonely.target, batch_size=2)
    with (
        pytest.raises(DataServiceError, match=r"has sent no batch within 0\.2 seconds"),
        served_errors_by_name(),
    ):
        next(iter(batches))


def test_a_service_that_fails_is_one_line(shards, service, monkeypatch):
    def fail(*_, **__):
        raise tf.errors.UnimplementedError(None, None, "no such operation")

    monkeypatch.setattr(data_service, "make_batch", fail)
    batches = input_fn(shards, batch_size=2, data_service=service)
    with (
        pytest.raises(
            DataServiceError, match=r"failed: .* no such operation ?; have its"
        ),
        served_errors_by_name(),
    ):
        next(iter(batches))


def test_after_a_service_has_failed_the_rest_is_made_here(
    shards, service, monkeypatch, caplog
):
    class Failing(data_service._Arrivals):
        """A service that fails after its second batch."""

        num_put = 0

        def _put(self, arrived):
            self.num_put += 1
            if self.num_put == 3:
                arrived = tf.errors.CancelledError(None, None, "job is gone")
            super()._put(arrived)

    monkeypatch.setattr(data_service, "_Arrivals", Failing)
    options = {"num_epochs": 1, "element": "dict"}
    with caplog.at_level(logging.WARNING, logger="absl"):
        served = list(input_fn(shards, "train", 2, data_service=service, **options))
    assert_same(input_fn(shards, "train", 2, reader="graph", **options), served)
    messages = [record.getMessage() for record in caplog.records]
    assert f"{service} failed: job is gone; what is left is made here" in messages


def test_a_damaged_record_is_named(write_folder, tmp_path, service):
    shards = write_folder(tmp_path / "shards")
    path = sorted(shards.glob("*train.tfrecord*"))[0]
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    batches = input_fn(shards, batch_size=2, data_service=service)
    with (
        pytest.raises(RecordError, match=r"record 0 at byte 0, video_id train00000"),
        served_errors_by_name(),
        damaged_records_by_name(),
    ):
        list(batches)


def test_another_error_stays_what_it_is():
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="other"),
        served_errors_by_name(),
    ):
        tf.debugging.Assert(tf.constant(False), ["other"])


@pytest.mark.parametrize(
    "address",
    ["", "host:1", "http://host:1", "grpc://host", "grpc://host:0", "grpc://h:70000"],
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match="a data service is grpc://host:port, got"):
        check_service(address)


def test_an_address_may_be_a_name_or_a_number():
    assert check_service("grpc://data-0.data:5050") == ("data-0.data", 5050)
    assert check_service("grpc://[::1]:5050") == ("::1", 5050)


def test_a_dispatcher_that_is_not_there_is_one_line(dispatcher):
    wait_for_service(dispatcher, 5.0)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"grpc://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(DataServiceError, match=r"within --connect-timeout 0\.3"):
            wait_for_service(address, 0.3)
    with pytest.raises(
        DataServiceError, match=r"no dispatcher at grpc://no\.such\.host:1 \("
    ):
        wait_for_service("grpc://no.such.host:1", 0.3)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("reader", "direct"),
        ("order", "sequential"),
        ("max_bad_records", 1),
        ("ram_budget_mib", 500),
    ],
)
def test_what_a_service_cannot_do_is_refused(shards, option, value):
    with pytest.raises(
        ValueError, match=f"a data service cannot read with {option}={value!r}"
    ):
        input_fn(shards, data_service="grpc://localhost:1", **{option: value})

import socket

import pytest

from wlasl_tfrecord.errors import DataServiceError
from wlasl_tfrecord.input_pipeline.data_server import (
    own_name,
    start_dispatcher,
    start_worker,
)
from wlasl_tfrecord.input_pipeline.data_service import wait_for_service


def test_a_dispatcher_and_a_worker_say_where_they_are(tmp_path):
    dispatcher = start_dispatcher(0, work_dir=str(tmp_path / "journal"))
    assert dispatcher.address.startswith(f"grpc://{socket.gethostname()}:")
    here = f"grpc://127.0.0.1:{dispatcher.address.rpartition(':')[2]}"
    wait_for_service(here, 5.0)
    worker = start_worker(here, 0, timeout_seconds=5.0)
    assert worker.address.startswith("grpc://127.0.0.1:")
    wait_for_service(worker.address, 5.0)
    named = start_worker(here, 0, name="localhost", timeout_seconds=5.0)
    assert named.address.startswith("grpc://localhost:")


def test_a_port_in_use_is_one_line():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        address = f"grpc://127.0.0.1:{port}"
        for start in (
            lambda: start_dispatcher(port),
            lambda: start_worker(address, port, timeout_seconds=5.0),
        ):
            with pytest.raises(DataServiceError, match=f"on port {port} .* in use"):
                start()


def test_a_worker_without_a_dispatcher_is_one_line():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"grpc://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(DataServiceError, match="no dispatcher at grpc://127"):
            start_worker(address, 0, timeout_seconds=0.3)


def test_the_name_of_this_machine_is_a_number_on_the_way_there():
    assert own_name("grpc://127.0.0.1:5050") == "127.0.0.1"
    assert own_name("grpc://[::1]:5050") == "[::1]"

import socket

import pytest

from wlasl_tfrecord.errors import WlaslError
from wlasl_tfrecord.serving.address import listen, url_of


def test_a_free_port_is_found_and_told():
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        assert url_of(sock) == f"http://127.0.0.1:{port}/"
        # It waits for an answer from here on.
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_a_taken_port_is_one_line():
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        message = (
            rf"cannot listen on 127\.0\.0\.1 port {port}: Address already in use; "
        )
        with pytest.raises(WlaslError, match=message + "choose another --port"):
            listen("127.0.0.1", port)


def test_an_address_of_another_machine_is_one_line():
    # TEST-NET-1, which belongs to nobody: RFC 5737.
    with pytest.raises(WlaslError, match=r"cannot listen on 192\.0\.2\.1 port 0: "):
        listen("192.0.2.1", 0)


def test_an_ipv6_address_is_written_in_brackets():
    try:
        sock = listen("::1", 0)
    except WlaslError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
    with sock:
        assert url_of(sock) == f"http://[::1]:{sock.getsockname()[1]}/"

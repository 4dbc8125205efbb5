import pytest

from wlasl_tfrecord.serving.options import ServeOptions, new_token


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"top": 0}, "top must be at least 1, got 0"),
        ({"max_mib": 0}, "max_mib must be at least 1, got 0"),
        ({"max_frames": 0}, "max_frames must be at least 1, got 0"),
        ({"max_at_once": 0}, "max_at_once must be at least 1, got 0"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"port": -1}, "port must be from 0 to 65535, got -1"),
        ({"port": 65536}, "port must be from 0 to 65535, got 65536"),
        ({"header_seconds": 0}, "header timeout must be above 0 and below 1e6"),
        ({"upload_seconds": 0}, "upload timeout must be above 0 and below 1e6"),
        ({"decode_seconds": -1}, "timeout must be above 0 and below 1e6 seconds"),
        ({"memory_mib": 10}, "memory must be at least 200 MiB"),
        ({"token": "short"}, "a token is 16 or more ASCII characters .*, got 5"),
        ({"token": "with spaces between them"}, "a token is 16 or more"),
        ({"token": "äöüäöüäöüäöüäöüäöü"}, "a token is 16 or more"),
        ({"host": "0.0.0.0"}, "host 0.0.0.0 opens this server to every machine"),
        ({"host": "::"}, "host :: opens this server to every machine"),
        ({"host": "192.168.1.7"}, "opens this server to every machine"),
        ({"host": "my-machine"}, "host my-machine opens this server"),
    ],
)
def test_what_no_server_can_do_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        ServeOptions(**values)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.1.1", "::1", "localhost"])
def test_this_machine_needs_no_token(host):
    assert ServeOptions(host=host).token is None


def test_a_made_token_is_good_for_any_host_and_never_the_same():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    for token in tokens:
        assert ServeOptions(host="0.0.0.0", token=token).token == token

import pytest

from wlasl_tfrecord.shard_format.protobuf import (
    bytes_feature,
    encode_example,
    int64_feature,
)


def example(**features):
    return memoryview(b"".join(encode_example(features)))


def test_a_value_of_bytes_is_found_by_its_key():
    proto = example(a=[1, 2], b=b"x" * 300, c="text", d=0.5)
    assert bytes(bytes_feature(proto, "b")) == b"x" * 300
    assert bytes(bytes_feature(proto, "c")) == b"text"


def test_integers_are_found_by_their_key():
    proto = example(a=[0, 127, 128, 70_000], b=b"x" * 300)
    assert int64_feature(proto, "a") == (0, 127, 128, 70_000)
    with pytest.raises(KeyError, match="b"):
        int64_feature(proto, "b")


@pytest.mark.parametrize("key", ["a", "z"])
def test_a_key_without_bytes_is_a_key_error(key):
    with pytest.raises(KeyError, match=key):
        bytes_feature(example(a=[1, 2], b=b"x"), key)


@pytest.mark.parametrize("num_bytes", [1, 4, 9])
def test_a_proto_that_is_cut_off_is_an_error(num_bytes):
    whole = example(b=b"x" * 300)
    with pytest.raises(ValueError, match=r"no message of tf\.train"):
        bytes_feature(whole[:num_bytes], "b")

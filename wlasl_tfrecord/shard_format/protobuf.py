"""A proto's bytes: `tf.train` examples in the wire format, without TensorFlow.

Importing TensorFlow to serialise a few strings would cost a decoder process 0.5 GB, and
its protos copy the frames of a clip three times. What is written here is, byte for
byte, what `SerializeToString(deterministic=True)` gives.

Reference:
    https://protobuf.dev/programming-guides/encoding/, docs/shard-format.md section 4.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = [
    "Pieces",
    "Value",
    "bytes_feature",
    "encode_example",
    "encode_sequence_example",
    "example_of",
    "int64_feature",
]

# Bytes that follow each other. A proto holds its frames as a piece of their
# own, so that nobody copies 4.5 MB to put a length before them.
Pieces = list[bytes | memoryview]

Value = str | bytes | memoryview | int | float | Sequence[str | bytes | int | float]


def encode_example(features: Mapping[str, Value]) -> Pieces:
    """Serialises a `tf.train.Example`.

    Args:
        features: Key -> a value, or several of one type.

    Returns:
        The proto. A memoryview among the features is a piece of it, and not copied.
    """
    return _field(1, _map({key: _feature(value) for key, value in features.items()}))


def encode_sequence_example(
    context: Mapping[str, Value], lists: Mapping[str, Sequence[Value]]
) -> Pieces:
    """Serialises a `tf.train.SequenceExample`.

    Args:
        context: Key -> a value, or several of one type.
        lists: Key -> one value, or several, for each step.

    Returns:
        The proto.
    """
    feature_lists = {
        key: [piece for value in values for piece in _field(1, _feature(value))]
        for key, values in lists.items()
    }
    return [
        *_field(1, _map({key: _feature(value) for key, value in context.items()})),
        *_field(2, _map(feature_lists)),
    ]


def example_of(features: bytes | bytearray) -> bytes:
    """Returns a `tf.train.Example` of features that are serialised already.

    Args:
        features: Entries of the map of its features, one after the other.
    """
    return b"".join(_field(1, [bytes(features)]))


def bytes_feature(example: memoryview, key: str) -> memoryview:
    """Finds one value of bytes in what `encode_example` made, and copies nothing.

    Args:
        example: A `tf.train.Example`.
        key: The key of a feature with one value of bytes.

    Raises:
        KeyError: If there is no such feature.
        ValueError: If this is no such proto.
    """
    ((_, value),) = _fields(_values(example, key, 1))
    return value


def int64_feature(example: memoryview, key: str) -> tuple[int, ...]:
    """Reads the integers of a feature of what `encode_example` made.

    Args:
        example: A `tf.train.Example`.
        key: The key of a feature of integers, none of them negative.

    Raises:
        KeyError: If there is no such feature.
        ValueError: If this is no such proto.
    """
    ((_, packed),) = _fields(_values(example, key, 3))
    numbers, at = [], 0
    while at < len(packed):
        number, at = _read_varint(packed, at)
        numbers.append(number)
    return tuple(numbers)


def _values(example: memoryview, key: str, kind: int) -> memoryview:
    """Finds the list of a feature: kind 1 has bytes, 3 has integers.

    Raises:
        KeyError: If there is no such feature.
        ValueError: If this is no such proto.
    """
    for _, features in _fields(example):
        for _, entry in _fields(features):
            name, feature = (value for _, value in _fields(entry))
            if name == key.encode():
                ((found, values),) = _fields(feature)
                if found == kind:
                    return values
    raise KeyError(key)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yields the fields of a message, all of which are of wire type 2, by number."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        length, at = _read_varint(message, at)
        if tag & 7 != 2 or at + length > len(message):
            raise ValueError(f"no message of tf.train at byte {at}")
        yield tag >> 3, message[at : at + length]
        at += length


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """Reads a number, and returns it with the place after it."""
    value = shift = 0
    while at < len(message):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
    raise ValueError(f"no message of tf.train: a number goes beyond byte {at}")


def _map(messages: Mapping[str, Pieces]) -> Pieces:
    """Returns the entries of a map of messages in the order of their keys' bytes."""
    entries: Pieces = []
    for key, message in sorted((key.encode(), m) for key, m in messages.items()):
        entries += _field(1, [*_field(1, [key]), *_field(2, message)])
    return entries


def _feature(value: Value) -> Pieces:
    """Returns a `tf.train.Feature`: a list of bytes (1), floats (2) or int64 (3)."""
    one = isinstance(value, str | bytes | memoryview | int | float)
    values: list[Any] = [value] if one else list(value)
    if isinstance(values[0], int):
        return _field(3, _field(1, [b"".join(map(_varint, values))]))
    if isinstance(values[0], float):
        return _field(2, _field(1, [struct.pack(f"<{len(values)}f", *values)]))
    texts = [v.encode() if isinstance(v, str) else v for v in values]
    return _field(1, [piece for text in texts for piece in _field(1, [text])])


def _field(number: int, pieces: Pieces) -> Pieces:
    """Returns a field of bytes: its number and wire type 2, its length, its content."""
    length = sum(map(len, pieces))
    return [bytes([number << 3 | 2]) + _varint(length), *pieces]


def _varint(value: int) -> bytes:
    """Writes a number by seven bits a byte, the lowest first.

    Negative ones as their two's complement of 64 bits, as int64 has it.
    """
    value &= 0xFFFFFFFFFFFFFFFF
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)

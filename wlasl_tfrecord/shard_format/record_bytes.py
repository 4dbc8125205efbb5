"""Where the frames lie in the bytes of a record, found without TensorFlow.

`clip_proto` writes what is read here. Any writer's protos are understood, whatever the
order of their keys.

Reference:
    https://protobuf.dev/programming-guides/encoding/, docs/shard-format.md section 4.
"""

from collections.abc import Iterator

from wlasl_tfrecord.shard_format.clip_proto import FRAMES_KEY, IMAGES_KEY

__all__ = ["find_frames", "find_images"]

Buffer = bytes | bytearray | memoryview


def find_frames(proto: Buffer) -> range | None:
    """Returns where the frames of a `raw` record lie in its proto.

    Args:
        proto: The proto, or its first bytes.

    Returns:
        The range of bytes; None if the key is not in the bytes that were given.

    Raises:
        ValueError: If the bytes are no such proto.
    """
    for features in _fields(proto, range(len(proto)), 1):
        for entry in _fields(proto, features, 1):
            if _key(proto, entry) == FRAMES_KEY.encode():
                for feature in _fields(proto, entry, 2):
                    return _bytes_value(proto, feature)
    return None


def find_images(proto: Buffer) -> list[range]:
    """Returns where the images of a `jpeg` or `png` record lie in its proto, in order.

    Raises:
        ValueError: If the bytes are no such proto.
    """
    for lists in _fields(proto, range(len(proto)), 2):
        for entry in _fields(proto, lists, 1):
            if _key(proto, entry) == IMAGES_KEY.encode():
                return [
                    _bytes_value(proto, feature)
                    for feature_list in _fields(proto, entry, 2)
                    for feature in _fields(proto, feature_list, 1)
                ]
    return []


def _key(proto: Buffer, entry: range) -> bytes:
    """Returns the key of an entry of a map."""
    for key in _fields(proto, entry, 1):
        return bytes(proto[key.start : key.stop])
    return b""


def _bytes_value(proto: Buffer, feature: range) -> range:
    """Returns where the only value of a feature of bytes lies."""
    for values in _fields(proto, feature, 1):
        for value in _fields(proto, values, 1):
            return value
    raise ValueError("a feature has no bytes")


def _fields(proto: Buffer, message: range, number: int) -> Iterator[range]:
    """Yields where the fields of a number lie, those that have a length.

    The message may reach past the bytes that were given; then only the fields that
    begin in them are found.
    """
    at, stop = message.start, min(message.stop, len(proto))
    while at < stop:
        tag, at = _varint(proto, at)
        kind = tag & 7
        if kind == 2:
            length, at = _varint(proto, at)
            if tag >> 3 == number:
                yield range(at, at + length)
            at += length
        elif kind == 0:
            _, at = _varint(proto, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of wire type {kind}")


def _varint(proto: Buffer, at: int) -> tuple[int, int]:
    """Reads a number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while shift < 70:
        if at >= len(proto):
            raise ValueError("it ends within a number")
        byte = proto[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number of more than ten bytes")

"""What lies where in the bytes of a record, found without TensorFlow.

`clip_proto` writes what is read here. Any writer's protos are understood, whatever the
order of their keys.

Reference:
    https://protobuf.dev/programming-guides/encoding/, docs/shard-format.md section 4.
"""

import re
from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.shard_format.clip_proto import FRAMES_KEY, IMAGES_KEY
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.codecs import Codec, codec_facts
from wlasl_tfrecord.shard_format.landmarks import (
    LANDMARK_GROUPS,
    landmark_keys,
    landmarks_from,
)

__all__ = ["count_costly_parts", "find_frames", "find_images", "read_landmarks"]

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


def find_images(proto: Buffer, most: int) -> list[range]:
    """Returns where the images of a `jpeg` or `png` record lie in its proto, in order.

    Args:
        proto: The proto, whole.
        most: How many to find; a forged one may have millions, of no byte each.

    Raises:
        ValueError: If the bytes are no such proto.
    """
    for lists in _fields(proto, range(len(proto)), 2):
        for entry in _fields(proto, lists, 1):
            if _key(proto, entry) == IMAGES_KEY.encode():
                places = (
                    place
                    for feature_list in _fields(proto, entry, 2)
                    for place in _bytes_values(proto, feature_list)
                )
                return list(islice(places, most))
    return []


def count_costly_parts(proto: Buffer, codec: Codec) -> int:
    """Returns how many costly parts the images of a record have; see `CodecFacts`.

    A tenth of the time of `bytes.count`, and without the lock of Python.

    Args:
        proto: The proto, whole; what is no image of it counts, too.
        codec: How the folder stores frames.
    """
    count = 0
    for mark in codec_facts(codec).costly_marks:
        (wanted,) = np.frombuffer(mark, f"u{len(mark)}")
        for start in range(min(len(mark), len(proto) - len(mark) + 1)):
            num_words = (len(proto) - start) // len(mark)
            words = np.frombuffer(proto, wanted.dtype, num_words, start)
            count += int(np.count_nonzero(words == wanted))
    return count


def read_landmarks(proto: Buffer, clip: ClipSpec, codec: Codec) -> NDArray[np.float32]:
    """Reads the landmarks of a record out of its proto.

    Args:
        proto: The proto, whole.
        clip: The shape of the clips in the folder.
        codec: How the folder stores frames.

    Returns:
        float32 [T, K, 3]; see `landmarks`.

    Raises:
        ValueError: If the bytes are no such proto, or its landmarks are not those of
            such a clip.
    """
    in_lists = codec_facts(codec).stores_images
    wanted = {key.encode(): key for g in LANDMARK_GROUPS for key in landmark_keys(g)}
    found: dict[str, NDArray[np.float32]] = {}
    for features in _fields(proto, range(len(proto)), 2 if in_lists else 1):
        for entry in _fields(proto, features, 1):
            key = wanted.get(_key(proto, entry))
            if key is None:
                continue
            pieces: list[bytes] = []
            for value in _fields(proto, entry, 2):
                steps = _fields(proto, value, 1) if in_lists else [value]
                pieces += [_floats(proto, feature) for feature in steps]
            found[key] = np.frombuffer(b"".join(pieces), "<f4").astype(np.float32)
    return landmarks_from(found, clip.num_frames)


def _floats(proto: Buffer, feature: range) -> bytes:
    """Returns the floats of a feature, packed or not, as they are stored."""
    pieces: list[bytes] = []
    for values in _fields(proto, feature, 2):
        for kind, place in _all_fields(proto, values, 1):
            if kind not in (2, 5) or place.stop > len(proto) or len(place) % 4:
                raise ValueError("a feature has no floats")
            pieces.append(bytes(proto[place.start : place.stop]))
    return b"".join(pieces)


def _key(proto: Buffer, entry: range) -> bytes:
    """Returns the key of an entry of a map."""
    for key in _fields(proto, entry, 1):
        return bytes(proto[key.start : key.stop])
    return b""


def _bytes_values(proto: Buffer, feature_list: range) -> Iterator[range]:
    """Yields where the only values of a list's features of bytes lie."""
    at, stop = feature_list.start, min(feature_list.stop, len(proto))
    while at < stop:
        # Nothing but three headers, as most writers have it: half of the time.
        headers = _NESTED.match(proto, at)
        if headers is None:
            break
        outer, inner, value = headers.groups()
        place = range(headers.end(), headers.end() + _small_varint(value))
        if not (
            headers.end(1) + _small_varint(outer)
            == headers.end(2) + _small_varint(inner)
            == place.stop
        ):
            break
        yield place
        at = place.stop
    for feature in _fields(proto, range(at, feature_list.stop), 1):
        yield _bytes_value(proto, feature)


def _bytes_value(proto: Buffer, feature: range) -> range:
    """Returns where the only value of a feature of bytes lies."""
    for values in _fields(proto, feature, 1):
        for value in _fields(proto, values, 1):
            return value
    raise ValueError("a feature has no bytes")


def _fields(proto: Buffer, message: range, number: int) -> Iterator[range]:
    """Yields where the fields of a number lie, those that have a length."""
    for kind, place in _all_fields(proto, message, number):
        if kind == 2:
            yield place


def _all_fields(
    proto: Buffer, message: range, number: int
) -> Iterator[tuple[int, range]]:
    """Yields the wire types of the fields of a number, and where their bytes lie.

    The message may reach past the bytes that were given; then only the fields that
    begin in them are found.
    """
    at, stop = message.start, min(message.stop, len(proto))
    while at < stop:
        tag, at = _varint(proto, at)
        kind = tag & 7
        start, length = at, _FIXED_BYTES.get(kind, 0)
        if kind == 2:
            length, start = _varint(proto, at)
            if length >= 2**31:
                raise ValueError(f"a field of {length} bytes")
        elif kind == 0:
            length = _varint(proto, at)[1] - at
        elif kind not in _FIXED_BYTES:
            raise ValueError(f"a field of wire type {kind}")
        if tag >> 3 == number:
            yield kind, range(start, start + length)
        at = start + length


# Wire type -> bytes of a value.
_FIXED_BYTES = {1: 8, 5: 4}


# Three fields of number 1, each of which begins with the next, and their lengths.
_NESTED = re.compile(rb"\n([\x80-\xff]{0,3}[\x00-\x7f])" * 3)


def _small_varint(stored: bytes) -> int:
    """Returns a number of at most four bytes."""
    number = int.from_bytes(stored, "little")
    return (
        number & 0x7F
        | number >> 1 & 0x7F << 7
        | number >> 2 & 0x7F << 14
        | number >> 3 & 0x7F << 21
    )


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

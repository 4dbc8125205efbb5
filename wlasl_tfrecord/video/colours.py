"""Colours: which primaries and transfer function a video names.

A clip's colours are those of BT.709, as nearly all video has them. What is recorded in
a wide gamut or with a high dynamic range (PQ, HLG) is converted to them. Of OpenCV's
releases some convert such frames and others do not, and what its scaler does not know
it leaves as memory that nobody wrote; so it decodes plain colours only.

Reference:
    ITU-T H.273 (the numbers); ITU-R BT.2408 (203 cd/m2 for white); ISO/IEC 14496-12,
    section 12.1.5 (colr); "VP Codec ISO Media File Format Binding" (vpcC); RFC 9559,
    section 5.1.4.1.28.16 (Colour); "Dolby Vision Streams Within the ISO Base Media File
    Format" (dvcC, dvvC).
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from wlasl_tfrecord.video.parameter_sets import (
    H264,
    HEVC,
    colours_of_set,
    configured_sets,
    sets_in_packet,
)

__all__ = [
    "BT2020",
    "DCI_P3",
    "DISPLAY_P3",
    "HLG",
    "PQ",
    "Colours",
    "are_plain",
    "colours_of_boxes",
    "colours_of_matroska",
    "colours_of_stream",
    "is_only_for_dolby",
    "need_conversion",
]

BT2020, DCI_P3, DISPLAY_P3 = 9, 11, 12
PQ, HLG = 16, 18

_BT709 = 1
# Of SDR, which OpenCV's scaler takes as it is: unspecified and reserved numbers, too.
_PLAIN_PRIMARIES = frozenset((0, 1, 2, 3, 4, 5, 6, 7))
_PLAIN_TRANSFERS = frozenset((0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 17))
_WIDE = frozenset((BT2020, DCI_P3, DISPLAY_P3))

# A configuration of Dolby Vision in MP4, or in Matroska's mapping of additions.
_DOLBY_BOXES = (b"dvcC", b"dvvC", b"dvwC")
_DOLBY_IN_MATROSKA = re.compile(rb"dv[cvw]C\x41\xed.(.{5})", re.DOTALL)


class Colours(NamedTuple):
    """The colours of a video, by their numbers in ITU-T H.273.

    Attributes:
        primaries: Of red, green and blue.
        transfer: The function from light to values.
    """

    primaries: int
    transfer: int


def are_plain(colours: Colours) -> bool:
    """Returns whether values are taken as they are, after YCbCr has become RGB."""
    return (
        colours.primaries in _PLAIN_PRIMARIES and colours.transfer in _PLAIN_TRANSFERS
    )


def need_conversion(colours: Colours) -> bool:
    """Returns whether a frame of these colours is converted to those of BT.709.

    What is neither this nor plain, such as logarithmic functions, nobody knows how to
    show: its values are taken as they are.
    """
    if colours.transfer in (PQ, HLG):
        return True
    return colours.primaries in _WIDE and colours.transfer in _PLAIN_TRANSFERS


def colours_of_stream(
    codec: str, extradata: bytes, key_packets: Sequence[bytes]
) -> list[Colours]:
    """Reads all colours that a stream of H.264 or HEVC names.

    Args:
        codec: OpenCV's four characters for the codec, in lower case.
        extradata: The decoder's configuration, as the container stores it.
        key_packets: The compressed key frames, or their beginnings.

    Raises:
        IndexError: If the configuration is damaged.
        ValueError: If a parameter set is damaged.
    """
    if codec not in H264 | HEVC:
        return []
    sets = {*configured_sets(codec, extradata)}
    for packet in key_packets:
        sets.update(sets_in_packet(codec, extradata, packet))
    named = (colours_of_set(codec, unit) for unit in sets)
    return [Colours(*colours) for colours in named if colours is not None]


def colours_of_boxes(boxes: Mapping[bytes, bytes]) -> list[Colours]:
    """Reads the colours that the boxes of an MP4 name which describe its frames.

    Args:
        boxes: Name -> content.
    """
    found: list[Colours] = []
    colr, vpcc = boxes.get(b"colr", b""), boxes.get(b"vpcC", b"")
    if colr[:4] in (b"nclx", b"nclc") and len(colr) >= 8:
        primaries, transfer = (
            int.from_bytes(colr[at : at + 2], "big") for at in (4, 6)
        )
        found.append(Colours(primaries, transfer))
    if len(vpcc) >= 9:
        found.append(Colours(vpcc[7], vpcc[8]))
    return found


def colours_of_matroska(header: bytes) -> list[Colours]:
    """Reads the colours that a Matroska file names before its first frame.

    Args:
        header: The beginning of the file.
    """
    primaries = re.findall(rb"\x55\xbb\x81(.)", header, re.DOTALL)
    transfers = re.findall(rb"\x55\xba\x81(.)", header, re.DOTALL)
    return [
        *(Colours(number[0], _BT709) for number in primaries),
        *(Colours(_BT709, number[0]) for number in transfers),
    ]


def is_only_for_dolby(boxes: Mapping[bytes, bytes], header: bytes) -> bool:
    """Returns whether only a decoder of Dolby Vision shows right colours.

    Most Dolby Vision, such as that of phones, has a picture in HLG or PQ below it that
    all decoders show. Its profile 5 has none.

    Args:
        boxes: As for `colours_of_boxes`.
        header: As for `colours_of_matroska`; nothing for an MP4.
    """
    found = [boxes[name][:5] for name in _DOLBY_BOXES if name in boxes]
    found += _DOLBY_IN_MATROSKA.findall(header)
    # Two numbers of the version, then seven bits of the profile, and at the end four of
    # what else shows the picture.
    return any(
        len(content) == 5 and content[2] >> 1 == 5 and content[4] >> 4 == 0
        for content in found
    )

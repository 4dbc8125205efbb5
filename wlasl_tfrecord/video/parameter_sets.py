"""Sequence parameter sets: what H.264 and HEVC say of all their pictures.

They lie in the container's configuration of the decoder, and may come again, and
changed, before any key frame.

Reference:
    ITU-T H.264, sections 7.3.2.1 and E.1.1; ITU-T H.265, sections 7.3.2.2, 7.3.3,
    7.3.4, 7.3.7 and E.2.1; ISO/IEC 14496-15, sections 5.3.3 (avcC) and 8.3.3 (hvcC).
"""

from collections.abc import Iterator

from wlasl_tfrecord.video.header_bits import Bits

__all__ = [
    "H264",
    "HEVC",
    "colours_of_set",
    "configured_sets",
    "h264_after_size",
    "h264_skip_to_signal",
    "read_signal",
    "sets_in_packet",
    "unescaped",
    "units_of_packet",
]

# OpenCV's names of the two codecs, in lower case.
H264 = frozenset(("h264", "avc1", "x264"))
HEVC = frozenset(("hevc", "hvc1", "hev1"))

_H264_SET, _HEVC_SET = 7, 33

# Profiles of H.264 whose parameter set has the chroma format.
_HIGH_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134))


def configured_sets(codec: str, configuration: bytes) -> list[bytes]:
    """Returns the parameter sets in a configuration, avcC or hvcC.

    Args:
        codec: OpenCV's four characters for the codec, in lower case.
        configuration: The decoder's configuration, as the container stores it.

    Raises:
        IndexError: If it is cut off.
    """
    found: list[bytes] = []
    if codec in H264:
        groups, at = [(_H264_SET, configuration[5] & 31)], 6
    else:
        groups, at = [(0, 0)] * configuration[22], 23
    for kind, count in groups:
        if codec in HEVC:
            kind = configuration[at] & 63
            count = int.from_bytes(configuration[at + 1 : at + 3], "big")
            at += 3
        for _ in range(count):
            size = int.from_bytes(configuration[at : at + 2], "big")
            unit = configuration[at + 2 : at + 2 + size]
            if kind in (_H264_SET, _HEVC_SET):
                found.append(unit)
            at += 2 + size
            if at > len(configuration):
                raise IndexError("the configuration is cut off")
    return found


def units_of_packet(codec: str, configuration: bytes, packet: bytes) -> Iterator[bytes]:
    """Yields the units of a compressed frame, the last one perhaps cut off.

    Args:
        codec: As for `configured_sets`.
        configuration: As for `configured_sets`.
        packet: The compressed frame, or its beginning.
    """
    # Without a configuration of MP4 or Matroska, units begin with start codes; and in
    # some files with it, too.
    length_at = 21 if codec in HEVC else 4
    has_lengths = len(configuration) > length_at and configuration[0] == 1
    if not has_lengths or packet.startswith(b"\0\0\0\1"):
        yield from (unit for unit in packet.split(b"\0\0\1")[1:] if len(unit) > 2)
        return
    length_bytes = 1 + (configuration[length_at] & 3)
    at = 0
    while at + length_bytes < len(packet):
        size = int.from_bytes(packet[at : at + length_bytes], "big")
        unit = packet[at + length_bytes : at + length_bytes + size]
        if len(unit) > 2:
            yield unit
        at += length_bytes + size


def sets_in_packet(codec: str, configuration: bytes, packet: bytes) -> list[bytes]:
    """Returns the parameter sets that come with a compressed frame.

    Args:
        codec: As for `configured_sets`.
        configuration: As for `configured_sets`.
        packet: As for `units_of_packet`.
    """
    hevc = codec in HEVC
    return [
        unit
        for unit in units_of_packet(codec, configuration, packet)
        if ((unit[0] >> 1) & 63 if hevc else unit[0] & 31)
        == (_HEVC_SET if hevc else _H264_SET)
    ]


def colours_of_set(codec: str, unit: bytes) -> tuple[int, int] | None:
    """Reads which colours a parameter set names.

    Args:
        codec: As for `configured_sets`.
        unit: The parameter set.

    Returns:
        The numbers of its primaries and of its transfer function in ITU-T H.273; None
        if it names none.

    Raises:
        ValueError: If it is damaged.
    """
    if codec in HEVC:
        bits = _hevc_at_usability(unit)
        return read_signal(bits) if _skip_to_signal(bits) else None
    bits = h264_after_size(unit)
    # What follows frame_mbs_only_flag, has one bit more where fields are coded.
    if not bits.read(1):
        bits.read(1)
    return read_signal(bits) if h264_skip_to_signal(bits) else None


def h264_after_size(unit: bytes) -> Bits:
    """Reads a parameter set of H.264 as far as frame_mbs_only_flag.

    Raises:
        ValueError: If it is damaged.
    """
    bits = Bits(unescaped(unit[1:]))
    profile = bits.read(8)
    bits.read(16)
    bits.golomb()
    if profile in _HIGH_PROFILES:
        chroma_format = bits.golomb()
        if chroma_format == 3:
            bits.read(1)
        bits.golomb()
        bits.golomb()
        bits.read(1)
        if bits.read(1):
            for number in range(8 if chroma_format != 3 else 12):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if number < 6 else 64)
    bits.golomb()
    order_type = bits.golomb()
    if order_type == 0:
        bits.golomb()
    elif order_type == 1:
        bits.read(1)
        bits.golomb()
        bits.golomb()
        bits.skip_golombs(bits.golomb())
    # Reference frames, gaps, and the size in macroblocks.
    bits.golomb()
    bits.read(1)
    bits.golomb()
    bits.golomb()
    return bits


def h264_skip_to_signal(bits: Bits) -> bool:
    """Passes over what lies before the type of signal.

    Args:
        bits: A parameter set of H.264, from after frame_mbs_only_flag on.

    Returns:
        Whether there is such a type, or anything after it.
    """
    bits.read(1)
    if bits.read(1):  # cropping
        bits.skip_golombs(4)
    return _skip_to_signal(bits)


def read_signal(bits: Bits) -> tuple[int, int] | None:
    """Reads the type of signal: its primaries and its transfer function, if it has any.

    Raises:
        ValueError: If the header ends within it.
    """
    if not bits.read(1):
        return None
    bits.read(4)
    if not bits.read(1):
        return None
    colours = (bits.read(8), bits.read(8))
    bits.read(8)
    return colours


def unescaped(unit: bytes) -> bytes:
    """Returns a unit without the bytes that keep start codes out of it."""
    return unit.replace(b"\0\0\3", b"\0\0")


def _skip_to_signal(bits: Bits) -> bool:
    """Passes over the beginning of the usability information, if there is any."""
    if not bits.read(1):
        return False
    if bits.read(1) and bits.read(8) == 255:  # the shape of a pixel
        bits.read(32)
    if bits.read(1):  # overscan
        bits.read(1)
    return True


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            following = (last + ((code + 1) // 2 if code % 2 else -code // 2)) % 256
        last = following or last


def _hevc_at_usability(unit: bytes) -> Bits:
    """Reads a parameter set of HEVC as far as the flag of its usability information."""
    bits = Bits(unescaped(unit[2:]))
    bits.read(4)
    num_layers = bits.read(3)
    bits.read(1)
    _skip_profile(bits, num_layers)
    bits.golomb()
    if bits.golomb() == 3:  # chroma format
        bits.read(1)
    bits.skip_golombs(2)
    if bits.read(1):  # cropping
        bits.skip_golombs(4)
    bits.skip_golombs(2)
    order_bits = bits.golomb() + 4
    for _ in range(num_layers + 1 if bits.read(1) else 1):
        bits.skip_golombs(3)
    bits.skip_golombs(6)
    if bits.read(1) and bits.read(1):
        _skip_hevc_scaling_lists(bits)
    bits.read(2)
    if bits.read(1):  # samples that are not compressed
        bits.read(8)
        bits.skip_golombs(2)
        bits.read(1)
    _skip_reference_sets(bits, bits.golomb())
    if bits.read(1):  # long-term references
        for _ in range(bits.golomb()):
            bits.read(order_bits + 1)
    bits.read(2)
    return bits


def _skip_profile(bits: Bits, num_layers: int) -> None:
    bits.read(96)
    has = [(bits.read(1), bits.read(1)) for _ in range(num_layers)]
    if has:
        bits.read(2 * (8 - num_layers))
    for profile, level in has:
        bits.read(88 * profile + 8 * level)


def _skip_hevc_scaling_lists(bits: Bits) -> None:
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if bits.read(1):
                bits.skip_golombs((size > 1) + min(64, 16 << 2 * size))
            else:
                bits.golomb()


def _skip_reference_sets(bits: Bits, count: int) -> None:
    """Passes over the sets of short-term references, each perhaps made of the last."""
    num_pictures = 0
    for number in range(count):
        if number and bits.read(1):
            bits.read(1)
            bits.golomb()
            kept = 0
            for _ in range(num_pictures + 1):
                is_used = bits.read(1)
                kept += is_used or bits.read(1)
            num_pictures = kept
        else:
            num_pictures = bits.golomb() + bits.golomb()
            for _ in range(num_pictures):
                bits.golomb()
                bits.read(1)

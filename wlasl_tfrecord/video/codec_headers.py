"""Codec headers: what a video stream says of itself before its first frame.

OpenCV decodes an interlaced frame to memory that nobody wrote, and reports success. So
it only decodes streams whose headers rule such frames out. A codec's header also is the
place of orientations that no container knows of.

Reference:
    ITU-T H.264, sections 7.3.2.1 (sequence parameter set) and D.1 (SEI messages);
    ISO/IEC 14496-15, section 5.3.3 (avcC) and 8.3.3 (hvcC); ISO/IEC 14496-2, section
    6.2.3 (video object layer).
"""

from collections.abc import Iterator

__all__ = ["is_progressive", "turns_pictures"]

# OpenCV's name of a codec, in lower case. FFmpeg marks no frame of these as interlaced,
# whatever is in the file.
_ALWAYS_PROGRESSIVE = frozenset(
    ("vp80", "vp90", "flv1", "h263", "div3", "mp42", "mp43", "wmv1", "wmv2", "theo")
)
_H264 = frozenset(("h264", "avc1", "x264"))
_HEVC = frozenset(("hevc", "hvc1", "hev1"))
_MPEG4 = frozenset(("fmp4", "mp4v", "xvid", "divx", "dx50"))

# SEI messages: when a picture's fields are shown, and how it is turned.
_PICTURE_TIMING, _DISPLAY_ORIENTATION = 1, 47
_H264_SEI_UNIT, _HEVC_SEI_UNIT, _H264_PARAMETER_UNIT = 6, 39, 7

# pic_struct of single fields and of pairs of them; 0 is a frame, above 4 are frames of
# which fields are shown twice.
_FIELD_STRUCTURES = frozenset((1, 2, 3, 4))

# Profiles of H.264 whose parameter set has the chroma format.
_HIGH_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134))


def is_progressive(codec: str, extradata: bytes, first_packet: bytes = b"") -> bool:
    """Returns whether a stream's headers rule out that any frame is interlaced.

    False also where they leave it open: parameters that come with the frames, as in
    transport streams, may change at any of them.

    Args:
        codec: OpenCV's four characters for the codec, in lower case.
        extradata: The decoder's configuration, as the container stores it.
        first_packet: The first compressed frame, or its beginning.
    """
    if codec in _ALWAYS_PROGRESSIVE:
        return True
    try:
        if codec in _H264:
            return _is_progressive_h264(extradata, first_packet)
        if codec in _HEVC:
            # general_progressive_source_flag without general_interlaced_source_flag.
            return extradata[0] == 1 and extradata[6] & 0xC0 == 0x80
        return codec in _MPEG4 and _is_progressive_mpeg4(extradata)
    except (IndexError, ValueError):
        return False


def turns_pictures(codec: str, extradata: bytes, first_packet: bytes) -> bool:
    """Returns whether a stream says itself how its pictures are turned.

    No container knows of it, and OpenCV passes over it.

    Args:
        codec: As for `is_progressive`.
        extradata: As for `is_progressive`.
        first_packet: The first compressed frame, or its beginning.
    """
    messages = _stream_messages(codec, extradata, first_packet)
    return any(kind == _DISPLAY_ORIENTATION for kind, _ in messages)


def _stream_messages(
    codec: str, extradata: bytes, packet: bytes
) -> Iterator[tuple[int, bytes]]:
    """Yields type and content of each SEI message in a packet of H.264 or HEVC."""
    if codec not in _H264 | _HEVC:
        return
    hevc = codec in _HEVC
    length_bytes = 0
    # Without a configuration of MP4 or Matroska, units begin with start codes; and in
    # some files with it, too.
    has_lengths = len(extradata) > 22 and extradata[0] == 1
    if has_lengths and not packet.startswith(b"\0\0\0\1"):
        length_bytes = 1 + (extradata[21 if hevc else 4] & 3)
    for unit in _units(packet, length_bytes):
        kind = (unit[0] >> 1) & 63 if hevc else unit[0] & 31
        if kind == (_HEVC_SEI_UNIT if hevc else _H264_SEI_UNIT):
            yield from _messages(_unescaped(unit[2 if hevc else 1 :]))


def _units(packet: bytes, length_bytes: int) -> Iterator[bytes]:
    """Yields the units of a packet, the last one perhaps cut off."""
    if not length_bytes:
        yield from (unit for unit in packet.split(b"\0\0\1")[1:] if len(unit) > 2)
        return
    at = 0
    while at + length_bytes < len(packet):
        size = int.from_bytes(packet[at : at + length_bytes], "big")
        unit = packet[at + length_bytes : at + length_bytes + size]
        if len(unit) > 2:
            yield unit
        at += length_bytes + size


def _messages(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields type and content of each message in an SEI unit."""
    at = 0
    while at + 2 <= len(content) and content[at] != 0x80:
        numbers = []
        for _ in ("type", "size"):
            number = 0
            while at < len(content) and content[at] == 0xFF:
                number, at = number + 255, at + 1
            if at == len(content):
                return
            numbers.append(number + content[at])
            at += 1
        yield numbers[0], content[at : at + numbers[1]]
        at += numbers[1]


def _unescaped(unit: bytes) -> bytes:
    """Returns a unit without the bytes that keep start codes out of it."""
    return unit.replace(b"\0\0\3", b"\0\0")


def _is_progressive_h264(configuration: bytes, first_packet: bytes) -> bool:
    """Returns whether the parameter sets in an avcC allow frames only."""
    if configuration[0] != 1:
        return False
    # Others may come with the frames.
    length_bytes = 1 + (configuration[4] & 3)
    for unit in _units(first_packet, length_bytes):
        if unit[0] & 31 == _H264_PARAMETER_UNIT and not _after_frame_size(unit).read(1):
            return False
    count = configuration[5] & 31
    at = 6
    for _ in range(count):
        size = int.from_bytes(configuration[at : at + 2], "big")
        bits = _after_frame_size(configuration[at + 2 : at + 2 + size])
        if not bits.read(1):
            return False
        # A picture's timing may call it interlaced, however it is coded.
        structure_at = _structure_place(bits)
        if structure_at is not None and any(
            _is_interlaced_timing(_Bits(message), structure_at)
            for kind, message in _stream_messages("h264", configuration, first_packet)
            if kind == _PICTURE_TIMING
        ):
            return False
        at += 2 + size
    return count > 0


def _is_interlaced_timing(bits: "_Bits", structure_at: int) -> bool:
    """Returns whether FFmpeg takes a picture with this timing for an interlaced one."""
    bits.read(structure_at)
    structure = bits.read(4)
    if structure in _FIELD_STRUCTURES:
        return True
    # Of the time stamps the first one is enough: an interlaced picture has it so.
    return bool(structure == 0 and bits.read(1) and bits.read(2) == 1)


def _structure_place(bits: "_Bits") -> int | None:
    """Reads where in a picture's timing its structure is, in bits.

    Args:
        bits: A sequence parameter set, from after frame_mbs_only_flag on.

    Returns:
        The place; None if pictures have no structure.
    """
    bits.read(1)
    if bits.read(1):  # cropping
        for _ in range(4):
            bits.golomb()
    if not bits.read(1):  # usability information
        return None
    if bits.read(1) and bits.read(8) == 255:  # the shape of a pixel
        bits.read(32)
    if bits.read(1):  # overscan
        bits.read(1)
    if bits.read(1):  # the type of signal
        bits.read(4)
        if bits.read(1):
            bits.read(24)
    if bits.read(1):  # the place of chroma
        bits.golomb()
        bits.golomb()
    if bits.read(1):  # the frame rate
        bits.read(65)
    delay_bits = 0
    for _ in ("units", "coded slices"):
        if bits.read(1):
            count = bits.golomb() + 1
            bits.read(8)
            for _ in range(count):
                bits.golomb()
                bits.golomb()
                bits.read(1)
            bits.read(5)
            delay_bits = bits.read(5) + bits.read(5) + 2
            bits.read(5)
    if delay_bits:
        bits.read(1)
    return delay_bits if bits.read(1) else None


def _after_frame_size(parameter_set: bytes) -> "_Bits":
    """Reads a sequence parameter set of H.264 as far as frame_mbs_only_flag."""
    bits = _Bits(_unescaped(parameter_set[1:]))
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
        for _ in range(bits.golomb()):
            bits.golomb()
    # Reference frames, gaps, and the size in macroblocks.
    bits.golomb()
    bits.read(1)
    bits.golomb()
    bits.golomb()
    return bits


def _skip_scaling_list(bits: "_Bits", size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            following = (last + ((code + 1) // 2 if code % 2 else -code // 2)) % 256
        last = following or last


def _is_progressive_mpeg4(configuration: bytes) -> bool:
    """Reads `interlaced` of the video object layer of MPEG-4 part 2."""
    for number in range(0x20, 0x30):
        at = configuration.find(bytes((0, 0, 1, number)))
        if at >= 0:
            return not _layer_is_interlaced(_Bits(configuration[at + 4 :]))
    return False


def _layer_is_interlaced(bits: "_Bits") -> bool:
    bits.read(9)
    version = 1
    if bits.read(1):
        version = bits.read(4)
        bits.read(3)
    if bits.read(4) == 15:  # the shape of a pixel, in two numbers
        bits.read(16)
    if bits.read(1):
        bits.read(3)
        if bits.read(1):
            bits.read(79)
    shape = bits.read(2)
    if shape == 3 and version != 1:
        bits.read(4)
    bits.read(1)
    resolution = bits.read(16)
    bits.read(1)
    if bits.read(1):
        bits.read(max(1, (resolution - 1).bit_length()))
    if shape == 0:
        bits.read(29)
    return bits.read(1) == 1


class _Bits:
    """The bits of a header, read one after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = int.from_bytes(content, "big")
        self._left = 8 * len(content)

    def read(self, count: int) -> int:
        """Reads an unsigned number of `count` bits.

        Raises:
            ValueError: If there are not so many.
        """
        if count > self._left:
            raise ValueError("the header is cut off")
        self._left -= count
        return self._content >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """Reads an unsigned number in Exp-Golomb code."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

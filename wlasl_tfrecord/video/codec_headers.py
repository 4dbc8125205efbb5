"""Codec headers: what a video stream says of itself before its first frame.

OpenCV decodes an interlaced frame to memory that nobody wrote, and reports success. So
it only decodes streams whose headers rule such frames out. A codec's header also is the
place of orientations that no container knows of.

Reference:
    ITU-T H.264, section D.1 (SEI messages); ISO/IEC 14496-2, section 6.2.3 (video
    object layer). For parameter sets see `parameter_sets`.
"""

from collections.abc import Iterator, Sequence

from wlasl_tfrecord.video.header_bits import Bits
from wlasl_tfrecord.video.parameter_sets import (
    H264,
    HEVC,
    configured_sets,
    h264_after_size,
    h264_skip_to_signal,
    read_signal,
    sets_in_packet,
    unescaped,
    units_of_packet,
)

__all__ = ["is_progressive", "turns_pictures"]

# OpenCV's name of a codec, in lower case. FFmpeg marks no frame of these as interlaced,
# whatever is in the file.
_ALWAYS_PROGRESSIVE = frozenset(
    ("vp80", "vp90", "flv1", "h263", "div3", "mp42", "mp43", "wmv1", "wmv2", "theo")
)
_MPEG4 = frozenset(("fmp4", "mp4v", "xvid", "divx", "dx50"))

# SEI messages: when a picture's fields are shown, and how it is turned.
_PICTURE_TIMING, _DISPLAY_ORIENTATION = 1, 47
_H264_SEI_UNIT, _HEVC_SEI_UNIT = 6, 39

# pic_struct of single fields and of pairs of them; 0 is a frame, above 4 are frames of
# which fields are shown twice.
_FIELD_STRUCTURES = frozenset((1, 2, 3, 4))


def is_progressive(
    codec: str, extradata: bytes, key_packets: Sequence[bytes] = ()
) -> bool:
    """Returns whether a stream's headers rule out that any frame is interlaced.

    False also where they leave it open: parameters that come with the frames, as in
    transport streams, may change at any of them.

    Args:
        codec: OpenCV's four characters for the codec, in lower case.
        extradata: The decoder's configuration, as the container stores it.
        key_packets: The compressed key frames, or their beginnings.
    """
    if codec in _ALWAYS_PROGRESSIVE:
        return True
    try:
        if codec in H264:
            return _is_progressive_h264(extradata, key_packets)
        if codec in HEVC:
            # general_progressive_source_flag without general_interlaced_source_flag.
            return extradata[0] == 1 and extradata[6] & 0xC0 == 0x80
        return codec in _MPEG4 and _is_progressive_mpeg4(extradata)
    except (IndexError, ValueError):
        return False


def turns_pictures(codec: str, extradata: bytes, key_packets: Sequence[bytes]) -> bool:
    """Returns whether a stream says itself how its pictures are turned.

    No container knows of it, and OpenCV passes over it.

    Args:
        codec: As for `is_progressive`.
        extradata: As for `is_progressive`.
        key_packets: As for `is_progressive`.
    """
    return any(
        kind == _DISPLAY_ORIENTATION
        for packet in key_packets
        for kind, _ in _stream_messages(codec, extradata, packet)
    )


def _stream_messages(
    codec: str, extradata: bytes, packet: bytes
) -> Iterator[tuple[int, bytes]]:
    """Yields type and content of each SEI message in a packet of H.264 or HEVC."""
    if codec not in H264 | HEVC:
        return
    hevc = codec in HEVC
    for unit in units_of_packet(codec, extradata, packet):
        kind = (unit[0] >> 1) & 63 if hevc else unit[0] & 31
        if kind == (_HEVC_SEI_UNIT if hevc else _H264_SEI_UNIT):
            yield from _messages(unescaped(unit[2 if hevc else 1 :]))


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


def _is_progressive_h264(configuration: bytes, key_packets: Sequence[bytes]) -> bool:
    """Returns whether the parameter sets of a stream allow frames only."""
    if configuration[0] != 1:
        return False
    configured = configured_sets("h264", configuration)
    # Others may come with any key frame.
    sets = {*configured}
    for packet in key_packets:
        sets.update(sets_in_packet("h264", configuration, packet))
    for unit in sets:
        bits = h264_after_size(unit)
        if not bits.read(1):
            return False
        # A picture's timing may call it interlaced, however it is coded.
        structure_at = _structure_place(bits)
        if structure_at is not None and any(
            _is_interlaced_timing(Bits(message), structure_at)
            for packet in key_packets
            for kind, message in _stream_messages("h264", configuration, packet)
            if kind == _PICTURE_TIMING
        ):
            return False
    return bool(configured)


def _is_interlaced_timing(bits: Bits, structure_at: int) -> bool:
    """Returns whether FFmpeg takes a picture with this timing for an interlaced one."""
    bits.read(structure_at)
    structure = bits.read(4)
    if structure in _FIELD_STRUCTURES:
        return True
    # Of the time stamps the first one is enough: an interlaced picture has it so.
    return bool(structure == 0 and bits.read(1) and bits.read(2) == 1)


def _structure_place(bits: Bits) -> int | None:
    """Reads where in a picture's timing its structure is, in bits.

    Args:
        bits: A sequence parameter set, from after frame_mbs_only_flag on.

    Returns:
        The place; None if pictures have no structure.
    """
    if not h264_skip_to_signal(bits):
        return None
    read_signal(bits)
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


def _is_progressive_mpeg4(configuration: bytes) -> bool:
    """Reads `interlaced` of the video object layer of MPEG-4 part 2."""
    for number in range(0x20, 0x30):
        at = configuration.find(bytes((0, 0, 1, number)))
        if at >= 0:
            return not _layer_is_interlaced(Bits(configuration[at + 4 :]))
    return False


def _layer_is_interlaced(bits: Bits) -> bool:
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

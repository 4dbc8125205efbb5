"""A slot: room for one record in the memory that a decoder shares with its parent.

The decoder makes the whole record there, and its parent writes it into the shard from
there: the frames of a clip, 4.5 MB, are copied by nobody but the kernel.
"""

import mmap
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.shard_format import tfrecord
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.protobuf import Pieces

__all__ = [
    "frames_in",
    "put_record",
    "slot_bytes",
]

# Where the frames of a raw clip lie in a slot. Before them is room for what a record
# has before its frames: less than 200 bytes, whatever the clip.
_FRAMES_AT = 4096


def slot_bytes(clip: ClipSpec, *, is_raw: bool) -> int:
    """Gives room for a record, in whole pages.

    Memory that is never written to costs nothing, so there is plenty: JPEG cannot take
    more than some 13 bits a coefficient on average, at 1.5 of them a pixel, and a PNG
    of noise is a little larger than its pixels.
    """
    frames = clip.num_bytes
    if not is_raw:
        frames = 4 * clip.num_bytes + clip.num_frames * 8192
    # Names of 1,000 characters each, in UTF-8; three numbers for every frame.
    context = 32_768 + 30 * clip.num_frames
    return -(-(_FRAMES_AT + frames + context) // mmap.PAGESIZE) * mmap.PAGESIZE


def frames_in(slot: memoryview, clip: ClipSpec) -> NDArray[np.uint8]:
    """Gives the room for a clip's frames, uint8 [T, H, W, 3]."""
    frames = np.frombuffer(slot, np.uint8, count=clip.num_bytes, offset=_FRAMES_AT)
    return frames.reshape(clip.shape)


def put_record(slot: memoryview, proto: Pieces) -> tuple[int, int, int]:
    """Makes a record of a proto.

    Args:
        slot: Receives it.
        proto: The proto's bytes. A piece that is a memoryview is that of `frames_in`,
            and stays where it is.

    Returns:
        Where in the slot the record starts and stops, and the proto's masked CRC.
    """
    crc = tfrecord.masked_crc(proto)
    header = tfrecord.header(sum(map(len, proto)))
    pieces = [header, *proto, tfrecord.footer(crc)]
    lying = [n for n, piece in enumerate(pieces) if isinstance(piece, memoryview)]
    if not lying:
        start = 0
        stop = _put(slot, start, pieces)
    else:
        before, behind = pieces[: lying[0]], pieces[lying[0] + 1 :]
        start = _FRAMES_AT - sum(map(len, before))
        _put(slot, start, before)
        stop = _put(slot, _FRAMES_AT + len(pieces[lying[0]]), behind)
    return start, stop, crc


def _put(slot: memoryview, start: int, pieces: Sequence[bytes | memoryview]) -> int:
    """Copies pieces to a place in a slot, and gives where they end."""
    joined = b"".join(pieces)
    slot[start : start + len(joined)] = joined
    return start + len(joined)

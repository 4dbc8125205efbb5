"""Shared memory: a worker's buffers, each with room for one record.

The worker makes the whole record there, and its parent writes it into the shard from
there: the frames of a clip, 4.5 MB, are copied once, by the kernel.
"""

import mmap
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.shard_format import tfrecord
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.codecs import Codec, max_frames_bytes
from wlasl_tfrecord.shard_format.landmarks import landmark_bytes
from wlasl_tfrecord.shard_format.protobuf import Pieces

__all__ = ["buffer_bytes", "frames_in", "put_record"]

# Where the frames of a clip are decoded to, and where those of a raw clip stay. Before
# them is room for what a record has before its frames: less than 200 bytes, whatever
# the clip.
_FRAMES_AT = 4096


def buffer_bytes(clip: ClipSpec, codec: Codec) -> int:
    """Returns the size of a buffer that holds any record, in whole pages.

    Memory that is never written to costs nothing, so the bounds are generous.
    """
    # Names of 1,000 characters each, in UTF-8; three numbers for every frame.
    context = 32_768 + 30 * clip.num_frames
    size = _FRAMES_AT + max_frames_bytes(clip, codec) + context
    size += landmark_bytes(clip.num_frames)
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE


def frames_in(buffer: memoryview, clip: ClipSpec) -> NDArray[np.uint8]:
    """Returns the part of a buffer for a clip's frames, uint8 [T, H, W, 3]."""
    frames = np.frombuffer(buffer, np.uint8, count=clip.num_bytes, offset=_FRAMES_AT)
    return frames.reshape(clip.shape)


def put_record(buffer: memoryview, proto: Pieces) -> tuple[int, int, int]:
    """Makes a record of a proto.

    Args:
        buffer: Receives it.
        proto: The proto's bytes. A piece that is a memoryview is that of `frames_in`,
            and stays where it is.

    Returns:
        Where in the buffer the record starts and stops, and the proto's masked CRC.
    """
    crc = tfrecord.masked_crc(proto)
    header = tfrecord.header(sum(map(len, proto)))
    pieces = [header, *proto, tfrecord.footer(crc)]
    in_place = [n for n, piece in enumerate(pieces) if isinstance(piece, memoryview)]
    if not in_place:
        return 0, _put(buffer, 0, pieces), crc
    before, after = pieces[: in_place[0]], pieces[in_place[0] + 1 :]
    start = _FRAMES_AT - sum(map(len, before))
    _put(buffer, start, before)
    return start, _put(buffer, _FRAMES_AT + len(pieces[in_place[0]]), after), crc


def _put(buffer: memoryview, start: int, pieces: Sequence[bytes | memoryview]) -> int:
    """Copies pieces to a place in a buffer, and returns where they end."""
    joined = b"".join(pieces)
    buffer[start : start + len(joined)] = joined
    return start + len(joined)

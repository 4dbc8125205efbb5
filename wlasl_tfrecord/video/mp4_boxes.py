"""An edit list: what part of an MP4's frames its players show.

The header counts all frames, but a track may say that it shows only those from one
instant to another, and FFmpeg gives no others. So where the header promises frames too
many, this tells how many there will be, without decoding one of them.

Reference:
    ISO/IEC 14496-12, sections 8.6.1 (instants of samples) and 8.6.6 (edit list).
"""

import os
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_shown_frames"]

# The tables of an hour of video take less than 4 MB.
_MAX_TABLE_BYTES = 1 << 26
_MAX_FRAMES = 10_000_000


def count_shown_frames(location: str) -> int | None:
    """Counts the frames of a video that its edit list shows.

    Args:
        location: The file's path.

    Returns:
        The number; None if it is no MP4, has no edit list, or one of several parts. It
        is what the file says, which need not be what can be decoded.

    Raises:
        OSError: If the file cannot be read.
    """
    with open(location, "rb") as file:
        try:
            movie = _movie(file.fileno(), os.fstat(file.fileno()).st_size)
            return None if movie is None else _count(movie)
        except (struct.error, ValueError, KeyError, IndexError):
            # Damaged tables are no error here: decoding shows what is left.
            return None


def _movie(descriptor: int, file_bytes: int) -> memoryview | None:
    """Reads the box `moov`, wherever it lies in the file."""
    at = 0
    while at + 8 <= file_bytes:
        start = os.pread(descriptor, 16, at)
        (size,), name = struct.unpack(">I", start[:4]), start[4:8]
        if size == 1:
            (size,) = struct.unpack(">Q", start[8:])
        if size < 8:
            return None
        if name == b"moov":
            within = size <= _MAX_TABLE_BYTES
            return memoryview(os.pread(descriptor, size, at))[8:] if within else None
        at += size
    return None


def _count(movie: memoryview) -> int | None:
    """Counts the frames that the first video track shows."""
    movie_rate = _rate(_box(movie, b"mvhd"))
    for name, track in _boxes(movie):
        if name != b"trak":
            continue
        media = _box(track, b"mdia")
        if bytes(_box(media, b"hdlr")[8:12]) != b"vide":
            continue
        edit = _edit(track)
        if edit is None:
            return None
        duration, start = edit
        times = _times(_box(_box(media, b"minf"), b"stbl"))
        # In whole numbers: the edit lasts so many units of the movie's clock, frames
        # count in those of the track's.
        rate = _rate(_box(media, b"mdhd"))
        stop = start - (-duration * rate // movie_rate)
        return int(np.count_nonzero((times >= start) & (times < stop)))
    return None


def _edit(track: memoryview) -> tuple[int, int] | None:
    """Returns duration and first instant of the one part that a track shows."""
    try:
        box = _box(_box(track, b"edts"), b"elst")
    except KeyError:
        return None
    row = ">QqI" if box[0] else ">IiI"
    (count,) = struct.unpack(">I", box[4:8])
    rows = box[8 : 8 + count * struct.calcsize(row)]
    # An edit from -1 is a pause before the video.
    edits = [edit[:2] for edit in struct.iter_unpack(row, rows) if edit[1] != -1]
    return edits[0] if len(edits) == 1 else None


def _times(tables: memoryview) -> NDArray[np.int64]:
    """Returns the instant at which each frame is shown, in the track's clock units."""
    steps = _run_lengths(_box(tables, b"stts"))
    times = np.cumsum(steps) - steps
    try:
        delays = _run_lengths(_box(tables, b"ctts"))
    except KeyError:
        return times
    return times[: len(delays)] + delays[: len(times)]


def _run_lengths(box: memoryview) -> NDArray[np.int64]:
    """Writes out a table of (how many frames, value)."""
    (count,) = struct.unpack(">I", box[4:8])
    runs = np.frombuffer(box, ">i4", count=2 * count, offset=8).reshape(-1, 2)
    numbers, values = runs.astype(np.int64).T
    if numbers.min(initial=0) < 0 or numbers.sum() > _MAX_FRAMES:
        raise ValueError("no table of frames")
    return np.repeat(values, numbers)


def _rate(header: memoryview) -> int:
    """Reads how many units a second the clock of a movie or a track has."""
    at = 20 if header[0] else 12
    (rate,) = struct.unpack(">I", header[at : at + 4])
    if rate == 0:
        raise ValueError("no clock")
    return rate


def _box(parent: memoryview, wanted: bytes) -> memoryview:
    """Returns the content of the first box of a name.

    Raises:
        KeyError: If there is none.
    """
    for name, content in _boxes(parent):
        if name == wanted:
            return content
    raise KeyError(wanted)


def _boxes(parent: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yields name and content of each box in another one."""
    at = 0
    while at + 8 <= len(parent):
        (size,) = struct.unpack(">I", parent[at : at + 4])
        if size < 8:
            return
        yield bytes(parent[at + 4 : at + 8]), parent[at + 8 : at + size]
        at += size

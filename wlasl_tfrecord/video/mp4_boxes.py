"""MP4 boxes: what the tables of an MP4 or QuickTime file say of its video.

When each frame is shown, how the picture is turned, and what the first frame begins
with: read in a fraction of a millisecond, without decoding anything. The header counts
all frames, but a track may have an edit list, which shows only parts of them, and
FFmpeg decodes no others; so the times here are those of the frames that are shown.

Reference:
    ISO/IEC 14496-12, sections 8.3.2 (matrix), 8.6.1 (times of samples), 8.6.6 (edit
    list), 8.7 (places of samples).
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["VideoTrack", "read_video_track"]

# The tables of an hour of video take less than 4 MB.
_MAX_TABLE_BYTES = 1 << 26
_MAX_FRAMES = 10_000_000
# What comes before the first slice of a frame fits in here.
_MAX_SAMPLE_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class VideoTrack:
    """The first video track of an MP4, as its tables describe it.

    Attributes:
        frame_times: float64 [N], the seconds from the first shown frame to each of
            them, never decreasing: what the file says, not what can be decoded. None if
            the tables name no frame, as where they come in fragments.
        matrix: How the picture is turned: a, b, c, d of x' = a x + c y, y' = b x + d y.
        first_sample: The first compressed frame, or its first 64 KiB.
        is_only_one: Whether the file has no other video track.
    """

    frame_times: NDArray[np.float64] | None
    matrix: tuple[float, float, float, float]
    first_sample: bytes
    is_only_one: bool


def read_video_track(location: str) -> VideoTrack | None:
    """Reads the tables of the first video track of an MP4.

    Args:
        location: The file's path.

    Returns:
        The track; None if the file is no MP4, holds no video, or if its tables are
        damaged.

    Raises:
        OSError: If the file cannot be read.
    """
    with open(location, "rb") as file:
        try:
            movie = _movie(file.fileno(), os.fstat(file.fileno()).st_size)
            return None if movie is None else _read_track(file.fileno(), movie)
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


def _read_track(descriptor: int, movie: memoryview) -> VideoTrack | None:
    """Reads the first video track of a movie."""
    header = _box(movie, b"mvhd")
    tracks = [content for name, content in _boxes(movie) if name == b"trak"]
    kinds = [bytes(_box(_box(t, b"mdia"), b"hdlr")[8:12]) for t in tracks]
    for track, kind in zip(tracks, kinds):
        if kind != b"vide":
            continue
        media = _box(track, b"mdia")
        tables = _box(_box(media, b"minf"), b"stbl")
        # In whole numbers: edits last so many units of the movie's clock, frames count
        # in those of the track's.
        rate = _rate(_box(media, b"mdhd"))
        times = _shown_times(_times(tables), _edits(track), rate, _rate(header))
        track_header = _box(track, b"tkhd")
        outer = _matrix(header, 48 if header[0] else 36)
        inner = _matrix(track_header, 52 if track_header[0] else 40)
        return VideoTrack(
            frame_times=(times - times[0]) / rate if len(times) else None,
            matrix=_product(inner, outer),
            first_sample=_first_sample(descriptor, tables),
            is_only_one=kinds.count(b"vide") == 1,
        )
    return None


def _edits(track: memoryview) -> list[tuple[int, int]] | None:
    """Returns (duration, first instant) of each part that a track shows.

    An instant of -1 is a pause. None if there is no edit list: all of it is shown.
    """
    try:
        box = _box(_box(track, b"edts"), b"elst")
    except KeyError:
        return None
    row = ">QqI" if box[0] else ">IiI"
    (count,) = struct.unpack(">I", box[4:8])
    rows = box[8 : 8 + count * struct.calcsize(row)]
    return [edit[:2] for edit in struct.iter_unpack(row, rows)] or None


def _shown_times(
    times: NDArray[np.int64],
    edits: list[tuple[int, int]] | None,
    rate: int,
    movie_rate: int,
) -> NDArray[np.int64]:
    """Returns when the frames are shown that the edits show, in units of the track."""
    if edits is None:
        return np.sort(times)
    parts, elapsed = [], 0
    for duration, start in edits:
        # Up to the next whole unit.
        length = -(-duration * rate // movie_rate)
        if start != -1:
            # 0 is "to the end", in files whose length was not known when they began.
            stop = start + length if duration else np.iinfo(np.int64).max
            inside = np.sort(times[(times >= start) & (times < stop)])
            parts.append(inside - start + elapsed)
        elapsed += length
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _matrix(header: memoryview, at: int) -> tuple[float, float, float, float]:
    """Reads a, b, c and d of the matrix at a place in a header."""
    a, b, _, c, d = struct.unpack(">5i", header[at : at + 20])
    return a / 65536, b / 65536, c / 65536, d / 65536


def _product(
    inner: tuple[float, float, float, float], outer: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """Returns the matrix that first does `inner`, and then `outer`."""
    a, b, c, d = inner
    e, f, g, h = outer
    return a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h


def _first_sample(descriptor: int, tables: memoryview) -> bytes:
    """Reads the beginning of the first compressed frame; nothing where none is."""
    size, count = struct.unpack(">II", _box(tables, b"stsz")[4:12])
    if not count:
        return b""
    if not size:
        (size,) = struct.unpack(">I", _box(tables, b"stsz")[12:16])
    try:
        (offset,) = struct.unpack(">I", _box(tables, b"stco")[8:12])
    except KeyError:
        (offset,) = struct.unpack(">Q", _box(tables, b"co64")[8:16])
    return os.pread(descriptor, min(size, _MAX_SAMPLE_BYTES), offset)


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

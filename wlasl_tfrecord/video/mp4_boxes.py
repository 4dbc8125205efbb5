"""MP4 boxes: what the tables of an MP4 or QuickTime file say of its video.

When each frame is shown, how the picture is turned, which colours it has, and what the
key frames begin with: read in a fraction of a millisecond, without decoding anything.
The header counts all frames, but a track may have an edit list, which shows only parts
of them, and FFmpeg decodes no others; so the times here are those of the frames that
are shown.

Reference:
    ISO/IEC 14496-12, sections 8.3.2 (matrix), 8.6.1 (times of samples), 8.6.6 (edit
    list), 8.6.2 (key frames), 8.7 (places of samples), 12.1.5 (colours).
"""

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.files import open_regular

__all__ = ["VideoTrack", "read_video_track"]

# The tables of an hour of video take less than 4 MB.
_MAX_TABLE_BYTES = 1 << 26
# Nearly 14 hours at 60 frames a second.
_MAX_FRAMES = 3_000_000
# A fragmented video has two boxes a fragment, of a second or more; inside of a box
# there are few. A file can be made of empty ones: they take ten seconds for 60 MiB.
_MAX_FILE_BOXES = 100_000
_MAX_INNER_BOXES = 1000
_MAX_EDITS = 1000
# Beyond these no sum of two instants is an int64.
_MAX_INSTANT = 2**61
# What comes before the first slice of a key frame fits in here; before the first frame
# some programs write more.
_MAX_SAMPLE_BYTES, _MAX_KEY_BYTES = 1 << 16, 1 << 12
# Each costs a read, and in some files all frames are key frames.
_MAX_KEY_FRAMES = 1000
# The fields of an entry of `stsd` that describes pictures, before the boxes in it.
_PICTURE_ENTRY_BYTES = 78


@dataclass(frozen=True, kw_only=True)
class VideoTrack:
    """The first video track of an MP4, as its tables describe it.

    Attributes:
        frame_times: float64 [N], the seconds from the first shown frame to each of
            them, never decreasing: what the file says, not what can be decoded. None if
            the tables name no frame, as where they come in fragments.
        matrix: How the picture is turned: a, b, c, d of x' = a x + c y, y' = b x + d y.
        key_samples: The beginnings of the compressed key frames, the first one first.
        boxes: Name -> content of the boxes that describe the frames, such as `colr`.
        has_one_entry: Whether all frames are described by one entry.
        is_only_one: Whether the file has no other video track.
    """

    frame_times: NDArray[np.float64] | None
    matrix: tuple[float, float, float, float]
    key_samples: tuple[bytes, ...]
    boxes: Mapping[bytes, bytes]
    has_one_entry: bool
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
    with open(location, "rb", opener=open_regular) as file:
        try:
            movie = _movie(file.fileno(), os.fstat(file.fileno()).st_size)
            return None if movie is None else _read_track(file.fileno(), movie)
        except (struct.error, ValueError, KeyError, IndexError, OverflowError):
            # Damaged tables are no error here: decoding shows what is left.
            return None


def _movie(descriptor: int, file_bytes: int) -> memoryview | None:
    """Reads the box `moov`, wherever it lies in the file."""
    at = 0
    for _ in range(_MAX_FILE_BOXES):
        if at + 8 > file_bytes:
            return None
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
        descriptions = _box(tables, b"stsd")
        entry = next((box for _, box in _boxes(descriptions[8:])), memoryview(b""))
        return VideoTrack(
            frame_times=(times - times[0]) / rate if len(times) else None,
            matrix=_product(inner, outer),
            key_samples=_key_samples(descriptor, tables),
            boxes={
                name: bytes(content)
                for name, content in _boxes(entry[_PICTURE_ENTRY_BYTES:])
            },
            has_one_entry=struct.unpack(">I", descriptions[4:8]) == (1,),
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
    if count > _MAX_EDITS:
        raise ValueError("no edit list")
    rows = box[8 : 8 + count * struct.calcsize(row)]
    return [edit[:2] for edit in struct.iter_unpack(row, rows)] or None


def _shown_times(
    times: NDArray[np.int64],
    edits: list[tuple[int, int]] | None,
    rate: int,
    movie_rate: int,
) -> NDArray[np.int64]:
    """Returns when the frames are shown that the edits show, in units of the track."""
    times = np.sort(times)
    if edits is None:
        return times
    parts, elapsed, num_frames = [], 0, 0
    for duration, start in edits:
        # Up to the next whole unit.
        length = -(-duration * rate // movie_rate)
        if max(abs(start), elapsed + length) > _MAX_INSTANT:
            raise ValueError("no edit list")
        if start != -1:
            # 0 is "to the end", in files whose length was not known when they began.
            stop = start + length if duration else np.iinfo(np.int64).max
            first, last = np.searchsorted(times, [start, stop])
            # Every edit may show all frames once more.
            num_frames += last - first
            if num_frames > _MAX_FRAMES:
                raise ValueError("no edit list")
            parts.append(times[first:last] - start + elapsed)
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


def _key_samples(descriptor: int, tables: memoryview) -> tuple[bytes, ...]:
    """Reads the beginnings of the compressed key frames; none where there is none."""
    size, count = struct.unpack(">II", _box(tables, b"stsz")[4:12])
    if not count:
        return ()
    if size:
        sizes = np.full(min(count, _MAX_FRAMES), size, np.int64)
    else:
        sizes = np.frombuffer(_box(tables, b"stsz"), ">u4", count, 12).astype(np.int64)
    offsets = _sample_offsets(tables, sizes)
    if offsets.min(initial=0) < 0:
        raise ValueError("no table of chunks")
    try:
        # Numbers from 1.
        (num_keys,) = struct.unpack(">I", _box(tables, b"stss")[4:8])
        keys = np.frombuffer(_box(tables, b"stss"), ">u4", num_keys, 8).astype(int) - 1
    except KeyError:
        keys = np.arange(len(offsets))
    keys = keys[(keys > 0) & (keys < len(offsets))]
    # The first frame is one, or the beginning of what can be decoded.
    chosen = [0, *keys[:: 1 + len(keys) // _MAX_KEY_FRAMES].tolist()]
    return tuple(
        os.pread(
            descriptor,
            min(int(sizes[n]), _MAX_KEY_BYTES if n else _MAX_SAMPLE_BYTES),
            int(offsets[n]),
        )
        for n in chosen
    )


def _sample_offsets(tables: memoryview, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns where the compressed frames begin in the file; all whose place is known.

    Frames lie in chunks, each a run of so many frames as `stsc` says.
    """
    try:
        box, width = _box(tables, b"stco"), ">u4"
    except KeyError:
        box, width = _box(tables, b"co64"), ">u8"
    (num_chunks,) = struct.unpack(">I", box[4:8])
    chunks = np.frombuffer(box, width, num_chunks, 8).astype(np.int64)
    box = _box(tables, b"stsc")
    (num_runs,) = struct.unpack(">I", box[4:8])
    runs = np.frombuffer(box, ">u4", 3 * num_runs, 8).reshape(-1, 3).astype(np.int64)
    # Runs in order end with the last chunk: together they are not longer than that.
    starts = np.minimum(runs[:, 0] - 1, num_chunks)
    lengths = np.diff(np.append(starts, num_chunks))
    if lengths.min(initial=0) < 0:
        raise ValueError("no table of chunks")
    per_chunk = np.repeat(runs[:, 1], lengths)[:num_chunks]
    if not len(per_chunk) or per_chunk.sum() > _MAX_FRAMES:
        raise ValueError("no table of chunks")
    chunk_of = np.repeat(np.arange(len(per_chunk)), per_chunk)[: len(sizes)]
    sizes = sizes[: len(chunk_of)]
    before = np.cumsum(sizes) - sizes
    # The first frame of each chunk lies where the chunk begins.
    firsts = np.cumsum(per_chunk) - per_chunk
    return (
        chunks[chunk_of] + before - before[np.minimum(firsts, len(sizes) - 1)][chunk_of]
    )


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
    for _ in range(_MAX_INNER_BOXES):
        if at + 8 > len(parent):
            return
        (size,) = struct.unpack(">I", parent[at : at + 4])
        if size < 8:
            return
        yield bytes(parent[at + 4 : at + 8]), parent[at + 8 : at + size]
        at += size
    raise ValueError("too many boxes")

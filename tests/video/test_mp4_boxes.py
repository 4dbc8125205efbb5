"""The tables of an MP4: which frames it shows, when, and how they are turned."""

import csv
import random
import struct
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video.capture import OpenCVCapture
from wlasl_tfrecord.video.decode import decode_clip
from wlasl_tfrecord.video.ffmpeg_log import damage_notes
from wlasl_tfrecord.video.mp4_boxes import read_video_track

CLIP = ClipSpec(num_frames=8, height=120, width=120)


def count_shown_frames(path):
    track = read_video_track(path)
    if track is None or track.frame_times is None:
        return None
    return len(track.frame_times)


@pytest.fixture
def video(tmp_path, numbered_video):
    """40 frames at 25 a second, in a movie whose clock has 1,000 units a second."""
    return numbered_video(tmp_path / "a.mp4", num_frames=40)


def with_edit(path, duration_ms=None, start=None, name=b"elst"):
    """Changes the one edit of a video that `cv2.VideoWriter` wrote."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst")
    data[at : at + 4] = name
    # Version and flags, the number of edits, and then the edit itself.
    if duration_ms is not None:
        data[at + 12 : at + 16] = duration_ms.to_bytes(4, "big")
    if start is not None:
        data[at + 16 : at + 20] = start.to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    # A frame lasts 40 ms.
    ("duration_ms", "shown"),
    [(1600, 40), (1599, 40), (1561, 40), (1560, 39), (1200, 30), (40, 1)],
)
def test_frames_behind_the_edit_are_not_shown(video, frame_number, duration_ms, shown):
    with_edit(video, duration_ms)
    assert count_shown_frames(str(video)) == shown
    # The header still counts them all; what is decoded agrees with the edit.
    assert cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT) == 40
    frames, source = decode_clip(video, clip=CLIP, framing="center")
    assert source.num_video_frames == shown
    assert frame_number(frames[-1]) == shown - 1


def test_frames_before_the_edit_are_not_shown(video, frame_number):
    # From the fourth frame on, each 512 units of the track's clock.
    with_edit(video, 1200, 3 * 512)
    assert count_shown_frames(str(video)) == 30
    frames, source = decode_clip(video, clip=CLIP, framing="center")
    assert source.num_video_frames == 30
    assert (frame_number(frames[0]), frame_number(frames[-1])) == (3, 32)


def test_a_range_is_one_of_the_frames_that_are_shown(video, frame_number):
    with_edit(video, 1200, 3 * 512)
    frames, source = decode_clip(video, clip=CLIP, framing="center", start=5, stop=20)
    assert source.sign == (5, 20, "cut")
    assert source.num_video_frames == 30
    assert (frame_number(frames[0]), frame_number(frames[-1])) == (8, 22)


def with_two_edits(path, edits):
    """Gives a video that `cv2.VideoWriter` wrote an edit list of two parts."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst")
    rows = b"".join(struct.pack(">IiI", *edit, 0x10000) for edit in edits)
    data[at + 8 : at + 24] = struct.pack(">I", len(edits)) + rows
    # The tables lie at the end, so that no frame moves.
    for name in (b"elst", b"edts", b"trak", b"moov"):
        size_at = data.index(name) - 4
        size = int.from_bytes(data[size_at : size_at + 4], "big") + 12
        data[size_at : size_at + 4] = size.to_bytes(4, "big")
    path.write_bytes(data)
    return path


def test_two_parts_of_a_video_are_one_video(video, frame_number):
    # From 0 to 0.4 s, and from 0.8 to 1.2 s; a frame lasts 512 units of its clock.
    with_two_edits(video, [(400, 0), (400, 20 * 512)])
    frames, source = decode_clip(video, clip=CLIP, framing="center")
    assert (source.num_video_frames, source.num_promised_frames) == (20, 20)
    read = [frame_number(frame) for frame in frames]
    assert read == [0, 3, 5, 8, 21, 24, 26, 29]
    assert damage_notes(source, []) == []


def test_an_edit_list_saves_decoding_twice(video, monkeypatch):
    turns = []

    class Counted(OpenCVCapture):
        def grab_frames(self, wanted, stop, keep):
            turns.append(super().grab_frames(wanted, stop, keep))
            return turns[-1]

    monkeypatch.setattr("wlasl_tfrecord.video.open_video.OpenCVCapture", Counted)
    decode_clip(with_edit(video, 1200), clip=CLIP, framing="center")
    assert turns == [30]


def box(name, *content):
    content = b"".join(content)
    return struct.pack(">I", 8 + len(content)) + name + content


def matrix_of(a, b, c, d):
    numbers = (a * 65536, b * 65536, 0, c * 65536, d * 65536, 0, 0, 0, 1 << 30)
    return struct.pack(">9i", *map(int, numbers))


UPRIGHT = (1, 0, 0, 1)


def movie(
    tmp_path,
    *,
    version=0,
    kind=b"vide",
    edits=((480, 0),),
    delays=(),
    large=0,
    turn=UPRIGHT,
    whole_turn=UPRIGHT,
    wide_offsets=False,
    boxes=(),
    entries=1,
    keys=(1,),
    chunks=(24,),
):
    """Writes the boxes of a movie of 24 frames, and no frame of it.

    Its own clock has 1,000 units a second, that of its track 50: two a frame.
    """
    word = ">Q" if version else ">I"
    start = bytes([version, 0, 0, 0])

    def header(rate):
        # The clock's rate, then the duration, and what comes before the matrix.
        times = 2 * struct.pack(word, 0) + struct.pack(">I", rate)
        duration = struct.pack(word, 0)
        return start + times + duration + bytes(16) + matrix_of(*whole_turn)

    rows = [struct.pack(">QqI" if version else ">IiI", *edit, 1) for edit in edits]
    offset = (b"co64", ">Q") if wide_offsets else (b"stco", ">I")
    tables = [
        box(b"stts", bytes(4), struct.pack(">III", 1, 24, 2)),
        box(b"stsz", bytes(4), struct.pack(">26I", 0, 24, *[5] * 24)),
        box(
            b"stsd",
            bytes(4),
            struct.pack(">I", entries),
            *[box(b"avc1", bytes(78), *boxes)] * entries,
        ),
        # A run for each chunk; a chunk begins 100 bytes after the one before.
        box(
            b"stsc",
            bytes(4),
            struct.pack(">I", len(chunks)),
            *(struct.pack(">3I", n + 1, size, 1) for n, size in enumerate(chunks)),
        ),
        box(
            offset[0],
            bytes(4),
            struct.pack(">I", len(chunks)),
            *(struct.pack(offset[1], 16 + 100 * n) for n in range(len(chunks))),
        ),
    ]
    if keys is not None:
        numbers = [struct.pack(">I", key) for key in keys]
        tables.append(box(b"stss", bytes(4), struct.pack(">I", len(keys)), *numbers))
    times_and_id = 2 * struct.pack(word, 0) + bytes(8) + struct.pack(word, 0)
    if delays:
        runs = [struct.pack(">Ii", *run) for run in delays]
        tables.append(box(b"ctts", bytes(4), struct.pack(">I", len(runs)), *runs))
    track = box(
        b"trak",
        box(b"tkhd", start, times_and_id, bytes(16), matrix_of(*turn), bytes(8)),
        box(b"edts", box(b"elst", start, struct.pack(">I", len(rows)), *rows)),
        box(
            b"mdia",
            box(b"mdhd", header(50)),
            box(b"hdlr", bytes(8), kind, bytes(13)),
            box(b"minf", box(b"stbl", *tables)),
        ),
    )
    sound = track.replace(kind, b"soun")
    path = tmp_path / "a.mp4"
    # A box whose size does not fit 32 bits tells it in 64.
    samples = b"first" + bytes(large)
    data = struct.pack(">I4sQ", 1, b"mdat", 16 + len(samples)) + samples
    path.write_bytes(data + box(b"moov", box(b"mvhd", header(1000)), sound, track))
    return str(path)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        # 480 ms are 24 units, or 12 frames; 481 ms are a bit of the next one, too.
        ({}, 12),
        ({"edits": ((481, 0),)}, 13),
        ({"version": 1}, 12),
        ({"version": 1, "edits": ((481, 0),)}, 13),
        ({"large": 100}, 12),
        # A pause first; then two parts.
        ({"edits": ((900, -1), (480, 0))}, 12),
        ({"edits": ((480, 0), (480, 30))}, 21),
        ({"edits": ((480, 0), (100, -1), (480, 0))}, 24),
        # A duration of nothing is "to the end".
        ({"edits": ((0, 10),)}, 19),
        # From the sixth frame on, of which the last ones are not there.
        ({"edits": ((900, 10),)}, 19),
        # All frames but the first two are shown ten units later.
        ({"delays": ((2, 0), (22, 10))}, 7),
        ({"kind": b"text"}, None),
        ({"edits": ((480, 0),) * 1000}, 12_000),
        # No editor writes so many, or such instants.
        ({"edits": ((480, 0),) * 1001}, None),
        ({"version": 1, "edits": ((480, -(2**62)),)}, None),
    ],
)
def test_boxes_are_read_as_the_standard_has_them(tmp_path, options, shown):
    assert count_shown_frames(movie(tmp_path, **options)) == shown


def test_what_the_edit_promises_is_not_believed(video, frame_number):
    data = bytearray(video.read_bytes())
    at = data.index(b"mdat")
    size = int.from_bytes(data[at - 4 : at], "big")
    data[at + size // 2 : at - 4 + size] = bytes(size - 4 - size // 2)
    video.write_bytes(data)
    assert count_shown_frames(str(video)) == 40
    frames, source = decode_clip(video, clip=CLIP, framing="center")
    assert 10 < source.num_video_frames < 30
    assert source.frame_indices[-1] == source.num_video_frames - 1
    assert frame_number(frames[0]) == 0


def test_parts_are_shown_one_after_the_other(tmp_path):
    path = movie(tmp_path, edits=((200, 0), (100, -1), (200, 30)))
    track = read_video_track(path)
    assert track is not None
    assert track.frame_times is not None
    # Five frames of 40 ms, a pause of 100 ms, and five more.
    first = [0.0, 0.04, 0.08, 0.12, 0.16]
    second = [0.3, 0.34, 0.38, 0.42, 0.46]
    np.testing.assert_allclose(np.array(track.frame_times), first + second)


@pytest.mark.parametrize(
    ("options", "matrix"),
    [
        ({}, UPRIGHT),
        ({"turn": (-1, 0, 0, 1)}, (-1, 0, 0, 1)),
        ({"turn": (0, 1, -1, 0), "version": 1}, (0, 1, -1, 0)),
        ({"whole_turn": (0, 1, -1, 0)}, (0, 1, -1, 0)),
        # First a mirror, then a quarter turn.
        ({"turn": (-1, 0, 0, 1), "whole_turn": (0, 1, -1, 0)}, (0, -1, -1, 0)),
    ],
)
def test_the_matrices_of_movie_and_track_count(tmp_path, options, matrix):
    track = read_video_track(movie(tmp_path, **options))
    assert track is not None
    assert track.matrix == matrix


def test_other_video_tracks_are_noticed(tmp_path, video):
    track = read_video_track(str(video))
    assert track is not None
    assert track.is_only_one
    data = video.read_bytes()
    at = data.index(b"trak") - 4
    copied = data[at : at + int.from_bytes(data[at : at + 4], "big")]
    moov = data.index(b"moov") - 4
    size = int.from_bytes(data[moov : moov + 4], "big")
    grown = (size + len(copied)).to_bytes(4, "big")
    whole = data[:moov] + grown + data[moov + 4 : at] + copied + data[at:]
    video.write_bytes(whole)
    track = read_video_track(str(video))
    assert track is not None
    assert not track.is_only_one


@pytest.mark.parametrize("wide_offsets", [False, True])
@pytest.mark.parametrize(
    # Frames of 5 bytes: 2 in the first chunk, 3 in the second, 19 in the third.
    ("keys", "offsets"),
    [
        ((1, 2, 3, 6, 24), [0, 5, 100, 200, 290]),
        # A file may begin within a group of pictures.
        ((5,), [0, 110]),
        (None, [0, 5, 100, 105, 110, *range(200, 295, 5)]),
    ],
)
def test_key_frames_are_found(tmp_path, wide_offsets, keys, offsets):
    path = movie(
        tmp_path, wide_offsets=wide_offsets, keys=keys, chunks=(2, 3, 19), large=400
    )
    data = bytearray(Path(path).read_bytes())
    data[16:421] = bytes(n % 251 for n in range(405))
    Path(path).write_bytes(data)
    track = read_video_track(path)
    assert track is not None
    frames = [data[16 + offset : 21 + offset] for offset in offsets]
    assert track.key_samples == tuple(map(bytes, frames))


def test_what_describes_the_frames_is_read(tmp_path):
    colours = b"nclx" + struct.pack(">3H", 9, 16, 9) + b"\0"
    boxes = (box(b"avcC", b"some"), box(b"colr", colours))
    track = read_video_track(movie(tmp_path, boxes=boxes))
    assert track is not None
    assert track.boxes == {b"avcC": b"some", b"colr": colours}
    assert track.has_one_entry
    track = read_video_track(movie(tmp_path, entries=2))
    assert track is not None
    assert not track.has_one_entry


@pytest.mark.parametrize("name", ["a.avi", "a.mkv"])
def test_other_containers_have_no_such_tables(tmp_path, numbered_video, name):
    assert read_video_track(str(numbered_video(tmp_path / name))) is None


def test_an_mp4_without_an_edit_list_shows_all_frames(video):
    assert count_shown_frames(str(with_edit(video, name=b"free"))) == 40


def test_a_track_that_shows_nothing_is_left_to_the_decoder(video):
    # An edit from -1 is a pause; here nothing follows it.
    track = read_video_track(str(with_edit(video, start=-1)))
    assert track is not None
    assert track.frame_times is None


def test_damaged_tables_are_no_error(tmp_path, video):
    data = video.read_bytes()
    generator = random.Random(0)
    path = tmp_path / "damaged.mp4"
    counts = []
    for n in range(1500):
        damaged = bytearray(data)
        for _ in range(generator.choice([1, 3, 30])):
            # The tables lie at the end.
            at = generator.randrange(len(data) - 1200, len(data))
            damaged[at] = generator.choice([0, 1, 0x7F, 0x80, 0xFF])
        path.write_bytes(damaged[: -n % 700 or None] if n % 3 == 0 else damaged)
        counts.append(count_shown_frames(str(path)))
    assert None in counts
    assert 40 in counts
    assert all(count is None or 0 < count <= 10_000_000 for count in counts)


@pytest.mark.parametrize("folder", ["wlasl-clips", "wlasl100-mini"])
def test_real_clips_show_what_their_edit_lists_say(wlasl_data, folder):
    with (wlasl_data / folder / "truth.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        path = wlasl_data / folder / "videos" / f"{row['video_id']}.mp4"
        assert count_shown_frames(str(path)) == int(row["decoded_frames"])


EMPTY = struct.pack(">I", 8) + b"free"


def test_boxes_without_end_are_not_read(tmp_path, video):
    content = video.read_bytes()
    for forged in (
        # Before the movie, where they are looked through in the file.
        EMPTY * (60 * 2**17) + content,
        box(b"moov", EMPTY * (7 * 2**20)),
    ):
        video.write_bytes(forged)
        started = time.process_time()
        assert read_video_track(str(video)) is None
        assert time.process_time() - started < 2

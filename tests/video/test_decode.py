"""Videos become clips: the right frames, in order, and only what is a video."""

import csv
import hashlib
import os
import shutil
import struct

import cv2
import drawn_videos
import numpy as np
import pytest
from encoded_videos import encode_video

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video.decode import decode_clip
from wlasl_tfrecord.video.sampling import evenly_spaced

CLIP = ClipSpec(num_frames=8, height=120, width=120)


def decode(path, clip=CLIP, **kwargs):
    return decode_clip(path, clip=clip, framing="center", **kwargs)


def numbers(frames, frame_number):
    return [frame_number(frame) for frame in frames]


def psnr(a, b):
    return 10 * np.log10(255**2 / max(np.mean((a.astype(float) - b) ** 2), 1e-9))


def test_first_and_last_frame_are_in_the_clip(tmp_path, numbered_video, frame_number):
    frames, source = decode(numbered_video(tmp_path / "a.mp4", num_frames=40))
    assert frames.shape == CLIP.shape
    assert frames.dtype == np.uint8
    expected = evenly_spaced(40, 8).tolist()
    assert numbers(frames, frame_number) == expected
    assert (expected[0], expected[-1]) == (0, 39)
    assert source.frame_indices == tuple(expected)
    assert source.num_video_frames == 40
    assert source.video_fps == 25.0
    assert source.sign == (0, 40, "whole")


def test_frames_are_rgb(tmp_path, numbered_video):
    frames, _ = decode(numbered_video(tmp_path / "a.mp4"))
    above, below = frames[:, 5, 60].mean(axis=0), frames[:, -5, 60].mean(axis=0)
    assert above[0] > 180 > 80 > above[2]
    assert below[2] > 180 > 80 > below[0]


def test_a_short_video_repeats_frames_in_order(tmp_path, numbered_video, frame_number):
    frames, source = decode(numbered_video(tmp_path / "a.mp4", num_frames=3))
    assert numbers(frames, frame_number) == [0, 0, 1, 1, 1, 1, 2, 2]
    assert source.num_distinct_frames == 3


def test_one_frame_is_enough(tmp_path, numbered_video, frame_number):
    frames, source = decode(numbered_video(tmp_path / "a.mp4", num_frames=1))
    assert numbers(frames, frame_number) == [0] * 8
    assert source.num_distinct_frames == 1


def test_a_clip_of_one_frame_is_the_middle_one(tmp_path, numbered_video, frame_number):
    clip = ClipSpec(num_frames=1, height=120, width=120)
    frames, source = decode(numbered_video(tmp_path / "a.mp4", num_frames=41), clip)
    assert numbers(frames, frame_number) == [20]
    assert source.num_video_frames == 41


def test_a_range_is_cut_out(tmp_path, numbered_video, frame_number):
    path = numbered_video(tmp_path / "a.mp4", num_frames=200)
    frames, source = decode(path, start=100, stop=150)
    read = numbers(frames, frame_number)
    assert (read[0], read[-1]) == (100, 149)
    assert source.sign == (100, 150, "cut")
    assert source.num_video_frames == 200


def test_a_range_counts_25_frames_a_second(tmp_path, numbered_video, frame_number):
    path = numbered_video(tmp_path / "a.mp4", num_frames=200, fps=50.0)
    frames, source = decode(path, start=25, stop=50)
    read = numbers(frames, frame_number)
    assert (read[0], read[-1]) == (50, 99)
    assert source.video_fps == 50.0


def test_frames_of_the_file_itself_must_be_there(tmp_path, numbered_video):
    path = numbered_video(tmp_path / "a.mp4", num_frames=20)
    with pytest.raises(
        VideoError,
        match=r"^a.mp4: range outside the video: .* 10 to 30 are wanted, decoded 20",
    ):
        decode(path, start=10, stop=30, annotation_fps=None)


def test_a_trimmed_video_is_taken_whole(tmp_path, numbered_video, frame_number):
    path = numbered_video(tmp_path / "a.mp4", num_frames=40)
    frames, source = decode(path, start=551, stop=592)
    assert (frame_number(frames[0]), frame_number(frames[-1])) == (0, 39)
    assert source.sign == (0, 40, "trimmed")


# The header of the MPEG stream promises 38 frames.
@pytest.mark.parametrize("container", ["a.avi", "a.mkv", "a.mov", "a.ts", "a.mpg"])
def test_other_containers_decode_alike(
    tmp_path, numbered_video, frame_number, container
):
    path = numbered_video(tmp_path / container, num_frames=40)
    frames, source = decode(path)
    assert numbers(frames, frame_number) == evenly_spaced(40, 8).tolist()
    assert source.num_video_frames == 40


@pytest.mark.parametrize("share", [0.35, 0.6, 0.9])
def test_what_can_be_decoded_is_what_there_is(
    tmp_path, numbered_video, frame_number, share
):
    # A Matroska file that breaks off still has its header, which tells its length.
    path = numbered_video(tmp_path / "a.mkv", num_frames=60)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    frames, source = decode(path)
    assert 5 < source.num_video_frames < 60
    read = numbers(frames, frame_number)
    assert read == evenly_spaced(source.num_video_frames, 8).tolist()
    # As many as that also where the end is not looked at.
    _, cut = decode(path, start=2, stop=5)
    assert cut.sign == (2, 5, "cut")
    assert cut.num_video_frames == source.num_video_frames


def test_a_last_frame_that_cannot_be_decoded_is_none(
    tmp_path, numbered_video, frame_number
):
    path = numbered_video(tmp_path / "a.mp4", num_frames=40)
    data = bytearray(path.read_bytes())
    # The sizes of the samples: version, one size for all (0: none), how many, each.
    sizes = np.frombuffer(data, ">u4", 40, data.index(b"stsz") + 16)
    at = data.index(b"mdat")
    stop = at - 4 + int.from_bytes(data[at - 4 : at], "big")
    data[stop - int(sizes[-1]) : stop] = bytes(int(sizes[-1]))
    path.write_bytes(data)
    frames, source = decode(path)
    assert (source.num_video_frames, source.num_promised_frames) == (39, 40)
    assert numbers(frames, frame_number) == evenly_spaced(39, 8).tolist()


def test_an_absurd_length_is_no_promise(tmp_path, numbered_video, frame_number):
    path = numbered_video(tmp_path / "a.mkv", num_frames=40)
    data = bytearray(path.read_bytes())
    # Matroska's Duration: its id, its size (8), a double.
    at = data.index(b"\x44\x89\x88") + 3
    data[at : at + 8] = struct.pack(">d", 1e12)
    path.write_bytes(data)
    frames, source = decode(path)
    assert (source.num_video_frames, source.num_promised_frames) == (40, 40)
    assert numbers(frames, frame_number) == evenly_spaced(40, 8).tolist()


def test_a_rate_that_no_camera_has_is_that_of_wlasl(tmp_path, numbered_video):
    path = numbered_video(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    # The one run of the table of times: 40 frames of 512 units of 1/12800 second.
    at = data.index(b"stts") + 12
    assert data[at : at + 8] == struct.pack(">II", 40, 512)
    data[at + 4 : at + 8] = struct.pack(">I", 1)
    path.write_bytes(data)
    assert decode(path)[1].video_fps == 25.0


def vfr_video(path):
    """300 frames, 150 at 15 a second and 150 at 30; each shows its number."""
    frames = [drawn_videos.draw_numbered_frame(n) for n in range(300)]
    times = [round(n * 1000 / 15) for n in range(150)]
    times += [10_000 + round(n * 1000 / 30) for n in range(150)]
    return encode_video(path, frames, times_ms=times)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_where_the_rate_varies_a_range_is_found_by_time(tmp_path, frame_number, suffix):
    path = vfr_video(tmp_path / f"a.{suffix}")
    # From 12 to 13 seconds.
    frames, source = decode(path, start=300, stop=325)
    assert source.sign == (210, 240, "cut")
    read = numbers(frames, frame_number)
    assert (read[0], read[-1]) == (210, 239)
    assert read == list(source.frame_indices)
    assert source.start_us == pytest.approx(12e6, abs=2e3)
    assert source.stop_us == pytest.approx(13e6, abs=5e4)


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_where_the_rate_varies_a_clip_is_spread_over_time(
    tmp_path, frame_number, suffix
):
    path = tmp_path / f"a.{suffix}"
    codec = "libvpx-vp9" if suffix == "webm" else "libx264"
    # The first half of the time has ten frames, the second 30.
    drawn = [drawn_videos.draw_numbered_frame(n) for n in range(40)]
    times = [100 * n for n in range(10)] + [1000 + 33 * n for n in range(30)]
    encode_video(path, drawn, times_ms=times, codec=codec)
    frames, source = decode(path)
    read = numbers(frames, frame_number)
    # Every 280 ms.
    assert read == [0, 3, 6, 8, 14, 22, 31, 39]
    assert read == list(source.frame_indices)
    steps = np.diff(source.frame_times_us)
    assert steps.max() - steps.min() <= 1


@pytest.mark.parametrize(
    ("start", "stop", "rule"),
    [
        (100, 150, "cut"),
        (1350, 1400, "trimmed"),
        (None, None, "whole"),
        (380, 430, None),
    ],
)
def test_a_file_that_was_cut_off_is_one_that_shows_its_sign(
    tmp_path, start, stop, rule
):
    path = encode_video(
        tmp_path / "a.mp4",
        [drawn_videos.draw_numbered_frame(n, 60, 80) for n in range(431)],
        container_options={"movflags": "faststart"},
        options={"g": "25"},
    )
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.7)])
    if rule is None:
        message = (
            r"range outside the video: frames 380 to 430 are wanted, decoded \d+ of"
        )
        with pytest.raises(VideoError, match=f"^a.mp4: {message} the 431"):
            decode(path, start=start, stop=stop)
    else:
        _, source = decode(path, start=start, stop=stop)
        assert 150 < source.num_video_frames < 350
        assert source.num_promised_frames == 431
        assert source.sign.rule == rule


def test_a_rotated_video_stands_upright(tmp_path, numbered_video):
    path = numbered_video(tmp_path / "a.mp4", height=120, width=120)
    upright, _ = decode(path)
    data = bytearray(path.read_bytes())
    # The matrix of the track header: a, b, u, c, d, v … in 16.16 fixed point.
    at = data.index(b"tkhd") + 4 + 40
    quarter = (0, 0x10000, 0, -0x10000, 0, 0)
    for n, value in enumerate(quarter):
        data[at + 4 * n : at + 4 * n + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    turned, _ = decode(path)
    assert psnr(turned, np.rot90(upright, k=-1, axes=(1, 2))) > 30


def test_the_digest_is_that_of_the_file(tmp_path, numbered_video):
    path = numbered_video(tmp_path / "a.mp4")
    _, source = decode(path)
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_frames_may_be_decoded_into_memory_that_is_there(tmp_path, numbered_video):
    path = numbered_video(tmp_path / "a.mp4")
    out = np.zeros(CLIP.shape, np.uint8)
    frames, _ = decode(path, out=out)
    assert frames is out
    np.testing.assert_array_equal(out, decode(path)[0])


@pytest.mark.parametrize(
    "name",
    [
        "a b.mp4",
        "a\nb.mp4",
        'it\'s "it".mp4',
        "%d.mp4",
        "ملف-視頻-é.mp4",
        "http:__x.mp4",
        os.fsdecode(b"caf\xe9.mp4"),
    ],
)
def test_any_name_is_a_name(tmp_path, numbered_video, frame_number, name):
    plain = numbered_video(tmp_path / "plain.mp4")
    path = tmp_path / name
    try:
        shutil.copy(plain, path)
    except OSError:
        pytest.skip(f"this file system takes no file named {name!a}")
    assert frame_number(decode(path)[0][-1]) == 39


def test_a_relative_path_is_a_path(tmp_path, numbered_video, monkeypatch):
    numbered_video(tmp_path / "concat:a.mp4")
    monkeypatch.chdir(tmp_path)
    assert decode("concat:a.mp4")[1].num_video_frames == 40


def test_a_codec_that_cannot_be_decoded_is_named(tmp_path, numbered_video):
    path = numbered_video(tmp_path / "a.mp4")
    # Many videos of the web are AV1, which not every OpenCV decodes.
    renamed = path.read_bytes().replace(b"mp4v", b"av01").replace(b"esds", b"free")
    path.write_bytes(renamed)
    with pytest.raises(VideoError, match=r"^a.mp4: too short: .* \(codec 'av1'\)"):
        decode(path)


def test_a_video_without_a_frame_is_too_short(tmp_path, numbered_video):
    path = numbered_video(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    # All samples lie in mdat; the header that promises 40 frames lies elsewhere.
    at = data.index(b"mdat")
    size = int.from_bytes(data[at - 4 : at], "big")
    data[at + 4 : at - 4 + size] = bytes(size - 8)
    path.write_bytes(data)
    with pytest.raises(VideoError, match=r"^a.mp4: too short: no frame of it can be"):
        decode(path)


class TestRealClips:
    def rows(self, wlasl_data):
        with (wlasl_data / "wlasl-clips" / "truth.csv").open() as file:
            return {row["video_id"]: row for row in csv.DictReader(file)}

    def decode(self, wlasl_data, row):
        stop = int(row["json_frame_end"])
        return decode(
            wlasl_data / "wlasl-clips" / "videos" / f"{row['video_id']}.mp4",
            ClipSpec(),
            start=int(row["json_frame_start"]) - 1,
            stop=None if stop == -1 else stop,
        )

    def test_every_clip_decodes_to_what_it_truly_holds(self, wlasl_data):
        rows = self.rows(wlasl_data)
        for video_id, row in rows.items():
            frames, source = self.decode(wlasl_data, row)
            assert source.num_video_frames == int(row["decoded_frames"]), video_id
            assert source.sha256 == row["sha256"]
            assert source.frame_indices[-1] == source.sign.stop - 1
            assert frames.std() > 10
        assert len(rows) == 62

    @pytest.mark.parametrize(
        ("video_id", "sign"),
        [
            ("70304", (0, 121, "trimmed")),
            ("10004", (0, 57, "trimmed")),
            ("63185", (2054, 2111, "cut")),
            ("06334", (0, 19, "whole")),
        ],
    )
    def test_the_traps_are_understood(self, wlasl_data, video_id, sign):
        _, source = self.decode(wlasl_data, self.rows(wlasl_data)[video_id])
        assert source.sign == sign

    def test_frames_are_those_that_reading_all_of_them_gives(self, wlasl_data):
        # 05743 promises 50 frames and has 47; 40313 runs at 50 frames a second.
        for video_id in ("05743", "40313", "00627"):
            path = wlasl_data / "wlasl-clips" / "videos" / f"{video_id}.mp4"
            frames, source = decode(path, ClipSpec())
            capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
            whole = []
            while (read := capture.read())[0]:
                whole.append(read[1])
            assert len(whole) == source.num_video_frames
            for frame, number in zip(frames, source.frame_indices):
                side = min(whole[0].shape[:2])
                top, left = ((size - side) // 2 for size in whole[0].shape[:2])
                square = whole[number][top : top + side, left : left + side, ::-1]
                exact = cv2.resize(
                    square.astype(float), (224, 224), interpolation=cv2.INTER_AREA
                )
                assert psnr(frame, exact) >= 40

    def test_mangled_files_are_refused(self, wlasl_data):
        paths = sorted((wlasl_data / "wlasl-clips" / "broken").glob("*.mp4"))
        assert len(paths) == 3
        for path in paths:
            with pytest.raises(VideoError, match="not a video, or one that is cut off"):
                decode(path)


@pytest.mark.parametrize("fails", [False, True])
def test_a_video_that_is_written_to_while_it_is_decoded_is_no_clip(
    tmp_path, numbered_video, monkeypatch, fails
):
    path = numbered_video(tmp_path / "1.mp4", num_frames=9)

    def write(*_, **__):
        with path.open("ab") as file:
            file.write(b"more")
        if fails:
            raise VideoError("unreadable", "not a video")

    monkeypatch.setattr("wlasl_tfrecord.video.decode.fit_frame", write)
    with pytest.raises(VideoError, match=r"1\.mp4: changed: it was written to while"):
        decode(path)

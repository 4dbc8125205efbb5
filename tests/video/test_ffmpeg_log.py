"""Damaged videos that still give a clip are written, and not without a remark."""

import json
import random
import subprocess
import sys

import pytest
from checkout import CHECKOUT
from encoded_videos import draw_corners, encode_video

from wlasl_tfrecord.annotations.manifest import Instance, Manifest
from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clips import ClipSource, ClipSpec, SignRange
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding.sharder import write_shards
from wlasl_tfrecord.video.ffmpeg_log import check_remarks, damage_notes

OPTIONS = ShardOptions(clip=ClipSpec(num_frames=6, height=64, width=64))


def manifest_of(*paths):
    instances = tuple(
        Instance(
            video_id=path.stem, gloss="book", label=0, split="train", path=str(path)
        )
        for path in paths
    )
    return Manifest(instances=instances, glosses=("book",), annotations="drawn")


@pytest.fixture
def videos(tmp_path, numbered_video):
    """One whole video, one that was cut off, and one with flipped bits."""
    whole = numbered_video(tmp_path / "whole.mp4", num_frames=60)
    short = numbered_video(tmp_path / "short.mkv", num_frames=60)
    short.write_bytes(short.read_bytes()[: short.stat().st_size * 6 // 10])
    flipped = tmp_path / "flipped.mp4"
    data = bytearray(whole.read_bytes())
    generator = random.Random(0)
    for _ in range(10):
        # Behind the header of mdat and the first frame, before the tables at the end.
        at = generator.randrange(len(data) // 4, len(data) * 3 // 4)
        data[at] ^= 1 << generator.randrange(8)
    flipped.write_bytes(data)
    return manifest_of(whole, short, flipped)


def notes_in(out):
    report = json.loads((out / "report.json").read_text())
    return {v["video_id"]: v.get("notes") for v in report["instances"]}


def test_what_was_decoded_with_errors_is_noted(tmp_path, videos):
    report = write_shards(videos, tmp_path / "s", options=OPTIONS, workers=2)
    assert report.num_written == 3
    notes = notes_in(tmp_path / "s")
    assert notes["whole"] is None
    assert any("of 60 promised frames" in note for note in notes["short"])
    (note,) = notes["flipped"]
    assert "errors while decoding, the first: " in note
    assert "0x" not in note
    assert "FFMPEG" not in note
    text = report.summary()
    assert "maybe damaged, and written all the same: short, flipped; short: " in text
    assert "maybe damaged" in report.table()
    counts = json.loads((tmp_path / "s" / "report.json").read_text())["splits"]
    assert counts["train"]["maybe_damaged"] == 2


def test_notes_are_the_same_for_any_number_of_workers(tmp_path, videos):
    for workers in (1, 3):
        out = tmp_path / str(workers)
        write_shards(videos, out, options=OPTIONS, workers=workers)
    one, three = (tmp_path / name / "report.json" for name in ("1", "3"))
    assert one.read_bytes() == three.read_bytes()


def test_notes_stay_when_shards_are_not_written_again(tmp_path, videos, numbered_video):
    out = tmp_path / "s"
    write_shards(videos, out, options=OPTIONS, workers=2)
    before = notes_in(out)
    again = write_shards(videos, out, options=OPTIONS)
    assert again.num_shards_written == 0
    assert notes_in(out) == before
    more = list(videos.instances)
    new = numbered_video(tmp_path / "new.mp4", num_frames=9)
    more += manifest_of(new).instances
    write_shards(videos.replace(more), out, options=OPTIONS)
    assert notes_in(out) == {**before, "new": None}


@pytest.mark.parametrize(
    ("decoded", "promised", "is_noted"),
    [
        # Nothing promised, kept, or more than promised.
        (60, 0, False),
        (60, 60, False),
        (60, 40, False),
        # Real headers promise up to 3 too many, of 38 and more.
        (38, 41, False),
        (9, 12, False),
        (8, 12, True),
        # A long recording may lose a few at its end.
        (4000, 4232, False),
        (60, 120, True),
    ],
)
def test_a_few_frames_less_than_promised_are_no_damage(decoded, promised, is_noted):
    source = ClipSource(
        video_fps=25.0,
        num_video_frames=decoded,
        sign=SignRange(0, decoded, "whole"),
        frame_indices=(0,),
        sha256="",
        num_promised_frames=promised,
    )
    expected = [f"decoded {decoded} of {promised} promised frames"] if is_noted else []
    assert damage_notes(source, []) == expected


def test_remarks_are_taken_once_and_are_no_more_than_a_page():
    program = (
        "import os\n"
        "from wlasl_tfrecord.video.ffmpeg_log import listen, take_remarks\n"
        "results = os.dup(1)\n"
        "log = listen()\n"
        "os.write(1, b'[h264 @ 0x55d0c0a8] one\\n[a] [b]  two  words\\n\\n')\n"
        "taken = [take_remarks(log), take_remarks(log)]\n"
        "try:\n"
        "    while True: os.write(2, b'much too much\\n' * 1000)\n"
        "except OSError: pass\n"
        "taken.append(len(take_remarks(log)) < 5000)\n"
        "os.write(1, b'more\\n')\n"
        "taken.append(take_remarks(log))\n"
        "os.write(results, repr(taken).encode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=CHECKOUT,
    )
    assert done.stdout == "[['one', 'two words'], [], True, ['more']]"


@pytest.mark.parametrize(
    "remark",
    [
        "Cannot convert interlaced to progressive frames or vice versa.",
        "swscaler: bad dst image pointers",
        "Failed initializing scaling graph (Not implemented): fmt:yuv420p -> fmt:bgr24",
    ],
)
def test_a_frame_that_was_not_converted_is_a_failure(remark):
    with pytest.raises(VideoError, match="FFmpeg did not convert its frames") as caught:
        check_remarks(["error while decoding MB 3 4", remark])
    assert caught.value.kind == "unreadable"
    check_remarks(["error while decoding MB 3 4"])


def test_harmless_remarks_are_not_told():
    source = ClipSource(
        video_fps=25.0,
        num_video_frames=60,
        sign=SignRange(0, 60, "whole"),
        frame_indices=(0,),
        sha256="",
    )
    harmless = [
        "st: 0 edit list: 1 Missing key frame while searching for timestamp: 1000",
        "Your platform doesn't support hardware accelerated AV1 decoding.",
        "Get current frame error",
    ]
    assert damage_notes(source, harmless) == []
    (note,) = damage_notes(source, [*harmless, "error while decoding MB 3 4"])
    assert note == "1 errors while decoding, the first: error while decoding MB 3 4"


def test_videos_of_every_kind_are_written_without_a_remark(tmp_path):
    frames = [draw_corners(number) for number in range(12)]
    interlaced = {"flags": "+ildct+ilme", "x264-params": "interlaced=1:tff=1"}
    times = [40 * number for number in range(12)]
    paths = [
        encode_video(
            tmp_path / "interlaced.mp4", frames, interlaced=True, options=interlaced
        ),
        encode_video(tmp_path / "av1.mp4", frames, codec="libsvtav1"),
        encode_video(tmp_path / "mirrored.mov", frames, matrix=(-1, 0, 0, 1)),
        encode_video(tmp_path / "dated.mkv", frames, times_ms=times),
        encode_video(tmp_path / "stream.ts", frames),
    ]
    report = write_shards(manifest_of(*paths), tmp_path / "s", options=OPTIONS)
    assert report.num_written == len(paths)
    assert [o.facts.notes for o in report.outcomes if o.facts] == [()] * len(paths)


def test_no_real_clip_is_noted(tmp_path, wlasl_data):
    paths = sorted((wlasl_data / "wlasl-clips" / "videos").glob("*.mp4"))
    report = write_shards(manifest_of(*paths), tmp_path / "s", options=OPTIONS)
    assert report.num_written == 62
    noted = [o for o in report.outcomes if o.facts is None or o.facts.notes]
    assert noted == []

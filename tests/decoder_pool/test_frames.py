import cv2
import numpy as np
import pytest

from wlasl_tfrecord.decoder_pool.decoded_frames import DecodedFrames
from wlasl_tfrecord.decoder_pool.frames import decode_clips
from wlasl_tfrecord.decoder_pool.jobs import Undecoded, VideoLimits
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video.decode import decode_clip

CLIP = ClipSpec(num_frames=5, height=24, width=32)


def decode(paths, **options):
    return list(decode_clips(paths, clip=CLIP, framing="center", **options))


def test_clips_are_those_of_the_decoder_in_order(tmp_path, numbered_video):
    paths = [
        numbered_video(tmp_path / f"{n}.mp4", num_frames=2 + 3 * n, first_number=50 * n)
        for n in range(4)
    ]
    for path, clip in zip(paths, decode(paths), strict=True):
        frames, source = decode_clip(
            path, clip=CLIP, framing="center", annotation_fps=None
        )
        np.testing.assert_array_equal(clip.frames, frames)
        assert clip.frame_indices == source.frame_indices
    # The worker's memory is used again; the frames are copies.
    assert len({clip.frames.tobytes() for clip in decode(paths)}) == 4


def test_a_part_of_a_video_can_be_named(tmp_path, numbered_video):
    path = numbered_video(tmp_path / "a.mp4", num_frames=20)
    (clip,) = decode([path], start=4, stop=9)
    frames, _ = decode_clip(
        path, clip=CLIP, framing="center", start=4, stop=9, annotation_fps=None
    )
    np.testing.assert_array_equal(clip.frames, frames)


def test_what_cannot_be_decoded_costs_itself(tmp_path, numbered_video):
    good = numbered_video(tmp_path / "good.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"<html>404</html>")
    broken, missing, last = decode([tmp_path / "broken.mp4", tmp_path / "no.mp4", good])
    assert isinstance(broken, Undecoded)
    assert broken.kind == "unreadable"
    assert missing.reason == "unreadable: No such file or directory"
    assert isinstance(last, DecodedFrames)


def test_a_video_of_huge_frames_does_not_take_the_memory(tmp_path, numbered_video):
    # 12,000 x 12,000 black pixels are 1.7 MB as JPEG and 430 MB as a frame.
    path = tmp_path / "huge.avi"
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (12000, 12000)
    )
    writer.write(np.zeros((12000, 12000, 3), np.uint8))
    writer.release()
    good = numbered_video(tmp_path / "good.mp4")
    huge, other = decode([path, good], limits=VideoLimits(memory_mib=300))
    assert huge == Undecoded(
        kind="out of memory", reason="out of memory: its frames are too large"
    )
    assert isinstance(other, DecodedFrames)


def test_no_videos_start_no_process(monkeypatch):
    monkeypatch.setattr("sys.executable", "/no/python")
    assert decode([]) == []


@pytest.mark.parametrize("name", ["-rf.mp4", "é.mp4", "a\nb.mp4"])
def test_odd_names_are_names(tmp_path, numbered_video, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    numbered_video(tmp_path / "plain.mp4").rename(tmp_path / name)
    (clip,) = decode([name])
    assert isinstance(clip, DecodedFrames)

"""Only a video is opened as one, and what is none is told quietly."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video.decode import decode_clip

CLIP = ClipSpec(num_frames=8, height=120, width=120)


def decode(path, clip=CLIP, **kwargs):
    return decode_clip(path, clip=clip, framing="center", **kwargs)


def test_threads_print_nothing_of_what_they_cannot_read(
    tmp_path, numbered_video, capfd
):
    whole = numbered_video(tmp_path / "whole.mp4", num_frames=2)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(whole.read_bytes()[:600])

    def read(number):
        path = broken if number % 2 else whole
        try:
            decode(path)
        except VideoError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(8) as pool:
        messages = list(pool.map(read, range(400)))
    assert set(messages[::2]) == {""}
    assert all("broken.mp4: unreadable: not a video" in m for m in messages[1::2])
    # FFmpeg's own remarks are silenced for the process when it starts; here it had
    # started before, to draw the video.
    assert "cap.cpp" not in capfd.readouterr().err


class TestWhatIsNoVideo:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            bytes(5000),
            b"<!DOCTYPE html><html><body>404</body></html>",
            b"#EXTM3U\n#EXTINF:1,\nreal.mp4\n#EXT-X-ENDLIST\n",
            b"ffconcat version 1.0\nfile real.mp4\n",
            "moov\ufffd\ufffdftyp".encode() * 50,
        ],
        ids=["empty", "zeros", "html", "hls", "concat", "mangled"],
    )
    def test_other_content_is_unreadable(self, tmp_path, numbered_video, content):
        numbered_video(tmp_path / "real.mp4")
        path = tmp_path / "00335.mp4"
        path.write_bytes(content)
        with pytest.raises(VideoError, match=r"^00335.mp4: unreadable: not a video"):
            decode(path)

    def test_a_picture_is_no_video(self, tmp_path):
        for suffix in (".png", ".jpg"):
            encoded = cv2.imencode(suffix, np.zeros((64, 64, 3), np.uint8))[1]
            path = tmp_path / "a.mp4"
            path.write_bytes(encoded.tobytes())
            with pytest.raises(VideoError, match="not a video"):
                decode(path)

    def test_a_missing_file_says_so(self, tmp_path):
        with pytest.raises(VideoError, match=r"^a.mp4: unreadable: No such file"):
            decode(tmp_path / "a.mp4")

    def test_a_pipe_is_refused_at_once(self, tmp_path):
        os.mkfifo(tmp_path / "a.mp4")
        with pytest.raises(VideoError, match="not a regular file"):
            decode(tmp_path / "a.mp4")

    def test_a_device_is_refused_at_once(self, tmp_path):
        (tmp_path / "a.mp4").symlink_to("/dev/zero")
        with pytest.raises(VideoError, match="not a regular file"):
            decode(tmp_path / "a.mp4")

    def test_a_loop_of_links_is_refused(self, tmp_path):
        (tmp_path / "a.mp4").symlink_to(tmp_path / "b.mp4")
        (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
        with pytest.raises(VideoError, match="unreadable"):
            decode(tmp_path / "a.mp4")


def test_a_damaged_video_makes_no_noise(tmp_path, numbered_video):
    path = numbered_video(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    data[200:2000] = bytes(1800)
    path.write_bytes(data)
    (tmp_path / "b.mp4").write_bytes(b"<html>")
    program = (
        "import sys\n"
        "from wlasl_tfrecord import errors\n"
        "from wlasl_tfrecord.shard_format import clips\n"
        "from wlasl_tfrecord.video import decode\n"
        "for path in sys.argv[1:]:\n"
        "    try: decode.decode_clip(path, clip=clips.ClipSpec(), framing='center')\n"
        "    except errors.VideoError: pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path, tmp_path / "b.mp4"],
        capture_output=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"", b"")

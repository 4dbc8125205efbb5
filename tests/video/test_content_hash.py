"""The digest of a video: of its bytes, or of all images of its folder."""

import hashlib
import os
import threading
from concurrent.futures import CancelledError

import cv2
import numpy as np
import pytest

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video.content_hash import open_file, sha256_of
from wlasl_tfrecord.video.decode import decode_clip


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "a.mp4").write_bytes(content)
    assert sha256_of(tmp_path / "a.mp4") == hashlib.sha256(content).hexdigest()


def test_reading_for_a_digest_can_be_cancelled(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"video")
    given_up = threading.Event()
    given_up.set()
    with pytest.raises(CancelledError):
        sha256_of(tmp_path / "a.mp4", given_up)


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (
        pytest.raises(VideoError, match=r"^unreadable: not a regular file$"),
        open_file(tmp_path / "pipe"),
    ):
        pass


def test_images_that_change_while_they_are_decoded_have_another_digest(
    tmp_path, monkeypatch
):
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((8, 8, 3), np.uint8))
    planned = sha256_of(tmp_path)

    def write(*_, **__):
        cv2.imwrite(str(tmp_path / "2.png"), np.ones((8, 8, 3), np.uint8))

    monkeypatch.setattr("wlasl_tfrecord.video.decode.fit_frame", write)
    _, source = decode_clip(
        tmp_path, clip=ClipSpec(num_frames=8, height=120, width=120), framing="center"
    )
    assert source.sha256 != planned

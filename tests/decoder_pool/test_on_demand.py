import os
import signal

import numpy as np
import pytest

from wlasl_tfrecord.decoder_pool.jobs import Undecoded, VideoLimits
from wlasl_tfrecord.decoder_pool.on_demand import OnDemandDecoder
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video.content_hash import sha256_of
from wlasl_tfrecord.video.decode import decode_clip

CLIP = ClipSpec(num_frames=4, height=32, width=32)


@pytest.fixture
def decoder():
    decoder = OnDemandDecoder(CLIP, "center", VideoLimits())
    yield decoder
    decoder.close()


def test_frames_are_those_of_the_library_video_after_video(
    decoder, numbered_video, tmp_path
):
    decoded = []
    for n in range(3):
        path = numbered_video(tmp_path / f"{n}.mp4", 20 + n, first_number=100 * n)
        decoded.append(decoder.decode(path, sha256_of(path)))
    for n, result in enumerate(decoded):
        path = tmp_path / f"{n}.mp4"
        frames, source = decode_clip(path, clip=CLIP, framing="center")
        # The frames of an earlier video stay what they were.
        assert np.array_equal(result.frames, frames)
        assert (result.num_video_frames, result.num_distinct_frames) == (20 + n, 4)
        assert result.frame_indices == source.frame_indices


def test_what_is_no_video_is_an_answer_and_the_next_one_is_decoded(
    decoder, numbered_video, tmp_path
):
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    answer = decoder.decode(text, sha256_of(text))
    assert isinstance(answer, Undecoded)
    assert answer.kind == "unreadable"
    path = numbered_video(tmp_path / "sign.mp4", num_frames=9)
    assert decoder.decode(path, sha256_of(path)).num_video_frames == 9


def test_another_content_than_announced_is_refused(decoder, numbered_video, tmp_path):
    path = numbered_video(tmp_path / "sign.mp4", num_frames=9)
    answer = decoder.decode(path, "0" * 64)
    assert isinstance(answer, Undecoded)
    assert answer.kind == "changed"


def test_a_process_that_was_killed_is_replaced(decoder, numbered_video, tmp_path):
    path = numbered_video(tmp_path / "sign.mp4", num_frames=9)
    assert decoder.decode(path, sha256_of(path)).num_video_frames == 9
    os.kill(decoder._worker.process.pid, signal.SIGKILL)
    assert decoder.decode(path, sha256_of(path)).num_video_frames == 9


def test_a_process_that_hangs_costs_one_video(numbered_video, tmp_path):
    path = numbered_video(tmp_path / "sign.mp4", num_frames=9)
    digest = sha256_of(path)
    decoder = OnDemandDecoder(CLIP, "center", VideoLimits(timeout_seconds=3))
    try:
        assert decoder.decode(path, digest).num_video_frames == 9
        os.kill(decoder._worker.process.pid, signal.SIGSTOP)
        answer = decoder.decode(path, digest)
        assert isinstance(answer, Undecoded)
        assert answer.reason == "timeout: not decoded within 3 seconds"
        assert decoder.decode(path, digest).num_video_frames == 9
    finally:
        decoder.close()

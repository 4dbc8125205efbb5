"""Packets tell when frames are shown, without decoding one."""

import numpy as np
from encoded_videos import draw_corners, encode_video

from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video.decode import decode_clip
from wlasl_tfrecord.video.packets import read_packets


def test_packets_tell_when_frames_are_shown(tmp_path):
    drawn = [draw_corners(number) for number in range(8)]
    times = [0, 40, 80, 120, 500, 540, 580, 1000]
    path = encode_video(tmp_path / "a.mkv", drawn, times_ms=times)
    packets = read_packets(str(path))
    assert packets.num_promised_frames == 8
    assert packets.frame_times is not None
    np.testing.assert_allclose(packets.frame_times, np.array(times) / 1000, atol=1e-3)
    assert len(packets.key_packets) == 1


def test_frames_of_vp8_that_are_only_referred_to_are_not_counted(tmp_path):
    frames = [draw_corners(number % 40) for number in range(60)]
    options = {"auto-alt-ref": "1", "lag-in-frames": "16", "b": "200k"}
    path = encode_video(tmp_path / "a.webm", frames, codec="libvpx", options=options)
    assert read_packets(str(path)).num_promised_frames == 60
    _, source = decode_clip(path, clip=ClipSpec(), framing="center")
    assert source.num_video_frames == 60


def test_all_key_frames_are_seen(tmp_path):
    frames = [draw_corners(number) for number in range(12)]
    path = encode_video(tmp_path / "a.mkv", frames, options={"g": "4", "bf": "0"})
    assert len(read_packets(str(path)).key_packets) == 3

"""Videos and images: what is read of them before, and besides, decoding."""

import struct
from pathlib import Path

import numpy as np

from benchmarks.fuzz_kinds.changes import changed_boxes, changed_bytes, changed_png
from benchmarks.fuzz_kinds.kind import Kind
from wlasl_tfrecord.errors import WlaslError

__all__ = ["KINDS"]


def boxes_kind(directory: Path) -> Kind:
    """The boxes of an MP4."""
    from drawn_videos import write_numbered_video

    from wlasl_tfrecord.video.mp4_boxes import read_video_track

    path = directory / "a.mp4"
    write_numbered_video(path, num_frames=8)

    def read(forged: bytes) -> None:
        path.write_bytes(forged)
        track = read_video_track(str(path))
        if track is None:
            raise WlaslError("refused")
        if track.frame_times is not None:
            assert np.isfinite(track.frame_times).all()
            assert all(len(sample) <= 2**16 for sample in track.key_samples)

    content = path.read_bytes()
    # Without an edit list there is none to change.
    found = content.find(b"trak")
    (size,) = struct.unpack(">I", content[found - 4 : found])
    elst = struct.pack(">I4sIIIiI", 28, b"elst", 0, 1, 320, 0, 0x10000)
    edts = struct.pack(">I4s", len(elst) + 8, b"edts") + elst
    moov = content.find(b"moov")
    (moov_size,) = struct.unpack(">I", content[moov - 4 : moov])
    with_edit = bytearray(content)
    with_edit[found - 4 : found] = struct.pack(">I", size + len(edts))
    with_edit[moov - 4 : moov] = struct.pack(">I", moov_size + len(edts))
    with_edit[found - 4 + size : found - 4 + size] = edts
    return Kind(content=bytes(with_edit), change=changed_boxes, read=read)


def headers_kind(_: Path) -> Kind:
    """The headers of a stream of H.264, HEVC or MPEG-4."""
    from wlasl_tfrecord.video.codec_headers import is_progressive, turns_pictures

    unit = bytes.fromhex("6764001facd940c029b0110000030001000003003c0f183196")
    extradata = b"\x01\x64\0\x1f\xff\xe1" + struct.pack(">H", len(unit)) + unit + b"\1"
    packet = struct.pack(">I", 9) + b"\x06\x01\x04\x00\x00\x03\x00\x01\x80" * 2
    content = struct.pack(">H", len(extradata)) + extradata + packet

    def read(forged: bytes) -> None:
        size = int.from_bytes(forged[:2], "big")
        for codec in ("h264", "hevc", "fmp4", "x"):
            is_progressive(codec, forged[2 : 2 + size], [forged[2 + size :]])
            turns_pictures(codec, forged[2 : 2 + size], [forged[2 + size :]])

    return Kind(content=content, change=changed_bytes, read=read)


def png_kind(_: Path) -> Kind:
    """An image of a record, whose chunks stay whole."""
    import cv2

    from wlasl_tfrecord.shard_format.decode_images import decode_image

    frame = np.arange(16 * 24 * 3, dtype=np.uint8).reshape(16, 24, 3)

    def read(forged: bytes) -> None:
        try:
            decode_image(memoryview(forged), "png", np.empty_like(frame))
        except ValueError as error:
            raise WlaslError("refused") from error

    content = cv2.imencode(".png", frame)[1].tobytes()
    return Kind(content=content, change=changed_png, read=read)


KINDS = {"boxes": boxes_kind, "headers": headers_kind, "png": png_kind}

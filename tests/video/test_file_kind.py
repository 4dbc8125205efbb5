"""What a file is: a container of video, or something else, with its own way out."""

import cv2
import numpy as np
import pytest

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.video.file_kind import file_kind


def image(suffix):
    return cv2.imencode(suffix, np.zeros((8, 8, 3), np.uint8))[1].tobytes()


OTHERS = {
    "empty": (b"", "the file is empty; download it again"),
    "zeros": (bytes(5000), "it begins with zeros; download it again"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n",
        "but a Git LFS pointer; fetch it with git lfs pull",
    ),
    "html": (b"<!DOCTYPE html><html>404</html>", "but an HTML page; download it again"),
    "html after a comment": (b"\n<!-- x -->\n<HTML>", "but an HTML page"),
    "xml": (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "but an XML file"),
    "json": (b'{"error": "quota"}', "but a JSON file; download it again"),
    "playlist": (b"#EXTM3U\n#EXTINF:1,\na.ts\n", "a playlist; download what it names"),
    "jpeg": (image(".jpg"), "but a JPEG image; a video of images is a folder of them"),
    "png": (image(".png"), "but a PNG image; a video of images"),
    "webp": (image(".webp"), "but a WebP image"),
    "bmp": (image(".bmp"), "but a BMP image"),
    "tiff": (image(".tiff"), "but a TIFF image"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "but a HEIC or AVIF image"),
    "mp3": (b"ID3\x04\0\0\0\0\0\0", "an MP3 file, only sound; find the file with the"),
    "wav": (b"RIFF\0\0\0\0WAVEfmt ", "but a WAV file, only sound"),
    "flac": (b"fLaC\0\0\0\x22", "but a FLAC file, only sound"),
    "zip": (b"PK\x03\x04\x14\0", "but an archive; unpack it"),
    "pdf": (b"%PDF-1.7\n", "but a PDF file; download it again"),
    "bare": (b"\0\0\0\x01\x67\x64\0\x0b", "a bare stream without a container; wrap it"),
    "real media": (b".RMF\0\0\0\x12", "a container we do not read; convert it with ff"),
    "text": ("moov\ufffdftyp".encode() * 50, "or one that is cut off or damaged"),
    "concat": (b"ffconcat version 1.0\nfile a.mp4\n", "or one that is cut off"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_video_is_called_what_it_is(tmp_path, name):
    content, message = OTHERS[name]
    path = tmp_path / "00335.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=f"^unreadable: not a video.*{message}"):
        file_kind(str(path))


TRANSPORT = b"\x47" + bytes(187)


@pytest.mark.parametrize(
    ("content", "container"),
    [
        (b"\0\0\0\x18ftypisom", "mp4"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "mp4"),
        (b"\x1aE\xdf\xa3", "matroska"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        (b"GIF89a", "gif"),
        (b"FLV\x01", "other"),
        (b"FWS\x09", "other"),
        (b"\0\0\x01\xba", "other"),
        (TRANSPORT * 3, "other"),
        # As camcorders write it: with four bytes of time before each packet.
        ((bytes(4) + TRANSPORT) * 3, "other"),
    ],
)
def test_a_container_is_known_by_its_first_bytes(tmp_path, content, container):
    path = tmp_path / "a"
    path.write_bytes(content)
    kind = file_kind(str(path))
    assert kind.container == container
    assert kind.head == content

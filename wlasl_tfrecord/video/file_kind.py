"""What a file is, by its first bytes: a container of video, or something else.

Much of what lies under a name such as 00335.mp4 and cannot be decoded is no video at
all. Each kind has a sentence of its own, with its way out.
"""

import re
from typing import Literal, NamedTuple

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.files import open_regular

__all__ = ["FFMPEG_FORMATS", "NO_VIDEO", "Container", "FileKind", "file_kind"]

Container = Literal["mp4", "matroska", "avi", "gif", "other"]

NO_VIDEO = "not a video, or one that is cut off or damaged"

# What FFmpeg may take a file for. Without the list a text named .mp4 can be a playlist
# that opens other files, and a picture a video of one frame.
FFMPEG_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,"
    "gif,swf"
)

# Room for the headers of a Matroska file, which say whether it has transparency.
_HEAD_BYTES = 1 << 16

# ISO media (mov, mp4) starts with the size of a box and its name.
_ISO_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid")
_STILL_BRANDS = (b"heic", b"heix", b"mif1", b"avif")
_CONTAINERS: tuple[tuple[bytes, Container], ...] = (
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"GIF8", "gif"),
    (b"FLV", "other"),
    (b"FWS", "other"),  # Flash, often with a video in it
    (b"CWS", "other"),
    (b"0&\xb2u", "other"),  # ASF
    (b"OggS", "other"),
    (b"\x00\x00\x01\xba", "other"),  # MPEG program stream
    (b"\x00\x00\x01\xb3", "other"),  # MPEG video
)
# Packets of an MPEG transport stream have this size, or four bytes in front, as
# camcorders write them; each has this byte.
_TS_PACKET_BYTES, _TS_SYNC = 188, 0x47

_DOWNLOAD = "download it again"
_CONVERT = "convert it with ffmpeg -i IN -c:v libx264 -crf 17 -pix_fmt yuv420p OUT.mp4"
_IMAGE = "a video of images is a folder of them, with numbers in their names"
_SOUND = "find the file with the picture"
_OTHERS = (
    (rb"version https://git-lfs", "a Git LFS pointer", "fetch it with git lfs pull"),
    (rb"(?i)\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body)", "an HTML page", ""),
    (rb"#EXTM3U", "a playlist", "download what it names"),
    (rb"\s*<\?xml|\s*<[A-Za-z]", "an XML file", ""),
    (rb"\s*[\[{]\s*[\"\[{]", "a JSON file", ""),
    (rb"\xff\xd8\xff", "a JPEG image", _IMAGE),
    (rb"\x89PNG", "a PNG image", _IMAGE),
    (rb"RIFF....WEBP", "a WebP image", _IMAGE),
    (rb"BM.{4}\0\0\0\0", "a BMP image", _IMAGE),
    (rb"II\*\0|MM\0\*", "a TIFF image", _IMAGE),
    (rb"ID3|\xff[\xfa\xfb\xf2\xf3]", "an MP3 file, only sound", _SOUND),
    (rb"RIFF....WAVE", "a WAV file, only sound", _SOUND),
    (rb"fLaC", "a FLAC file, only sound", _SOUND),
    (rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ", "an archive", "unpack it"),
    (rb"%PDF", "a PDF file", ""),
    (rb"\.RMF|DKIF|YUV4MPEG2|\x06\x0e\x2b\x34", "a container we do not read", _CONVERT),
    (
        rb"\0\0\0?\x01[\x09\x27\x67\x40\x46]",
        "a bare stream without a container",
        "wrap it with ffmpeg -framerate 25 -i IN -c copy OUT.mp4",
    ),
)


class FileKind(NamedTuple):
    """A file that can hold a video.

    Attributes:
        container: The kind of its container.
        head: Its first 64 KiB.
    """

    container: Container
    head: bytes


def file_kind(location: str) -> FileKind:
    """Reads what kind of container a file is.

    Args:
        location: The file's path.

    Raises:
        OSError: If it cannot be read.
        VideoError: If it is no container of video; the message says what it is.
    """
    with open(location, "rb", opener=open_regular) as file:
        head = file.read(_HEAD_BYTES)
    container = _container(head)
    if container is None:
        raise VideoError("unreadable", _other_kind(head))
    return FileKind(container, head)


def _container(head: bytes) -> Container | None:
    """Returns the kind of container that begins so; None if it is none."""
    if head[4:8] in _ISO_BOXES:
        return None if head[8:12] in _STILL_BRANDS else "mp4"
    if head.startswith(b"RIFF"):
        return "avi" if head[8:11] == b"AVI" else None
    for start, container in _CONTAINERS:
        if head.startswith(start):
            return container
    for prefix in (0, 4):
        if len(head) > prefix + _TS_PACKET_BYTES + prefix and all(
            head[at] == _TS_SYNC for at in (prefix, 2 * prefix + _TS_PACKET_BYTES)
        ):
            return "other"
    return None


def _other_kind(head: bytes) -> str:
    """Returns the message for a file that is no container of video."""
    if not head:
        return f"not a video: the file is empty; {_DOWNLOAD}"
    if not head.strip(b"\0"):
        return f"not a video: it begins with zeros; {_DOWNLOAD}"
    if head[4:8] == b"ftyp":
        return f"not a video, but a HEIC or AVIF image; {_IMAGE}"
    for pattern, name, way_out in _OTHERS:
        if re.match(pattern, head, re.DOTALL):
            return f"not a video, but {name}; {way_out or _DOWNLOAD}"
    return NO_VIDEO

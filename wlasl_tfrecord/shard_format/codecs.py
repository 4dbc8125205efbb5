"""The codecs: how the frames of a clip are stored in a record, in numbers.

`encode_frames` and `decode_frames` have what needs OpenCV and TensorFlow. No other room
names a codec: it asks here.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from wlasl_tfrecord.shard_format.clips import ClipSpec

__all__ = [
    "CODECS",
    "DEFAULT_CODEC",
    "PLAIN_CODEC",
    "SMALLEST_CODEC",
    "Codec",
    "CodecFacts",
    "codec_facts",
    "max_frames_bytes",
]

Codec = Literal["raw", "jpeg", "png"]
CODECS: tuple[Codec, ...] = get_args(Codec)

# The one that needs no decoding, and the one that takes the fewest bytes.
PLAIN_CODEC: Codec = "raw"
SMALLEST_CODEC: Codec = "jpeg"
DEFAULT_CODEC = PLAIN_CODEC


@dataclass(frozen=True, kw_only=True)
class CodecFacts:
    """What other rooms need to know of a codec.

    Attributes:
        bytes_per_value: Bytes in the file for each byte of pixels, on the real clips of
            WLASL100 at 224 x 224; jpeg at quality 95.
        stores_images: Whether a record holds one encoded image a frame, rather than the
            pixels themselves.
        has_quality: Whether it loses detail, by a quality from 1 to 100.
        max_side: Most pixels a side of a frame; None for no limit.
        costly_marks: What the costly parts of an image begin with: a decoder works on
            each of them as long as on a whole image, and one takes few bytes.
        most_costly: How many such parts are decoded, for each image of a record.
    """

    bytes_per_value: float
    stores_images: bool = True
    has_quality: bool = False
    max_side: int | None = None
    costly_marks: tuple[bytes, ...] = ()
    most_costly: int = 0


_FACTS: dict[Codec, CodecFacts] = {
    "raw": CodecFacts(bytes_per_value=1.0, stores_images=False),
    # The sides are what libjpeg and libpng write at most.
    "jpeg": CodecFacts(
        bytes_per_value=0.08,
        has_quality=True,
        max_side=65_500,
        # Where a scan starts. Progressive images have some ten of them, and one that
        # changes no pixel takes twelve bytes.
        costly_marks=(b"\xff\xda",),
        most_costly=500,
    ),
    "png": CodecFacts(
        bytes_per_value=0.33,
        max_side=1_000_000,
        # Compressed texts: libpng expands each, to 8 MB. Pixels may happen to be
        # stored as one of these words.
        costly_marks=(b"zTXt", b"iTXt"),
        most_costly=2,
    ),
}


def codec_facts(codec: Codec) -> CodecFacts:
    """Returns what other rooms need to know of a codec."""
    return _FACTS[codec]


def max_frames_bytes(clip: ClipSpec, codec: Codec) -> int:
    """Returns how many bytes the frames of a clip take at most in a record."""
    if not codec_facts(codec).stores_images:
        return clip.num_bytes
    # JPEG cannot take more than some 13 bits a coefficient on average, at 1.5 of them a
    # pixel; a PNG of noise is a little larger than its pixels.
    return 4 * clip.num_bytes + 8192 * clip.num_frames

"""The codecs: how the frames of a clip are stored in a record."""

from collections.abc import Mapping
from typing import Literal, get_args

__all__ = ["BYTES_PER_VALUE", "CODECS", "MAX_SIDES", "Codec"]

Codec = Literal["raw", "jpeg", "png"]
CODECS: tuple[Codec, ...] = get_args(Codec)


# What libjpeg and libpng write; more is no image to them.
MAX_SIDES: Mapping[str, int] = {"jpeg": 65_500, "png": 1_000_000}


# Bytes in the file for each byte of pixels, on the real clips of WLASL100 at 224 x 224;
# jpeg at quality 95.
BYTES_PER_VALUE: Mapping[str, float] = {"raw": 1.0, "jpeg": 0.08, "png": 0.33}

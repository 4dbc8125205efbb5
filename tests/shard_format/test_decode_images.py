import struct
import zlib

import cv2
import numpy as np
import pytest
import tensorflow as tf

from wlasl_tfrecord.shard_format.decode_images import decode_image

SIZE = (48, 64)


def photograph(seed, height=SIZE[0], width=SIZE[1]):
    """Something with edges, smooth parts and colours: uint8 [H, W, 3]."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1 + seed)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)


def encoded(suffix, image, *settings):
    return memoryview(cv2.imencode(suffix, image, settings)[1].tobytes())


@pytest.mark.parametrize("quality", [50, 95, 100])
@pytest.mark.parametrize("sampling", [0x411111, 0x211111, 0x221111, 0x111111])
@pytest.mark.parametrize("size", [(48, 64), (33, 47)])
def test_jpegs_have_the_pixels_of_tensorflow_s_accurate_decoder(
    quality, sampling, size
):
    for seed in range(3):
        image = encoded(
            ".jpg",
            photograph(seed, *size),
            *(cv2.IMWRITE_JPEG_QUALITY, quality),
            *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling),
        )
        out = np.empty((*size, 3), np.uint8)
        decode_image(image, "jpeg", out)
        expected = tf.io.decode_jpeg(
            bytes(image), channels=3, dct_method="INTEGER_ACCURATE"
        )
        np.testing.assert_array_equal(out, expected)


def test_pngs_have_the_pixels_that_were_written():
    out = np.empty((*SIZE, 3), np.uint8)
    decode_image(encoded(".png", photograph(1)[..., ::-1]), "png", out)
    np.testing.assert_array_equal(out, photograph(1))


def bomb():
    """A small PNG that says it is 60,000 pixels a side, which would be 10 GiB."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    crc = zlib.crc32(b"IHDR" + header)
    return memoryview(
        b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + header + struct.pack(">I", crc)
    )


def with_chunk(kind, num_bytes=0, content=b""):
    """A PNG of the right size, and another chunk that claims to have some bytes."""
    crc = struct.pack(">I", zlib.crc32(kind + content))
    start = bytes(encoded(".png", photograph(0))[:33])
    return memoryview(start + struct.pack(">I", num_bytes) + kind + content + crc)


@pytest.mark.parametrize(
    ("codec", "image", "message"),
    [
        ("jpeg", encoded(".jpg", photograph(0, 40, 64)), "an image is 64 x 40 pixels"),
        # As many pixels, in another shape; and more than there is memory for.
        ("jpeg", encoded(".jpg", photograph(0, 64, 48)), "an image is 48 x 64 pixels"),
        ("jpeg", encoded(".jpg", photograph(0, 48, 65)), "an image is 65 x 48 pixels"),
        ("png", encoded(".png", photograph(0, 48, 60)), "an image is 60 x 48 pixels"),
        ("png", bomb(), "an image is 60000 x 60000 pixels"),
        ("png", encoded(".jpg", photograph(0)), "an image is not a PNG"),
        ("png", encoded(".png", photograph(0))[:60], "an image has a chunk of "),
        ("png", encoded(".png", photograph(0))[:36], "an image ends within a chunk"),
        # OpenCV would take 4 GiB for it.
        ("png", with_chunk(b"IDAT", 2**32 - 9), "a chunk of 4294967287 bytes"),
        ("png", with_chunk(b"IHDR"), "an image does not have one header"),
        ("png", with_chunk(b"fcTL"), "an image is animated"),
        ("png", with_chunk(b"IDAT"), "an image cannot be decoded"),
        # A thousand times as many are taken, and seconds for a few hundred thousand.
        ("png", with_chunk(b"zTXt", 5000, bytes(5000)), "has 5000 bytes of compressed"),
        ("png", with_chunk(b"iTXt", 5000, bytes(5000)), "has 5000 bytes of compressed"),
        ("jpeg", memoryview(b"no image"), "an image is not a whole JPEG"),
        ("jpeg", encoded(".jpg", photograph(0))[:400], "an image is not a whole JPEG"),
    ],
)
def test_an_image_of_another_size_or_kind_is_refused(codec, image, message):
    with pytest.raises(ValueError, match=message):
        decode_image(image, codec, np.empty((*SIZE, 3), np.uint8))

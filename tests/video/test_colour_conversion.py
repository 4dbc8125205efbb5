"""Colours of a wide gamut or a high dynamic range become those of BT.709."""

import numpy as np
import pytest
from encoded_videos import PATCHES, encode_patches

from wlasl_tfrecord.video.open_video import open_video
from wlasl_tfrecord.video.pyav_capture import PyavCapture

# The numbers of ITU-T H.273.
UNKNOWN, BT709, BT2020, P3 = 2, 1, 9, 12
PQ, HLG, BT2020_10, SRGB = 16, 18, 14, 13

# From linear light of BT.709 to that of BT.2020: ITU-R BT.2087.
TO_BT2020 = np.array(
    [
        [0.6274, 0.3293, 0.0433],
        [0.0691, 0.9195, 0.0114],
        [0.0164, 0.0880, 0.8956],
    ]
)
LIGHT = (PATCHES / 255) ** 2.4


def patches_of(capture):
    """Returns the colours of the patches in the first frame, int [N, 3] RGB."""
    kept = []
    capture.grab_frames({0}, None, lambda _, frame: kept.append(frame.copy()))
    return kept[0][16, 16::32, ::-1].astype(int)


def pq(nits):
    """The inverse EOTF of SMPTE ST 2084."""
    light = (np.clip(nits, 0, None) / 10_000) ** (2610 / 16384)
    ratio = (3424 / 4096 + 2413 / 128 * light) / (1 + 2392 / 128 * light)
    return ratio ** (2523 / 32)


def hlg(nits):
    """The inverse EOTF of ITU-R BT.2100 for a screen of 1,000 cd/m2."""
    shown = nits / 1000
    luminance = (shown @ [0.2627, 0.6780, 0.0593])[:, None]
    scene = shown * np.where(luminance > 0, luminance, 1) ** (1 / 1.2 - 1)
    dark = np.sqrt(3 * np.clip(scene, 0, None))
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, dark, bright)


def check_light(shown, light):
    """Compares by light: 10 bits of it are few steps in bright colours."""
    np.testing.assert_allclose((shown / 255) ** 2.4, light, atol=0.03)


@pytest.mark.parametrize(
    ("values", "transfer"),
    [
        # White is 203 cd/m2.
        (pq(203 * LIGHT @ TO_BT2020.T), PQ),
        (hlg(203 * LIGHT @ TO_BT2020.T), HLG),
    ],
)
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_high_dynamic_range_becomes_what_a_screen_shows(
    tmp_path, codec, values, transfer
):
    path = encode_patches(
        tmp_path / "a.mp4",
        values=values,
        matrix=BT2020,
        bits=10,
        codec=codec,
        primaries=BT2020,
        transfer=transfer,
    )
    video = open_video(str(path))
    assert isinstance(video, PyavCapture)
    # Up to three quarters of white nothing changes; the rest is compressed by the
    # largest of three numbers, so that hues stay.
    largest = LIGHT.max(axis=1, keepdims=True)
    bright = largest > 0.75
    compressed = LIGHT / np.where(bright, largest, 1)
    above = (largest - 0.75) / 0.25
    compressed *= np.where(bright, 0.75 + 0.25 * above / (1 + above), 1)
    check_light(patches_of(video), compressed)
    greys = (4, 5, 7)
    np.testing.assert_allclose(patches_of(video)[[greys]], PATCHES[[greys]], atol=2)


@pytest.mark.parametrize("transfer", [BT2020_10, UNKNOWN, BT709])
def test_a_wide_gamut_becomes_that_of_bt709(tmp_path, transfer):
    path = encode_patches(
        tmp_path / "a.mp4",
        values=(LIGHT @ TO_BT2020.T) ** (1 / 2.4),
        matrix=BT2020,
        bits=10,
        primaries=BT2020,
        transfer=transfer,
    )
    check_light(patches_of(open_video(str(path))), LIGHT)


def test_screens_of_p3_have_a_gamut_of_their_own(tmp_path):
    # From linear light of BT.709 to that of Display P3: SMPTE EG 432-1.
    to_p3 = np.array(
        [[0.8225, 0.1775, 0.0], [0.0332, 0.9668, 0.0], [0.0171, 0.0724, 0.9105]]
    )
    path = encode_patches(
        tmp_path / "a.mp4",
        values=(LIGHT @ to_p3.T) ** (1 / 2.4),
        matrix=BT709,
        bits=10,
        primaries=P3,
        transfer=SRGB,
    )
    check_light(patches_of(open_video(str(path))), LIGHT)


def test_light_beyond_white_is_compressed_not_cut_off(tmp_path):
    steps = np.array([0, 25, 50, 100, 150, 203, 250, 300, 500, 1000])
    nits = steps[:, None] * np.ones(3)
    path = encode_patches(
        tmp_path / "a.mp4",
        values=pq(nits),
        matrix=BT2020,
        bits=10,
        primaries=BT2020,
        transfer=PQ,
    )
    shown = patches_of(open_video(str(path)))
    assert shown[0].max() <= 2
    assert (np.diff(shown[:, 0]) > 0).all()
    assert shown.max() < 255
    assert np.ptp(shown, axis=1).max() <= 2


def test_an_interlaced_frame_is_converted_too(tmp_path):
    options = {
        "matrix": BT2020,
        "bits": 10,
        "primaries": BT2020,
        "transfer": HLG,
        "values": hlg(203 * LIGHT @ TO_BT2020.T),
    }
    plain = encode_patches(tmp_path / "a.mp4", **options)
    woven = encode_patches(tmp_path / "b.mp4", interlaced=True, **options)
    expected = patches_of(open_video(str(plain)))
    np.testing.assert_allclose(patches_of(open_video(str(woven))), expected, atol=2)

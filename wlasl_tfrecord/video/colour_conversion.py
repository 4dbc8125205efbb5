"""Colour conversion: frames of a wide gamut or a high dynamic range become BT.709.

FFmpeg's scaler does that too, if asked: it takes ten seconds a video for its tables,
and cuts off all light above white.

Reference:
    ITU-R BT.2100 (PQ, HLG), ITU-R BT.2408 (203 cd/m2 for white), ITU-R BT.1886 (the
    screen of BT.709), ITU-T H.273 (primaries).
"""

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.video.colours import BT2020, DCI_P3, DISPLAY_P3, HLG, PQ, Colours

__all__ = ["to_bt709"]

# x and y of red, green and blue, and of the white that all of them have: D65. Whoever
# writes DCI-P3 into a video for screens means the same white.
_BT709_XY = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_BT2020_XY = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
_P3_XY = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_WHITE_XY = (0.3127, 0.3290)
_PRIMARIES = {BT2020: _BT2020_XY, DCI_P3: _P3_XY, DISPLAY_P3: _P3_XY}

_GAMMA = 2.4
_WHITE_NITS, _HLG_PEAK_NITS = 203.0, 1000.0
# Up to three quarters of white, light stays what it is; what is brighter comes ever
# closer to white.
_KNEE = 0.75
# Rows at a time: few enough for the caches of a processor, and for its memory.
_STRIP_ROWS = 32
_NUM_VALUES = 1 << 16


def to_bt709(frame: NDArray[np.uint16], colours: Colours) -> NDArray[np.uint8]:
    """Converts a frame to the colours of BT.709.

    Of HDR, white becomes white, and brighter light is compressed without a change of
    hue. Colours that no screen of BT.709 shows are cut off.

    Args:
        frame: uint16 [height, width, 3], BGR.
        colours: What its values mean.

    Returns:
        uint8 [height, width, 3], BGR.
    """
    to_light, to_value = _light_of_values(colours.transfer), _value_of_roots()
    matrix = _matrix(colours.primaries)
    shown = np.empty(frame.shape, np.uint8)
    for top in range(0, len(frame), _STRIP_ROWS):
        light = to_light[frame[top : top + _STRIP_ROWS]]
        if colours.transfer == HLG:
            light = _hlg_on_screen(light)
        # In the order of the channels, B G R, on both sides.
        turned = cv2.transform(light, matrix[::-1, ::-1])
        light = turned.astype(np.float32, copy=False)
        if colours.transfer in (PQ, HLG):
            light = _compressed(light)
        roots = np.sqrt(np.clip(light, 0, 1)) * (_NUM_VALUES - 1) + 0.5
        shown[top : top + _STRIP_ROWS] = to_value[roots.astype(np.uint16)]
    return shown


@functools.cache
def _light_of_values(transfer: int) -> NDArray[np.float32]:
    """Returns the light of each 16-bit value, float32 [65536], where 1 is white.

    That of HLG is light of the scene, from 0 to 1.
    """
    value = np.arange(_NUM_VALUES) / (_NUM_VALUES - 1)
    if transfer == PQ:
        root = value ** (32 / 2523)
        ratio = np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)
        light = 10_000 * ratio ** (16384 / 2610) / _WHITE_NITS
    elif transfer == HLG:
        bright = (np.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12
        light = np.where(value <= 0.5, value**2 / 3, bright)
    else:
        light = value**_GAMMA
    return light.astype(np.float32)


@functools.cache
def _value_of_roots() -> NDArray[np.uint8]:
    """Returns the value of each square root of light, in 65,535ths, uint8 [65536].

    Of the root, since equal steps of light would be too far apart in the dark.
    """
    root = np.arange(_NUM_VALUES) / (_NUM_VALUES - 1)
    return np.rint(255 * root ** (2 / _GAMMA)).astype(np.uint8)


@functools.cache
def _matrix(primaries: int) -> NDArray[np.float32]:
    """Returns the matrix from light of some primaries to that of BT.709, in R G B."""
    xyz = _to_xyz(_PRIMARIES.get(primaries, _BT709_XY))
    return (np.linalg.inv(_to_xyz(_BT709_XY)) @ xyz).astype(np.float32)


def _to_xyz(corners: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """Returns the matrix from light of primaries to XYZ, float64 [3, 3]."""
    columns = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in corners]).T
    x, y = _WHITE_XY
    white = np.array([x / y, 1.0, (1 - x - y) / y])
    return (columns * np.linalg.solve(columns, white)).astype(np.float64)


def _hlg_on_screen(scene: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns what a screen shows of a scene, where 1 is white."""
    blue, green, red = (scene[..., channel] for channel in range(3))
    luminance = 0.0593 * blue + 0.6780 * green + 0.2627 * red
    scale = _HLG_PEAK_NITS / _WHITE_NITS * luminance**0.2
    return scene * scale[..., np.newaxis].astype(np.float32)


def _compressed(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compresses light above the knee so that all of it stays below 1."""
    largest = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])
    if largest.max() <= _KNEE:
        return light
    room = 1 - _KNEE
    above = np.maximum(largest - _KNEE, 0)
    # A hyperbola that leaves the knee in the direction of the line below it.
    wanted = _KNEE + room * above / (room + above)
    scale = np.where(above > 0, wanted / (above + _KNEE), 1).astype(np.float32)
    return light * scale[..., np.newaxis]

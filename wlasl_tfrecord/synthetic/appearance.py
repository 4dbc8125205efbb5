"""The appearance of drawn signers, their rooms and their cameras."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Color", "Signer", "draw_signers"]

Color = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Signer:
    """The appearance of a signer, their room and their camera.

    Attributes:
        signer_id: The number in the annotations.
        skin: RGB.
        hair: RGB.
        clothes: RGB.
        wall: RGB.
        furniture: RGB of what stands before the wall.
        room: What stands there: 0 nothing, 1 a window, 2 shelves, 3 stripes, 4 a door.
        long_hair: Whether the hair reaches the shoulders.
        long_sleeves: Whether the sleeves reach the wrists.
        glasses: Whether they wear glasses.
        width: Frame width in pixels.
        height: Frame height in pixels.
        fps: Frames per second of the camera.
        tempo: How fast they sign; 1 is usual.
        heads_high: Heads from the lower to the upper edge of the frame.
        center_x: Where the neck is, as a share of the width.
        light: Brightness; 1 is usual.
        noise: Standard deviation of the camera's noise, in grey levels.
    """

    signer_id: int
    skin: Color
    hair: Color
    clothes: Color
    wall: Color
    furniture: Color
    room: int
    long_hair: bool
    long_sleeves: bool
    glasses: bool
    width: int
    height: int
    fps: float
    tempo: float
    heads_high: float
    center_x: float
    light: float
    noise: float

    @property
    def head_pixels(self) -> float:
        """The height of a head in pixels."""
        return self.height / self.heads_high

    @property
    def neck(self) -> tuple[float, float]:
        """(x, y) of the origin of the poses, in pixels."""
        # 1.5 heads from the origin to the crown, and a little air above it.
        return self.center_x * self.width, 1.62 * self.head_pixels


def draw_signers(num_signers: int, seed: int) -> tuple[Signer, ...]:
    """Chooses the appearance of signers at random.

    The values of a palette are used up like a deck of cards before one is used again,
    so that a few signers show all of it.

    Args:
        num_signers: How many signers.
        seed: Another seed gives other signers.
    """
    rng = np.random.default_rng((seed, 0))

    def deal(choices: Sequence[Any]) -> list[Any]:
        decks = -(-num_signers // len(choices))
        order = np.concatenate([rng.permutation(len(choices)) for _ in range(decks)])
        return [choices[index] for index in order[:num_signers]]

    looks = {name: deal(choices) for name, choices in _PALETTES.items()}
    return tuple(
        Signer(
            signer_id=number + 1,
            width=looks["size"][number][0],
            height=looks["size"][number][1],
            tempo=rng.uniform(0.8, 1.25),
            heads_high=rng.uniform(3.9, 4.5),
            center_x=rng.uniform(0.47, 0.53),
            light=rng.uniform(0.82, 1.12),
            noise=rng.uniform(1.5, 5.0),
            **{name: dealt[number] for name, dealt in looks.items() if name != "size"},
        )
        for number in range(num_signers)
    )


_PALETTES: Mapping[str, Sequence[Any]] = {
    "skin": [
        (244, 209, 180), (229, 184, 143), (208, 158, 116), (176, 122, 84),
        (141, 92, 62), (105, 66, 44),
    ],
    "hair": [
        (28, 22, 20), (70, 44, 28), (120, 78, 40), (190, 150, 90), (150, 150, 150),
    ],
    "clothes": [
        (40, 62, 110), (96, 24, 36), (32, 84, 62), (60, 60, 66), (118, 66, 130),
        (24, 24, 28), (196, 196, 200), (52, 120, 140),
    ],
    "wall": [
        (206, 208, 204), (168, 184, 200), (186, 196, 168), (120, 128, 140),
        (222, 214, 190), (92, 104, 96), (148, 136, 168),
    ],
    "furniture": [(120, 84, 56), (90, 110, 120), (178, 160, 120), (70, 74, 90)],
    "room": [0, 1, 2, 3, 4],
    "long_hair": [False, True],
    "long_sleeves": [True, True, False],
    "glasses": [False, False, True],
    "size": [(320, 240), (288, 192), (426, 240), (256, 256), (384, 288), (480, 270)],
    "fps": [23.976, 25.0, 29.97, 30.0, 24.0, 50.0],
}  # fmt: skip

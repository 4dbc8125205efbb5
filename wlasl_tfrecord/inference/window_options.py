"""How windows slide over a long video, and which of them show a sign."""

from dataclasses import dataclass

__all__ = ["WindowOptions"]


@dataclass(frozen=True, kw_only=True)
class WindowOptions:
    """The choices of continuous recognition.

    The defaults were measured with benchmarks/windows.py.

    Attributes:
        window_seconds: How long a window is.
        step_seconds: From the start of a window to that of the next.
        threshold: Probability from which on the first gloss of a window counts.
        min_motion: Motion from which on a window can show a sign: how much a picture
            of 32 x 32 pixels changes within a fifth of a second, in 255ths of white.

    Raises:
        ValueError: If a value can never be right.
    """

    window_seconds: float = 2.0
    step_seconds: float = 0.2
    threshold: float = 0.4
    min_motion: float = 1.0

    def __post_init__(self) -> None:
        """Reject what no video can make right."""
        for name, value in (
            ("window", self.window_seconds),
            ("step", self.step_seconds),
        ):
            if not 0 < value < 1e6:
                raise ValueError(f"{name} must be above 0 and below 1e6, got {value}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be from 0 to 1, got {self.threshold}")
        if not 0 <= self.min_motion <= 255:
            raise ValueError(f"min_motion must be from 0 to 255, got {self.min_motion}")

    def places_between(self, num_frames: int) -> int:
        """Returns how many places of the grid lie between two windows, at least one.

        Args:
            num_frames: Frames of a window's clip, T.

        >>> WindowOptions(window_seconds=2.0, step_seconds=0.5).places_between(31)
        8
        """
        places_a_second = max(num_frames - 1, 1) / self.window_seconds
        return max(1, round(self.step_seconds * places_a_second))

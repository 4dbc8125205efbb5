"""Where a training is, between two steps: all that its future depends on but arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Progress"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run is, between two steps; all of it JSON.

    Attributes:
        phase: The phase under way.
        epoch: Its epochs that are over.
        step: Steps of the epoch under way that are over.
        total_steps: Steps since the run began.
        sums: Loss, top-1 hits, top-5 hits and weight of the epoch so far.
        num_skipped: Steps of the epoch skipped for an overflow.
        seconds: Spent in the steps of the epoch so far.
        wait_seconds: Of them, waiting for input.
        best: Validation top-1 and negative loss of the best epoch so far, over all
            phases; None before the first.
        stale: Epochs since then, or since the phase began.
        lowest_loss: The lowest validation loss of the phase.
        plateau: Epochs since then, or since the rate was last halved.
        plateau_factor: What that has left of the learning rate.
        rows: The history so far.
        phase_over: Whether the phase has ended, early or not.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    total_steps: int = 0
    sums: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    num_skipped: int = 0
    seconds: float = 0.0
    wait_seconds: float = 0.0
    best: tuple[float, float] | None = None
    stale: int = 0
    lowest_loss: float | None = None
    plateau: int = 0
    plateau_factor: float = 1.0
    rows: tuple[Mapping[str, Any], ...] = ()
    phase_over: bool = False

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Progress":
        """Reads what `dataclasses.asdict` and JSON made of one.

        Raises:
            TypeError: If it holds what this release does not know.
            KeyError: If something is missing.
        """
        fields: dict[str, Any] = dict(value)
        for name in ("sums", "rows", "best"):
            if fields[name] is not None:
                fields[name] = tuple(fields[name])
        return cls(**fields)

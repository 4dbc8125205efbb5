"""Early stopping and plateaus: which epoch is the best, and when a phase has enough."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["CHOICES", "ChooseBy", "EarlyStopping", "epoch_score"]

ChooseBy = Literal["top1", "last"]
CHOICES: tuple[ChooseBy, ...] = get_args(ChooseBy)


def epoch_score(
    top1: float, loss: float, epoch: int = 0, choose_by: ChooseBy = "top1"
) -> tuple[float, float]:
    """Returns two numbers that compare epochs: the better one's are greater.

    A loss that is NaN would compare as neither better nor worse; it is the worst.

    Args:
        top1: Share of clips that are recognised.
        loss: The validation loss.
        epoch: Number of the epoch among those of all phases.
        choose_by: What counts: hits and then the loss, or which epoch is later.
    """
    if choose_by == "last":
        return float(epoch), 0.0
    return top1, -loss if math.isfinite(loss) else -math.inf


@dataclass(kw_only=True)
class EarlyStopping:
    """What is remembered of the epochs so far; all of it JSON.

    Attributes:
        best: Score of the best epoch of all phases; None before the first.
        epochs_since_best: Epochs of this phase since then.
        lowest_loss: Lowest validation loss of this phase.
        epochs_since_lowest: Epochs since then, or since the rate was last halved.
        plateau_factor: Share of the learning rate that plateaus have left.
    """

    best: tuple[float, float] | None = None
    epochs_since_best: int = 0
    lowest_loss: float | None = None
    epochs_since_lowest: int = 0
    plateau_factor: float = 1.0

    def __post_init__(self) -> None:
        """Makes a tuple of the list that JSON has."""
        if self.best is not None:
            self.best = (self.best[0], self.best[1])

    def begin_phase(self) -> None:
        """Forgets all but the best epoch: a phase has a patience of its own."""
        self.epochs_since_best = 0
        self.lowest_loss = None
        self.epochs_since_lowest = 0
        self.plateau_factor = 1.0

    def add_epoch(self, score: tuple[float, float], loss: float) -> bool:
        """Adds an epoch and returns whether it is the best so far.

        Args:
            score: From `epoch_score`.
            loss: The validation loss; the training loss where nothing is validated.
        """
        is_best = self.best is None or score > self.best
        is_lowest = math.isfinite(loss) and (
            self.lowest_loss is None or loss < self.lowest_loss
        )
        self.epochs_since_best = 0 if is_best else self.epochs_since_best + 1
        self.epochs_since_lowest = 0 if is_lowest else self.epochs_since_lowest + 1
        if is_best:
            self.best = score
        if is_lowest:
            self.lowest_loss = loss
        return is_best

    def halve_on_plateau(self, patience: int) -> bool:
        """Halves the learning rate if the loss has not fallen for `patience` epochs."""
        is_plateau = self.epochs_since_lowest >= patience
        if is_plateau:
            self.epochs_since_lowest = 0
            self.plateau_factor /= 2
        return is_plateau

"""State needed to resume training, except arrays."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wlasl_tfrecord.text import shown
from wlasl_tfrecord.training.early_stopping import EarlyStopping

__all__ = ["PHASES", "EpochTotals", "Progress"]

# First the head, then the backbone too; or all at once.
PHASES = ("head", "fine-tune", "all")


@dataclass(kw_only=True)
class EpochTotals:
    """What the steps of one epoch add up to.

    Attributes:
        sums: Loss, top-1 hits, top-5 hits and weight of all clips.
        num_skipped: Steps skipped because their gradients overflowed.
        seconds: Time spent in the steps.
        wait_seconds: Share of that time spent waiting for input.
    """

    sums: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    num_skipped: int = 0
    seconds: float = 0.0
    wait_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Makes a tuple of the list that JSON has."""
        self.sums = tuple(self.sums)

    @property
    def means(self) -> tuple[float, float, float]:
        """Mean loss, top-1 and top-5 over the clips."""
        loss, top1, top5, weight = self.sums
        weight = max(weight, 1.0)
        return loss / weight, top1 / weight, top5 / weight


@dataclass(kw_only=True)
class Progress:
    """How far a run has come; it changes with every step, and all of it is JSON.

    Attributes:
        phase: Index of the current phase.
        epoch: Finished epochs of the phase.
        step: Finished steps of the current epoch.
        total_steps: Finished steps of the run.
        totals: What the finished steps of the current epoch add up to.
        stopping: What early stopping remembers.
        rows: The history: one row for each finished epoch of the run.
        phase_over: Whether the phase has ended, early or not.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    total_steps: int = 0
    totals: EpochTotals = field(default_factory=EpochTotals)
    stopping: EarlyStopping = field(default_factory=EarlyStopping)
    rows: tuple[Mapping[str, Any], ...] = ()
    phase_over: bool = False

    @property
    def phase_has_begun(self) -> bool:
        """Whether the phase has a step, or is over without one."""
        return bool(self.epoch or self.step or self.phase_over)

    def begin_phase(self, phase: int) -> None:
        """Moves to the beginning of a phase; history and best epoch stay."""
        self.phase, self.epoch, self.step = phase, 0, 0
        self.totals = EpochTotals()
        self.stopping.begin_phase()
        self.phase_over = False

    def end_epoch(self, row: Mapping[str, Any]) -> None:
        """Adds an epoch to the history and moves to the beginning of the next."""
        self.rows = (*self.rows, row)
        self.epoch, self.step = self.epoch + 1, 0
        self.totals = EpochTotals()

    def snapshot(self) -> "Progress":
        """Returns a copy that later steps do not change."""
        return dataclasses.replace(
            self, totals=copy.copy(self.totals), stopping=copy.copy(self.stopping)
        )

    def check_place(self, num_epochs: Sequence[int], steps_per_epoch: int) -> None:
        """Checks that a run can have come so far.

        Args:
            num_epochs: Largest number of epochs of each phase of the run.
            steps_per_epoch: Steps of an epoch.

        Raises:
            ValueError: If it cannot.
        """
        finished = len(self.rows)
        is_later = self.phase > 0
        if (
            self.phase >= len(num_epochs)
            or self.epoch > num_epochs[self.phase]
            or self.step > steps_per_epoch
            or (self.step and self.epoch == num_epochs[self.phase])
            or self.total_steps >= 10**9
            # Each finished epoch has a row, and each phase at least one.
            or (self.phase_over and not self.epoch)
            or not (finished > self.epoch if is_later else finished == self.epoch)
        ):
            raise ValueError(
                f"phase {self.phase + 1}, {self.epoch} epochs and {self.step} steps, "
                f"with {finished} epochs in the history, is no place in this run"
            )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Progress":
        """Reads what `dataclasses.asdict` and JSON made of one.

        Raises:
            TypeError: If it holds what this release does not know.
            KeyError: If something is missing.
            ValueError: If a value is none that a run can have.
        """
        _check_numbers(value)
        fields: dict[str, Any] = dict(value)
        fields["totals"] = EpochTotals(**fields["totals"])
        fields["stopping"] = EarlyStopping(**fields["stopping"])
        fields["rows"] = tuple(fields["rows"])
        return cls(**fields)


def _check_numbers(value: Mapping[str, Any]) -> None:
    """Checks the values of a progress in JSON: a file that anybody can edit.

    Raises:
        ValueError: If one is none that a run can have.
        KeyError, TypeError: If one is missing, or of another form.
    """
    totals, stopping = value["totals"], value["stopping"]
    counts = [value[name] for name in ("phase", "epoch", "step", "total_steps")]
    counts += [stopping[name] for name in ("epochs_since_best", "epochs_since_lowest")]
    counts += [totals["num_skipped"]]
    numbers = [totals["seconds"], totals["wait_seconds"], stopping["plateau_factor"]]
    numbers += [*totals["sums"], *(stopping["best"] or ())]
    numbers += [] if stopping["lowest_loss"] is None else [stopping["lowest_loss"]]
    if len({"val_top1" in row for row in value["rows"]}) > 1:
        raise ValueError("some epochs of the history are validated, and others not")
    for row in value["rows"]:
        if row["phase"] not in PHASES:
            raise ValueError(f"no phase of a run is {shown(row['phase'])}")
        if not all(name.isascii() for name in row):
            raise ValueError("a column of the history must have a plain name")
        numbers += [number for name, number in row.items() if name != "phase"]
        # What is printed, drawn and compared.
        measured = ("epoch", "loss", "top1", "top5", "seconds")
        validated = ("val_loss", "val_top1", "val_top5") if "val_top1" in row else ()
        numbers += [row[name] for name in (*measured, *validated)]
    for number in counts:
        if type(number) is not int or not 0 <= number < 2**40:
            raise ValueError(f"no count of a run can be {shown(number)}")
    for number in numbers:
        # A loss can be infinite, or NaN. A whole number can be beyond all floats.
        is_float = type(number) is float
        if not is_float and (type(number) is not int or abs(number) > 2**53):
            raise ValueError(f"no value of a run can be {shown(number)}")
    if type(value["phase_over"]) is not bool or len(totals["sums"]) != 4:
        raise ValueError("phase_over must be true or false, and sums four numbers")
    if stopping["best"] is not None and len(stopping["best"]) != 2:
        raise ValueError(f"best must be two numbers, got {shown(stopping['best'])}")

"""Damage: one thing that is wrong with a shard folder."""

from dataclasses import dataclass

__all__ = ["Damage"]


@dataclass(frozen=True, kw_only=True)
class Damage:
    """One thing that is wrong with a shard folder.

    Attributes:
        file: The name of the file, inside the folder.
        reason: What is wrong with it.
        record: Which record of the file, counted from 0; None if it is not one record.
        video_id: What the index calls that record; None if it is not one record.
    """

    file: str
    reason: str
    record: int | None = None
    video_id: str | None = None

    def __str__(self) -> str:
        """Writes the damage on one line."""
        if self.record is None:
            return f"{self.file}: {self.reason}"
        return f"{self.file}: record {self.record} ({self.video_id}): {self.reason}"

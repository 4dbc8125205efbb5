"""An instance, one signing of one gloss, and the manifest: all of them, checked."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from wlasl_tfrecord.shard_format.layout import SPLITS
from wlasl_tfrecord.text import text_of

__all__ = [
    "UNKNOWN_SIGNER",
    "Instance",
    "Manifest",
]

UNKNOWN_SIGNER = -1


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One signing of one gloss: a row of WLASL's JSON.

    Attributes:
        video_id: Its name, unique in the manifest; valid UTF-8.
        gloss: The word.
        label: The word's index.
        split: "train", "val" or "test".
        path: The video, or a folder of numbered images; None if there is none.
        signer_id: The number of the signer; -1 if unknown.
        start: First frame of the sign, from 0; None for the first.
        stop: One past its last frame; None for "to the end".
        annotation_fps: The rate at which `start` and `stop` count; None if they are
            frames of this very file. As `sampling.sign_range` takes them.
        url: Where the video was published; None if unknown.
        problem: Why this instance cannot be used, whatever its video holds; None if
            nothing is known against it.
    """

    video_id: str
    gloss: str
    label: int
    split: str
    path: str | None = None
    signer_id: int = UNKNOWN_SIGNER
    start: int | None = None
    stop: int | None = None
    annotation_fps: float | None = None
    url: str | None = None
    problem: str | None = None

    def __post_init__(self) -> None:
        """Reject what no reader of annotations may let through."""
        if self.split not in SPLITS:
            raise ValueError(f"split must be one of {SPLITS}, got {self.split!r}")
        if self.label < 0:
            raise ValueError(f"label must be at least 0, got {self.label}")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All instances of a data set, checked, in an order that no file system decides.

    Attributes:
        instances: The missing ones and those with a problem included.
        glosses: The words, by label.
        annotations: The file or folder from which it was read.
        labels_from: What the glosses and their order were taken from.
        splits_from: What the splits were taken from.
        notes: What a user should know of how it was read, a line each.
    """

    instances: tuple[Instance, ...]
    glosses: tuple[str, ...]
    annotations: str
    labels_from: str = "annotations"
    splits_from: str = "annotations"
    notes: tuple[str, ...] = ()

    def summary(self) -> tuple[str, ...]:
        """Returns what was understood, in lines by which a wrong guess shows."""
        counts = Counter(instance.split for instance in self.instances)
        splits = ", ".join(f"{counts[split]:,} {split}" for split in SPLITS)
        alone = "; there is only one" if len(self.glosses) == 1 else ""
        return (
            f"{len(self.instances):,} instances in {text_of(self.annotations)}",
            f"glosses: {len(self.glosses):,}, by {self.labels_from}: "
            f"{_first_and_last(self.glosses)}{alone}",
            f"splits: {splits}, by {self.splits_from}",
        )

    def replace(
        self, instances: Sequence[Instance], *notes: str, glosses: int | None = None
    ) -> "Manifest":
        """Returns the manifest with other instances and further notes.

        Args:
            instances: The new instances.
            *notes: Lines to add.
            glosses: Number of glosses to keep; all by default.
        """
        return dataclasses.replace(
            self,
            instances=tuple(instances),
            glosses=self.glosses[:glosses],
            notes=self.notes + notes,
        )

    def relabelled(self, glosses: Sequence[str], labels_from: str) -> "Manifest":
        """Returns the manifest with the glosses in another order.

        Args:
            glosses: All of them, by their new labels.
            labels_from: What the order was taken from.
        """
        labels = {gloss: label for label, gloss in enumerate(glosses)}
        return dataclasses.replace(
            self,
            instances=tuple(
                dataclasses.replace(instance, label=labels[instance.gloss])
                for instance in self.instances
            ),
            glosses=tuple(glosses),
            labels_from=labels_from,
        )


def _first_and_last(glosses: Sequence[str]) -> str:
    """Shows the glosses with their labels: all of a few, else the ends.

    >>> _first_and_last(["book", "drink"])
    "0 'book', 1 'drink'"
    """
    words = [f"{label} {gloss[:40]!r}" for label, gloss in enumerate(glosses)]
    if len(words) <= 8:
        return ", ".join(words)
    return f"{', '.join(words[:4])} … {', '.join(words[-3:])}"

"""An instance, one signing of one gloss, and the manifest: all of them, checked."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from wlasl_tfrecord.shard_format.layout import SPLITS

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
        signer_id: Who signs; -1 if unknown.
        start: First frame of the sign, from 0; None for the first.
        stop: One past its last frame; None for "to the end".
        annotation_fps: The rate at which `start` and `stop` count; None if they are
            frames of this very file. As `sampling.sign_range` takes them.
        problem: Why this instance cannot be used whatever its video holds; None if
            nothing speaks against it.
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
        notes: What a user should know of how it was read, a line each.
    """

    instances: tuple[Instance, ...]
    glosses: tuple[str, ...]
    annotations: str
    notes: tuple[str, ...] = ()

    def replace(
        self, instances: Sequence[Instance], *notes: str, glosses: int | None = None
    ) -> "Manifest":
        """Gives the manifest with other instances and further notes.

        Args:
            instances: The new instances.
            *notes: Lines to add.
            glosses: How many of the glosses to keep; all by default.
        """
        return dataclasses.replace(
            self,
            instances=tuple(instances),
            glosses=self.glosses[:glosses],
            notes=self.notes + notes,
        )

"""An instance, one signing of one gloss, and the manifest: all of them, checked."""

import dataclasses
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.index import SPLITS

__all__ = [
    "UNKNOWN_SIGNER",
    "Instance",
    "Manifest",
    "checked_gloss",
    "checked_id",
    "checked_split",
    "is_control",
    "is_unicode",
    "shown",
    "unique_ids",
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
            frames of this very file. As `clips.sign_range` takes them.
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


def checked_gloss(gloss: object, where: str) -> str:
    """Checks a word, which becomes a line of a text file and a string of a record.

    Args:
        gloss: What stood in the annotations.
        where: How to name the place in an error.

    Returns:
        The word without surrounding white space.

    Raises:
        ManifestError: If it is no text, empty, of several lines, of more than 1,000
            characters, or not valid Unicode.
    """
    if not isinstance(gloss, str):
        raise ManifestError(f"{where}: a gloss must be text, got {shown(gloss)}")
    word = gloss.strip()
    if not word or not is_unicode(word) or any(map(is_control, word)):
        raise ManifestError(
            f"{where}: a gloss must be one line of text, got {shown(gloss)}"
        )
    _check_length(word, f"{where}: a gloss")
    return word


def checked_id(video_id: object, place: str) -> str:
    """Checks the type of an id; whether it can be a file name is asked later.

    Raises:
        ManifestError: If it is no text that a record can hold.
    """
    if not isinstance(video_id, str) or not video_id or not is_unicode(video_id):
        raise ManifestError(
            f"{place}: video_id must be text, as leading zeros matter, got "
            f"{shown(video_id)}"
        )
    if any(map(is_control, video_id)):
        raise ManifestError(
            f"{place}: video_id must be one line of text, got {shown(video_id)}"
        )
    _check_length(video_id, f"{place}: video_id")
    return video_id


# A decoder gets both through a pipe, and has room for both beside the frames.
_MAX_CHARACTERS = 1000


def _check_length(text: str, what: str) -> None:
    if len(text) > _MAX_CHARACTERS:
        raise ManifestError(
            f"{what} must have at most {_MAX_CHARACTERS:,} characters, got "
            f"{len(text):,}: {shown(text)}"
        )


def checked_split(row: Mapping[str, Any], key: str, place: str) -> str:
    """Checks the split of a row.

    Raises:
        ManifestError: If it is none of train, val and test.
    """
    split = row.get(key)
    if not isinstance(split, str) or split not in SPLITS:
        raise ManifestError(
            f"{place}: {key} must be one of {', '.join(SPLITS)}, got {shown(split)}"
        )
    return split


def unique_ids(instances: Sequence[Instance], where: str) -> None:
    """Checks that every id names one instance.

    Raises:
        ManifestError: If two instances have the same id.
    """
    seen: dict[str, Instance] = {}
    for instance in instances:
        other = seen.setdefault(instance.video_id, instance)
        if other is not instance:
            raise ManifestError(
                f"{where}: {shown(instance.video_id)} occurs twice, as "
                f"{other.gloss!r} in {other.split} and as {instance.gloss!r} in "
                f"{instance.split}; remove one of the two"
            )


def is_control(character: str) -> bool:
    """Says whether a character would break a line, or a terminal."""
    return unicodedata.category(character) in ("Cc", "Zl", "Zp")


def is_unicode(text: str) -> bool:
    """Says whether a text can be stored: half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(value: object) -> str:
    """Shows a value of untrusted annotations on one line of bounded length."""
    # Slicing first: the repr of a number of a million digits is an error.
    try:
        text = ascii(value[:80] if isinstance(value, str) else value)
    except (ValueError, RecursionError):
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."

"""Checks of the values of annotations, each with the place in its error."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from wlasl_tfrecord.annotations.manifest import Instance
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.shard_format.glosses import MAX_GLOSS_CHARACTERS
from wlasl_tfrecord.shard_format.layout import SPLITS
from wlasl_tfrecord.text import is_control, is_unicode, shown

__all__ = [
    "checked_gloss",
    "checked_id",
    "checked_split",
    "unique_ids",
]


def checked_gloss(gloss: object, where: str) -> str:
    """Checks a word, which becomes a line of a text file and a string of a record.

    Args:
        gloss: The value in the annotations.
        where: The place in the annotations, for errors.

    Returns:
        The word in Unicode form NFC, without white space around it and without what is
        invisible.

    Raises:
        ManifestError: If it is no text, empty, of several lines, of more than 1,000
            characters, or not valid Unicode.
    """
    if not isinstance(gloss, str):
        raise ManifestError(f"{where}: a gloss must be text, got {shown(gloss)}")
    # A Mac writes é as two characters, and tables from the web have blanks of no width
    # or that break no line: what looks alike must be one class.
    word = unicodedata.normalize("NFC", gloss.translate(_INVISIBLE).strip())
    word = re.sub(r"[ \u00a0\u2007\u202f]+", " ", word)
    if not word or not is_unicode(word) or any(map(is_control, word)):
        raise ManifestError(
            f"{where}: a gloss must be one line of text, got {shown(gloss)}"
        )
    _check_length(word, f"{where}: a gloss")
    return word


def checked_id(video_id: object, place: str) -> str:
    """Checks the type of an id; whether it can be a file name is checked later.

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


# Not the joiners, which change words of Persian and of Indian languages.
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200e\u200f\u2060\ufeff"))
# A decoder gets both through a pipe, and has room for both beside the frames.
_MAX_CHARACTERS = MAX_GLOSS_CHARACTERS


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

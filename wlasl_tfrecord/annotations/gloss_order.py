"""The order of a table's glosses, which is that of their labels."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wlasl_tfrecord.annotations.class_list import CLASSES_FILE, read_class_list
from wlasl_tfrecord.text import text_of
from wlasl_tfrecord.video.files import folders_beside

__all__ = ["GlossOrder", "order_glosses"]

# 3.0, too: a program that met an empty cell in the column makes decimals of all.
_NUMBER = re.compile(r"([0-9]{1,9})([.,]0+)?")


@dataclass(frozen=True, kw_only=True)
class GlossOrder:
    """The glosses of a table by their labels.

    Attributes:
        glosses: The words, by label.
        words: What the table has for a gloss -> the word.
        labels_from: What the order was taken from.
        note: What a user should know of it; None if there is nothing.
    """

    glosses: tuple[str, ...]
    words: Mapping[str, str]
    labels_from: str
    note: str | None = None


def order_glosses(rows: Iterable[tuple[str, str]], src: str) -> GlossOrder:
    """Orders the glosses of a table.

    Numbers for glosses are ordered as numbers, and are the words of a classes.txt in or
    beside `src` if that has so many. Words take the numbers of a second column, if
    these are 0 to the number of glosses, one for each. Else the first appearance
    counts.

    Args:
        rows: The gloss of each row, and its number in a second column, or "".
        src: The folder of videos.
    """
    rows = list(rows)
    found = list(dict.fromkeys(gloss for gloss, _ in rows))
    numbers = _as_numbers(found)
    if numbers:
        return _by_number(numbers, src)
    labels = _labels_of(rows)
    if labels:
        glosses = sorted(found, key=lambda gloss: labels[gloss])
        return _plain_order(glosses, "numbers in the table")
    note = None
    if any(number for _, number in rows):
        note = (
            "the column of class numbers is not used: it does not have the numbers 0 "
            f"to {len(found) - 1}, one for each gloss"
        )
    return _plain_order(found, "first appearance in the table", note)


def _plain_order(
    glosses: Sequence[str], labels_from: str, note: str | None = None
) -> GlossOrder:
    return GlossOrder(
        glosses=tuple(glosses),
        words={gloss: gloss for gloss in glosses},
        labels_from=labels_from,
        note=note,
    )


def _by_number(numbers: Mapping[str, int], src: str) -> GlossOrder:
    known = sorted(set(numbers.values()))
    for directory in (src, *folders_beside(src)):
        path = os.path.join(directory, CLASSES_FILE)
        if os.path.isfile(path):
            classes = read_class_list(path)
            if known[-1] < len(classes):
                return GlossOrder(
                    glosses=classes,
                    words={gloss: classes[n] for gloss, n in numbers.items()},
                    labels_from=f"numbers in the table, words of {text_of(path)}",
                )
    return GlossOrder(
        glosses=tuple(map(str, known)),
        words={gloss: str(number) for gloss, number in numbers.items()},
        labels_from="numbers in the table",
    )


def _as_numbers(glosses: Sequence[str]) -> dict[str, int] | None:
    """Returns glosses that are all numbers; None if one is a word.

    "007" is a word: a number would not be written with zeros in front.
    """
    matches = [_NUMBER.fullmatch(gloss) for gloss in glosses]
    found = {match[0]: match[1] for match in matches if match}
    if len(found) < len(glosses) or any(str(int(n)) != n for n in found.values()):
        return None
    return {gloss: int(number) for gloss, number in found.items()}


def _labels_of(rows: Sequence[tuple[str, str]]) -> dict[str, int] | None:
    """Returns the number of each gloss; None unless they are 0, 1, 2 … without gaps."""
    labels: dict[str, int] = {}
    for gloss, number in rows:
        match = _NUMBER.fullmatch(number)
        if not match or labels.setdefault(gloss, int(match[1])) != int(match[1]):
            return None
    return labels if sorted(labels.values()) == list(range(len(labels))) else None

"""The numbers of signers: records store a number, people also write names."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from wlasl_tfrecord.annotations.manifest import UNKNOWN_SIGNER

__all__ = ["signer_numbers"]

# A record stores 64 bits.
_MAX_DIGITS = 18


def signer_numbers(names: Iterable[str]) -> tuple[Mapping[str, int], str | None]:
    """Numbers the signers of a data set.

    Whole numbers stay what they are, `3.0` included; a negative one is unknown. Names
    that are one word and a number, as P52, take the number. Any others are numbered in
    alphabetical order, which is the same on every machine.

    Args:
        names: The signer of every row; empty where it is unknown.

    Returns:
        Name -> number, and a note on how it was made; None if the names are numbers.

    >>> signer_numbers(["P52", "P9", ""])[0]
    {'P52': 52, 'P9': 9, '': -1}
    """
    known = sorted({name for name in names if name})
    numbers: dict[str, int] = {}
    note = None
    if all(map(_whole_number, known)):
        for name in known:
            number = int(re.split("[.,]", name)[0])
            numbers[name] = max(number, UNKNOWN_SIGNER)
    elif (suffixes := _suffixes(known)) is not None:
        numbers = suffixes
        note = (
            f"signers take the number in their name: {known[0]} is {suffixes[known[0]]}"
        )
    else:
        numbers = {name: number for number, name in enumerate(known)}
        note = (
            f"{len(known)} signers are numbered in alphabetical order: {known[0]} is 0"
        )
    return {**numbers, "": UNKNOWN_SIGNER}, note


def _whole_number(name: str) -> bool:
    match = re.fullmatch(r"-?([0-9]+)([.,]0*)?", name)
    return bool(match) and len(match[1]) <= _MAX_DIGITS


def _suffixes(names: list[str]) -> dict[str, int] | None:
    """Returns the numbers at the end of names that begin alike, if each has one."""
    matches = [re.fullmatch(r"(\D*?)[ _-]*([0-9]{1,18})", name) for name in names]
    if not all(matches):
        return None
    found = [match for match in matches if match]
    numbers = {match[0]: int(match[2]) for match in found}
    prefixes = {unicodedata.normalize("NFC", match[1]).casefold() for match in found}
    return (
        numbers
        if len(prefixes) == 1 and len(set(numbers.values())) == len(names)
        else None
    )

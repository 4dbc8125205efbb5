"""An image folder: frames that somebody extracted before, in the order of a number.

Names hold several numbers: a camera, the frame, its time, a width. The one that counts
the frames grows by the same step from each to the next.
"""

import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.text import text_of
from wlasl_tfrecord.video.files import IMAGE_SUFFIXES

__all__ = ["image_files"]

_DIGITS = re.compile(r"[0-9]+")
# The last digits of a longer number: nobody's folder holds more images, and int()
# refuses 4,300.
_MAX_DIGITS = 18


def image_files(directory: str | os.PathLike[str]) -> list[str]:
    """Lists the numbered images of a folder, in the order of their numbers.

    Of several numbers in the names it is the one that counts: `frame_3_0.48.jpg` is
    image 3, and `cam2_0010.jpg` image 10.

    Raises:
        VideoError: If there are none, two of the same number, or if two numbers of the
            names order them differently.
        OSError: If the folder cannot be read.
    """
    names = [
        name
        for name in sorted(os.listdir(directory))
        if not name.startswith(".")
        and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
        and _DIGITS.search(os.path.splitext(name)[0])
    ]
    if not names:
        raise VideoError("too short", "the folder holds no numbered images")
    return [os.path.join(directory, name) for name in _in_order(names)]


def _in_order(names: Sequence[str]) -> list[str]:
    """Sorts names by the number that counts them."""
    stems = [os.path.splitext(name)[0] for name in names]
    if len({_DIGITS.sub("0", stem) for stem in stems}) > 1:
        # Names of several kinds have only their last number in common.
        last = {n: _number(_DIGITS.findall(s)[-1]) for n, s in zip(names, stems)}
        return _sorted_by(names, last)
    rows = [_DIGITS.findall(stem) for stem in stems]
    columns = [[_number(row[n]) for row in rows] for n in range(len(rows[0]))]
    distinct = {
        n: dict(zip(names, column))
        for n, column in enumerate(columns)
        if len(set(column)) == len(names)
    }
    if not distinct:
        return _sorted_by(names, dict(zip(names, columns[-1])))
    counters = {n: column for n, column in distinct.items() if _counts(column.values())}
    times = _decimals(stems[0], rows, names)
    # The digits after a decimal point are not a number of their own.
    whole = {n: c for n, c in distinct.items() if n - 1 not in times}
    chosen = [*(counters or whole or distinct).values(), *times.values()]
    orders = [sorted(names, key=column.__getitem__) for column in chosen]
    for order in orders[1:]:
        for place, (one, other) in enumerate(zip(orders[0], order)):
            if one != other:
                raise VideoError(
                    "unreadable",
                    "two numbers in the names of its images order them "
                    f"differently: image {place} is {text_of(one)} by one and "
                    f"{text_of(other)} by the other; leave one number in the names",
                )
    return orders[0]


def _sorted_by(names: Sequence[str], numbers: Mapping[str, float]) -> list[str]:
    """Sorts names by a number that no two of them may share."""
    order = sorted(names, key=numbers.__getitem__)
    for one, other in itertools.pairwise(order):
        if numbers[one] == numbers[other]:
            raise VideoError(
                "unreadable",
                f"two images have the number {numbers[one]}, "
                f"{text_of(one)} and {text_of(other)}",
            )
    return order


def _counts(numbers: Iterable[float]) -> bool:
    """Returns whether numbers, sorted, all have the same distance."""
    ordered = sorted(numbers)
    steps = {after - before for before, after in itertools.pairwise(ordered)}
    return len(steps) <= 1


def _decimals(
    stem: str, rows: Sequence[Sequence[str]], names: Sequence[str]
) -> dict[int, dict[str, float]]:
    """Finds decimals such as seconds: two numbers with a point, of the same digits.

    Args:
        stem: Any of the names; all have the same text between their numbers.
        rows: The digits of each name's numbers.
        names: The names.

    Returns:
        Place of the number before the point -> name -> decimal, for those that are
        different in all names.
    """
    between = _DIGITS.split(stem)
    found: dict[int, dict[str, float]] = {}
    for n in range(len(rows[0]) - 1):
        widths = {len(row[n + 1]) for row in rows}
        if between[n + 1] != "." or len(widths) != 1:
            continue
        numbers = [float(f"{row[n]}.{row[n + 1]}") for row in rows]
        if len(set(numbers)) == len(names):
            found[n] = dict(zip(names, numbers))
    return found


def _number(digits: str) -> int:
    return int(digits[-_MAX_DIGITS:])

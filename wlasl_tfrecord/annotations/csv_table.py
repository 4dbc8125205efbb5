"""A plain table of videos, so that any sign data set works: path, gloss, split."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wlasl_tfrecord.annotations.checks import checked_gloss, unique_ids
from wlasl_tfrecord.annotations.csv_columns import (
    columns_of,
    lacking_columns,
    may_be_range,
    names_columns,
    plain_name,
)
from wlasl_tfrecord.annotations.gloss_order import order_glosses
from wlasl_tfrecord.annotations.manifest import Instance, Manifest
from wlasl_tfrecord.annotations.signers import signer_numbers
from wlasl_tfrecord.annotations.splits import (
    MADE_BY_NAME,
    SPLIT_SHARES,
    SPLIT_WORDS,
    with_made_splits,
)
from wlasl_tfrecord.annotations.table import Table, read_table
from wlasl_tfrecord.annotations.video_paths import PathFinder, why_none_is_found
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.text import shown, text_of

__all__ = ["csv_manifest", "split_in_name"]

# Of optional numbers, where a program had none.
_NO_NUMBER = ("", "nan", "none", "null", "na", "n/a", "-")


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One row of a table, its split still as it is written there."""

    place: str
    name: str
    gloss: str
    class_number: str
    split: str
    signer: str
    start: int | None
    stop: int | None

    @property
    def video_id(self) -> str:
        path = self.name if "/" in self.name else self.name.replace("\\", "/")
        if self.start is None and self.stop is None:
            return text_of(path)
        ends = ["" if end is None else str(end) for end in (self.start, self.stop)]
        return f"{text_of(path)}#{'-'.join(ends)}"


def split_in_name(path: str) -> str | None:
    """Returns the split that the name of a file has as one of its words.

    >>> split_in_name("labels/validation_labels.csv"), split_in_name("labels.csv")
    ('val', None)
    """
    stem = os.path.splitext(os.path.basename(path))[0].lower()
    words = {SPLIT_WORDS[w] for w in re.split(r"[^a-z]+", stem) if w in SPLIT_WORDS}
    return words.pop() if len(words) == 1 else None


def csv_manifest(paths: Sequence[str], src: str, videos: str | None = None) -> Manifest:
    """Reads one table of videos, or one for each split.

    Line 1 names the columns. One has the path of the video, one the gloss; a split, a
    signer and the range `start` to `stop` may follow. Paths are relative to `src` and
    stay inside it. `start` and `stop` count frames of that very file from 0, `stop` not
    included. Labels follow the first appearance of each gloss, or numbers (see
    `order_glosses`). An id is the path, with `#start-stop` where the row has a range.
    Without a column of splits the name of the
    file is taken, as in `train.csv`; else splits are made by a hash of the ids.

    Args:
        paths: The tables.
        src: The folder of videos, which no path may leave.
        videos: The folder in it from which the paths start; `src` by default.

    Returns:
        The manifest, its instances in the order of the rows.

    Raises:
        ManifestError: If a table cannot be read, a row is not of that form, which the
            message names by its line, or none of the videos exists.
    """
    rows: list[_Row] = []
    notes: list[str] = []
    for path in paths:
        table = read_table(path)
        rows += _rows_of(table, split_in_name(path) or "", notes)
    where = paths[0] if len(paths) == 1 else os.path.dirname(paths[0])
    if not rows:
        raise ManifestError(f"{text_of(where)} has no rows; add one for each video")
    finder = PathFinder(videos or src)
    signers, note = signer_numbers(row.signer for row in rows)
    notes += [note] if note else []
    has_splits = any(row.split for row in rows)
    order = order_glosses(((row.gloss, row.class_number) for row in rows), src)
    labels = {gloss: label for label, gloss in enumerate(order.glosses)}
    instances = tuple(
        _instance(
            row,
            finder,
            gloss=order.words[row.gloss],
            label=labels[order.words[row.gloss]],
            split=_checked_split(row) if has_splits else "train",
            signer_id=signers[row.signer],
        )
        for row in rows
    )
    unique_ids(instances, where)
    _check_files(instances, where)
    if not has_splits:
        instances = with_made_splits(instances, SPLIT_SHARES)
    if not any(instance.path for instance in instances):
        reason = why_none_is_found([row.name for row in rows], videos or src)
        raise ManifestError(
            f"none of the {len(rows):,} videos in {text_of(where)} is in "
            f"{text_of(videos or src)}: {reason}"
        )
    notes += [order.note] if order.note else []
    notes += _case_notes(labels, where)
    notes += _spelling_notes(finder)
    return Manifest(
        instances=instances,
        glosses=order.glosses,
        annotations=where,
        labels_from=order.labels_from,
        splits_from="the table" if has_splits else MADE_BY_NAME,
        notes=tuple(notes),
    )


def _rows_of(table: Table, split: str, notes: list[str]) -> list[_Row]:
    """Reads the rows of one table; `split` is that of its name, if it has one."""
    header, name = table.header, text_of(table.path)
    lacking = lacking_columns(header)
    if lacking:
        raise ManifestError(
            f"{name}: line {header.line} must name the columns, and lacks {lacking}: "
            f"{shown(header.first_line)}"
        )
    columns = columns_of(header)
    names = [plain_name(column) for column in header.columns]
    twice = next((n for n in names if n and names.count(n) > 1), None)
    if twice:
        raise ManifestError(
            f"{name}: line {header.line} names the column {shown(twice)} twice; remove "
            "one of them"
        )
    unsure = next((c for c in header.columns if may_be_range(c)), None)
    if unsure and not {"start", "stop"} <= columns.keys():
        raise ManifestError(
            f"{name}: the column {shown(unsure)} may count frames or seconds, from 0 "
            "or from 1; name them start and stop, in frames from 0, stop not included, "
            "or remove it if the videos hold one sign each"
        )
    unused = [
        text_of(column)
        for position, column in enumerate(header.columns)
        if column and position not in columns.values()
    ]
    if unused:
        notes.append(f"columns of {name} that are not used: {', '.join(unused)}")
    required = [columns[meaning] for meaning in ("path", "gloss")]
    required += [columns["split"]] if "split" in columns else []

    def value(values: Sequence[str], meaning: str) -> str:
        return values[columns[meaning]] if meaning in columns else ""

    return [
        _Row(
            place=place,
            name=_checked_name(value(values, "path"), place),
            gloss=_checked_word(value(values, "gloss"), value(values, "path"), place),
            class_number=value(values, "class_number"),
            split=value(values, "split") if "split" in columns else split,
            signer=_signer(value(values, "signer_id")),
            start=_number(value(values, "start"), "start", place),
            stop=_number(value(values, "stop"), "stop", place),
        )
        for place, values in table.rows(required)
    ]


def _instance(
    row: _Row,
    finder: PathFinder,
    *,
    gloss: str,
    label: int,
    split: str,
    signer_id: int,
) -> Instance:
    """Looks for the video of a row, and checks its range."""
    path, problem = finder.find(row.name)
    start, stop = row.start, row.stop
    if (start or 0) < 0 or (stop is not None and stop <= (start or 0)):
        # Before what is wrong with the file: this can be corrected in the table.
        problem = (
            f"no video has the range of frames {start or 0} to {stop} (from 0, the "
            "stop not included)"
        )
        start = stop = None
    return Instance(
        video_id=row.video_id,
        gloss=gloss,
        label=label,
        split=split,
        path=path,
        signer_id=signer_id,
        start=start,
        stop=stop,
        annotation_fps=None,
        problem=problem,
    )


def _check_files(instances: Iterable[Instance], where: str) -> None:
    """Refuses two spellings of one path: its video would have two labels."""
    seen: dict[tuple[str, int | None, int | None], Instance] = {}
    for instance in instances:
        if instance.path is None or instance.problem:
            continue
        key = (instance.path, instance.start, instance.stop)
        other = seen.setdefault(key, instance)
        if other is not instance:
            raise ManifestError(
                f"{text_of(where)}: {shown(other.video_id)} and "
                f"{shown(instance.video_id)} are one file, as {other.gloss!r} in "
                f"{other.split} and as {instance.gloss!r} in {instance.split}; remove "
                "one of the two"
            )


def _spelling_notes(finder: PathFinder) -> list[str]:
    """Names how many files were found under other names than the table has."""
    notes: list[str] = []
    if finder.num_padded:
        notes.append(
            "names found with zeros in front, which a spreadsheet removes: "
            f"{finder.num_padded:,}"
        )
    if finder.num_recased:
        notes.append(f"names found in other capitals: {finder.num_recased:,}")
    return notes


def _checked_name(name: str, place: str) -> str:
    if not name or "\0" in name:
        raise ManifestError(f"{place}: no path")
    return name


def _checked_word(gloss: str, path: str, place: str) -> str:
    """Checks that a row has a gloss, and does not name columns.

    Raises:
        ManifestError: If it has none, or names other columns than the first line.
    """
    if names_columns(path, gloss):
        raise ManifestError(
            f"{place} names columns again, and not those of the first line; make two "
            "tables of it"
        )
    return checked_gloss(gloss, place)


def _checked_split(row: _Row) -> str:
    split = SPLIT_WORDS.get(row.split.lower())
    if split is None:
        raise ManifestError(
            f"{row.place}: split must be train, val or test, got {shown(row.split)}"
        )
    return split


def _signer(text: str) -> str:
    return "" if text.lower() in _NO_NUMBER else text


def _number(text: str, column: str, place: str) -> int | None:
    """Reads a whole number, 120.0 included; None where there is none."""
    if text.lower() in _NO_NUMBER:
        return None
    # No more digits than an int64 of a record takes.
    match = re.fullmatch(r"([+-]?[0-9]{1,18})([.,]0*)?", text)
    # Excel shows 1.2E+02 where a column is narrow.
    if not match and re.fullmatch(r"[0-9]([.,][0-9]{1,9})?[eE]\+?0?[0-9]", text):
        number = float(text.replace(",", "."))
        if number.is_integer():
            return int(number)
    if not match:
        raise ManifestError(
            f"{place}: {column} must be a whole number, got {shown(text)}; count "
            "frames from 0"
        )
    return int(match[1])


def _case_notes(glosses: Iterable[str], where: str) -> list[str]:
    """Names glosses that differ only in capitals: two classes, maybe of one sign."""
    seen: dict[str, str] = {}
    pairs = [
        (other, gloss)
        for gloss in glosses
        if (other := seen.setdefault(gloss.casefold(), gloss)) != gloss
    ]
    if not pairs:
        return []
    first, second = pairs[0]
    return [
        f"glosses of {text_of(where)} that differ only in capitals, and are classes of "
        f"their own: {len(pairs)}, such as {first!r} and {second!r}"
    ]

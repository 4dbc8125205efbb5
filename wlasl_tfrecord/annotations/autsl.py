"""AUTSL: Turkish signs, a table of labels for each split, videos in colour and depth.

    train_labels.csv            signer0_sample1,41            no line with names
    validation_labels.csv, test_labels.csv; from the challenge, ground_truth.csv
    SignList_ClassId_TR_EN.csv  ClassId,TR,EN
    train/signer0_sample1_color.mp4, train/signer0_sample1_depth.mp4, val/…, test/…

A label is the ClassId. A gloss is the Turkish word: two of them are "you" in English.
Only the videos in colour are taken.

Reference:
    Sincan and Keles, "AUTSL: A Large Scale Multi-Modal Turkish Sign Language Dataset
    and Baseline Methods", IEEE Access 2020; https://cvml.ankara.edu.tr/datasets/. The
    files are as https://github.com/AI4Bharat/OpenHands (openhands/datasets/assets) and
    https://github.com/sign-language-processing/datasets have them.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wlasl_tfrecord.annotations.checks import checked_gloss
from wlasl_tfrecord.annotations.csv_table import split_in_name
from wlasl_tfrecord.annotations.manifest import Instance, Manifest
from wlasl_tfrecord.annotations.splits import SPLIT_WORDS
from wlasl_tfrecord.annotations.table import (
    Table,
    is_table_name,
    read_header,
    read_table,
)
from wlasl_tfrecord.annotations.video_paths import video_problem, videos_below
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.text import shown, text_of
from wlasl_tfrecord.video.files import folders_beside, is_folder, list_folder

__all__ = ["autsl_manifest"]

_NAME = re.compile(r"signer([0-9]{1,9})_sample[0-9]{1,9}")
_CLASS = re.compile(r"[0-9]{1,9}")
_TABLE_FOLDERS = {"labels", "label", "annotations", *SPLIT_WORDS}
_SIGN_LIST = "signlist_classid_tr_en.csv"


@dataclass(frozen=True, kw_only=True)
class _Row:
    place: str
    name: str
    class_id: int


def autsl_manifest(src: str) -> Manifest | None:
    """Reads AUTSL; None if no table of its make lies in or beside the folder.

    Args:
        src: The folder that has train/, val/ and test/, or one of these.

    Raises:
        ManifestError: If the tables contradict each other or the folders.
    """
    places = [src, *folders_beside(src)]
    places += [
        entry.path
        for entry in list_folder(src)
        if is_folder(entry) and entry.name.lower() in _TABLE_FOLDERS
    ]
    tables = [
        path
        for path in _tables_in(places)
        if (columns := read_header(path).columns)
        and len(columns) == 2
        and _NAME.fullmatch(columns[0])
    ]
    if not tables:
        return None
    sign_lists = [p for p in _tables_in(places) if p.lower().endswith(_SIGN_LIST)]
    videos = videos_below(src)
    colour = {name: path for path in videos if (name := _colour_name(path))}
    rows, splits = _joined(tables, colour)
    words = _words(sign_lists, [row.class_id for row in rows.values()])
    labels = {class_id: label for label, class_id in enumerate(words)}
    instances: list[Instance] = []
    for name, row in rows.items():
        if row.class_id not in labels:
            raise ManifestError(
                f"{row.place}: class {row.class_id} is not in {sign_lists[0]}"
            )
        path = colour.get(name)
        whole = path and os.path.join(src, path)
        match = _NAME.fullmatch(name)
        instances.append(
            Instance(
                video_id=name,
                gloss=words[row.class_id],
                label=labels[row.class_id],
                split=splits[name],
                path=whole,
                signer_id=int(match[1]) if match else -1,
                problem=whole and video_problem(whole, src),
            )
        )
    depth = sum(_stem(path).endswith("_depth") for path in videos)
    others = [path for name, path in colour.items() if name not in rows]
    notes = [f"videos of depth, which are left out: {depth:,}"] if depth else []
    if others:
        notes.append(
            f"videos without a label: {len(others):,}, such as {text_of(others[0])}"
        )
    return Manifest(
        instances=tuple(instances),
        glosses=tuple(words.values()),
        annotations=os.path.dirname(tables[0]),
        labels_from="ClassId of AUTSL",
        splits_from=", ".join(text_of(os.path.basename(path)) for path in tables),
        notes=tuple(notes),
    )


def _joined(
    tables: Sequence[str], colour: Mapping[str, str]
) -> tuple[dict[str, _Row], dict[str, str]]:
    """Returns the rows of all tables and their splits, by the names of the videos."""
    rows: dict[str, _Row] = {}
    splits: dict[str, str] = {}
    for path in tables:
        for row, split in _with_splits(read_table(path), colour):
            other = rows.setdefault(row.name, row)
            known = (other.class_id, splits.setdefault(row.name, split))
            if known != (row.class_id, split):
                raise ManifestError(
                    f"{row.place}: {row.name} has another class or split in "
                    f"{other.place}; remove one of the two"
                )
    return rows, splits


def _tables_in(places: Sequence[str]) -> list[str]:
    return [
        entry.path
        for place in dict.fromkeys(map(os.path.abspath, places))
        for entry in list_folder(place)
        if is_table_name(entry.name) and os.path.isfile(entry.path)
    ]


def _with_splits(table: Table, colour: Mapping[str, str]) -> Iterator[tuple[_Row, str]]:
    """Yields the rows of a table and their splits.

    The folder of a video says its split; of one that is missing, the name of the table
    or of its folder, or what all the others of the table have.
    """
    rows = list(_rows(table))
    folders = {row.name: _split_of(colour.get(row.name)) for row in rows}
    own = split_in_name(table.path)
    own = own or SPLIT_WORDS.get(os.path.basename(os.path.dirname(table.path)).lower())
    known = {split for split in folders.values() if split}
    if own is None and len(known) == 1:
        own = next(iter(known))
    for row in rows:
        folder = folders[row.name]
        if folder and own and folder != own:
            raise ManifestError(
                f"{row.place}: the video of {row.name} is in the folder of {folder}, "
                f"and the table is that of {own}; move one of them"
            )
        split = folder or own
        if split is None:
            raise ManifestError(
                f"{row.place}: the split of {row.name} is unknown; name the table "
                "train_labels.csv, validation_labels.csv or test_labels.csv"
            )
        yield row, split


def _rows(table: Table) -> Iterator[_Row]:
    header = table.header
    for line, values in ((header.line, header.columns), *table.lines):
        place = f"{text_of(table.path)}: line {line}"
        if (
            len(values) != 2
            or not _NAME.fullmatch(values[0])
            or not _CLASS.fullmatch(values[1])
        ):
            raise ManifestError(
                f"{place} must be like signer0_sample1,41, got "
                f"{shown(','.join(values))}"
            )
        yield _Row(place=place, name=values[0], class_id=int(values[1]))


def _words(sign_lists: Sequence[str], class_ids: Collection[int]) -> dict[int, str]:
    """Returns the gloss of every class, in the order of their numbers."""
    if not sign_lists:
        return {class_id: str(class_id) for class_id in sorted(set(class_ids))}
    table = read_table(sign_lists[0])
    if [name.lower() for name in table.header.columns[:2]] != ["classid", "tr"]:
        raise ManifestError(
            f"{text_of(table.path)}: line {table.header.line} must be "
            f"ClassId,TR,EN, got {shown(table.header.first_line)}"
        )
    words: dict[int, str] = {}
    for place, values in table.rows([0, 1]):
        if not _CLASS.fullmatch(values[0]):
            raise ManifestError(
                f"{place}: ClassId must be a whole number, got {shown(values[0])}"
            )
        words[int(values[0])] = checked_gloss(values[1], place)
    if len(set(words.values())) < len(words):
        raise ManifestError(f"{text_of(table.path)}: a word occurs twice in column TR")
    return dict(sorted(words.items()))


def _split_of(path: str | None) -> str | None:
    folders = os.path.dirname(path or "").lower().split(os.sep)
    return next((SPLIT_WORDS[name] for name in folders if name in SPLIT_WORDS), None)


def _colour_name(path: str) -> str | None:
    name = _stem(path).removesuffix("_color")
    return name if _NAME.fullmatch(name) else None


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]

"""The label files in and beside a folder of videos: which, and of what format."""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from wlasl_tfrecord.annotations.class_list import CLASS_LIST_FILE, read_class_list
from wlasl_tfrecord.annotations.csv_columns import has_all_columns, lacking_columns
from wlasl_tfrecord.annotations.csv_table import split_in_name
from wlasl_tfrecord.annotations.manifest import Manifest
from wlasl_tfrecord.annotations.table import is_table_name, read_header
from wlasl_tfrecord.annotations.wlasl_json import load_json, wlasl_manifest
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.files import open_regular
from wlasl_tfrecord.shard_format.layout import (
    FAILURE_COLUMNS,
    FEATURES_FILE,
    INDEX_FILE,
    INFO_FILE,
    REPORT_FILE,
)
from wlasl_tfrecord.shard_format.record_table import RECORD_COLUMNS
from wlasl_tfrecord.text import shown, text_of
from wlasl_tfrecord.video.files import folders_beside, list_folder

__all__ = [
    "FileFormat",
    "LabelFiles",
    "annotation_file",
    "class_list_beside",
    "find_label_files",
    "format_of",
    "names_of_videos",
    "wlasl_beside",
]

FileFormat = Literal["wlasl", "nslt", "csv"]

# Labels, but in files that only an office program reads.
_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
# Other text files, in which people keep labels too.
_OTHER_SUFFIXES = (".jsonl", ".ndjson", ".xml", ".yaml", ".yml", ".lst", ".list")
# Texts that name files and have no labels.
_NO_LABELS = re.compile(r"readme|licen[cs]e|sha\d|md5|checksum|missing|requirements")
# Enough to see whether a text names some of the videos.
_HEAD_BYTES = 200_000
# Where people put them, besides the folder of the videos itself.
_LABEL_FOLDERS = ("annotations", "labels", "metadata", "splits")
_OWN_FILES = (REPORT_FILE, INFO_FILE, FEATURES_FILE, INDEX_FILE)
# How our own tables begin, which lie here if shards or runs are written here: the
# failures, the tables of records, and the history of a training.
_OWN_COLUMNS = (
    FAILURE_COLUMNS,
    tuple(column for column, _, _ in RECORD_COLUMNS),
    ("phase", "epoch", "learning_rate"),
)


@dataclass(frozen=True, kw_only=True)
class LabelFiles:
    """The files with labels that were found in and beside a folder of videos.

    Attributes:
        complete: The file that says of every video where it lies, its gloss and its
            split; None if there is none. Of several places the nearest one wins.
        partial: Tables of one place that have no splits, or ids for paths, or that are
            one for each split.
        unread: Reasons why tables and spreadsheets are not understood, a line each.
        others: Text files of any other kind, which may have labels.
    """

    complete: str | None
    partial: tuple[str, ...]
    unread: tuple[str, ...]
    others: tuple[str, ...]


def find_label_files(src: str, subset: int | None) -> LabelFiles:
    """Looks for labels in and beside a folder, and in folders of labels in both.

    Args:
        src: The folder of videos.
        subset: Which of several nslt_K.json is meant; None if unknown.

    Raises:
        ManifestError: If several complete files of one folder could be meant.
    """
    complete: str | None = None
    partial: tuple[str, ...] = ()
    unread: list[str] = []
    others: list[str] = []
    for place in (src, *folders_beside(src)):
        for directory in (place, *(os.path.join(place, f) for f in _LABEL_FOLDERS)):
            found = _label_files_of(directory)
            complete = complete or _only_complete(directory, found, subset)
            # Several complete ones are left only if they are one for each split.
            several = found.csv if len(found.csv) > 1 else []
            partial = partial or tuple(found.partial + several)
            unread += found.unread
            others += found.others
    return LabelFiles(
        complete=complete,
        partial=partial,
        unread=tuple(unread),
        others=tuple(others),
    )


def names_of_videos(path: str, videos: Collection[str]) -> list[str]:
    """Returns which videos a text file names at its beginning.

    Args:
        path: A file of any kind.
        videos: The paths of the videos. Those count whose file names are in the text;
            names without a suffix do, if they are no short words or numbers.

    Raises:
        ManifestError: If the file cannot be read.
    """
    try:
        with open(path, "rb", opener=open_regular) as file:
            text = file.read(_HEAD_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise ManifestError(f"cannot read {text_of(path)}: {error.strerror}") from error
    words = set(re.split(r"""[\s"',;|/\\<>:=()\[\]{}]+""", text))
    named: list[str] = []
    for video in videos:
        name = os.path.basename(video)
        stem = os.path.splitext(name)[0]
        is_telling = len(stem) >= 5 and any(map(str.isdigit, stem))
        if name in words or (is_telling and stem in words):
            named.append(video)
    return named


def annotation_file(path: str, subset: int | None) -> str:
    """Returns the annotation file that a user named, perhaps by its folder.

    Raises:
        ManifestError: If there is none, or several files of the folder could be meant.
    """
    if os.path.isdir(path):
        files = _label_files_of(path)
        found = _only_complete(path, files, subset)
        if found is None and len(files.partial) == 1:
            found = files.partial[0]
        if found is None:
            reasons = "".join(f"; {reason}" for reason in files.unread[:1])
            raise ManifestError(
                f"no annotation file in {path}; name the file itself{reasons}"
            )
        return found
    if not os.path.isfile(path):
        raise ManifestError(
            f"no annotation file at '{text_of(path)}'; check --annotations"
        )
    return path


def format_of(path: str) -> FileFormat | None:
    """Returns the format of a file by its name or by how it begins."""
    name = os.path.basename(path).lower()
    if is_table_name(name):
        return "csv" if lacking_columns(read_header(path)) is None else None
    if re.fullmatch(r"nslt_\d+\.json", name):
        return "nslt"
    if re.fullmatch(r"wlasl_v[\d.]+\.json", name):
        return "wlasl"
    try:
        with open(
            path, encoding="utf-8-sig", errors="replace", opener=open_regular
        ) as file:
            # Enough for WLASL's first gloss, and for a few of nslt's videos.
            head = file.read(2000).lstrip()
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}") from error
    if head.startswith("[") and '"gloss"' in head:
        return "wlasl"
    # By the first video alone. Further down, our own index.json may have both words
    # too: an option, and a gloss.
    if re.match(r'\{\s*"[^"]*"\s*:\s*\{\s*"(subset|action)"\s*:', head):
        return "nslt"
    if not name.endswith(".json") and lacking_columns(read_header(path)) is None:
        return "csv"
    return None


def class_list_beside(directories: Sequence[str]) -> tuple[str, ...] | None:
    """Reads the first list of words that lies in one of the folders."""
    for directory in directories:
        path = os.path.join(directory, CLASS_LIST_FILE)
        if os.path.isfile(path):
            return read_class_list(path)
    return None


def wlasl_beside(directories: Sequence[str]) -> Manifest | None:
    """Reads the first WLASL_v*.json that lies in one of the folders."""
    for directory in directories:
        for entry in list_folder(directory) if os.path.isdir(directory) else ():
            is_named = re.fullmatch(r"WLASL_v[\d.]+\.json", entry.name, re.IGNORECASE)
            # A pipe of that name would never end.
            if is_named and os.path.isfile(entry.path):
                return wlasl_manifest(load_json(entry.path), entry.path)
    return None


@dataclass(frozen=True, kw_only=True)
class _Found:
    """The label files of one folder."""

    wlasl: list[str] = field(default_factory=list)
    nslt: list[str] = field(default_factory=list)
    csv: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def _label_files_of(directory: str) -> _Found:
    found = _Found()
    for path in _files_of(directory):
        name = os.path.basename(path).lower()
        if is_table_name(name):
            _add_table(path, found)
        elif name.endswith(".txt"):
            # Most are notes. A table says so in its first line.
            if lacking_columns(read_header(path)) is None:
                _add_table(path, found)
            elif not _NO_LABELS.search(name):
                found.others.append(path)
        elif name.endswith(_SPREADSHEETS):
            found.unread.append(
                f"{text_of(path)} is a spreadsheet; save it as CSV (UTF-8)"
            )
        elif name.endswith(".json"):
            kind = format_of(path)
            if kind == "wlasl":
                found.wlasl.append(path)
            elif kind == "nslt":
                found.nslt.append(path)
            elif name not in _OWN_FILES:
                found.others.append(path)
        elif name.endswith(_OTHER_SUFFIXES):
            found.others.append(path)
    return found


def _files_of(directory: str) -> Iterator[str]:
    if os.path.isdir(directory):
        for entry in list_folder(directory):
            # Office programs write ~$labels.xlsx while labels.xlsx is open.
            if not entry.name.startswith("~") and os.path.isfile(entry.path):
                yield entry.path


def _add_table(path: str, found: _Found) -> None:
    header = read_header(path)
    if any(header.columns[: len(own)] == own for own in _OWN_COLUMNS):
        return
    lacking = lacking_columns(header)
    if lacking:
        found.unread.append(
            f"{text_of(path)} is not understood: line {header.line}, which names the "
            f"columns, lacks {lacking}: {shown(header.first_line)}"
        )
    elif has_all_columns(header):
        found.csv.append(path)
    else:
        found.partial.append(path)


def _only_complete(directory: str, found: _Found, subset: int | None) -> str | None:
    """Chooses the complete file of a folder.

    WLASL is handed around with its JSON and all four nslt files side by side. They
    agree, and the JSON knows most, so it goes before them.

    Raises:
        ManifestError: If several could be meant.
    """
    nslt = found.nslt
    if len(nslt) > 1 and subset is not None:
        nslt = [p for p in nslt if os.path.basename(p) == f"nslt_{subset}.json"] or nslt
    if len(found.csv) > 1 and all(map(split_in_name, found.csv)):
        # One for each split: the reader takes them together.
        return None
    candidates = found.csv + (found.wlasl or nslt)
    if len(candidates) > 1:
        names = ", ".join(text_of(os.path.basename(path)) for path in candidates)
        raise ManifestError(
            f"{text_of(directory)} has several annotation files: {names}; name one "
            "with --annotations, or say --annotations none if folders name the glosses"
        )
    return candidates[0] if candidates else None

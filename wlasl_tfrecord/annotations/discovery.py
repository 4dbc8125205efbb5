"""The annotation files in and beside a folder of videos: which, and of what format."""

import os
import re
from collections.abc import Sequence
from typing import Literal

from wlasl_tfrecord.annotations.class_list import CLASS_LIST_FILE, read_class_list
from wlasl_tfrecord.annotations.csv_table import csv_columns
from wlasl_tfrecord.annotations.manifest import Manifest
from wlasl_tfrecord.annotations.wlasl_json import load_json, wlasl_manifest
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.shard_format.layout import FAILURE_COLUMNS
from wlasl_tfrecord.text import text_of
from wlasl_tfrecord.video.files import folders_beside, list_folder

__all__ = [
    "AnnotationFormat",
    "annotation_file",
    "class_list_beside",
    "find_annotations",
    "format_of",
    "wlasl_beside",
]

AnnotationFormat = Literal["wlasl", "nslt", "csv"]


def find_annotations(src: str, subset: int | None) -> str | None:
    """Looks for annotations in and beside a folder; the nearest place wins.

    Args:
        src: The folder of videos.
        subset: Which of several nslt_K.json is meant; None if nobody said.

    Returns:
        The path of the file; None if there is none.

    Raises:
        ManifestError: If several files of one folder could be meant.
    """
    for place in (src, *folders_beside(src)):
        for directory in (place, os.path.join(place, "annotations")):
            found = _only_candidate(directory, subset)
            if found:
                return found
    return None


def annotation_file(path: str, subset: int | None) -> str:
    """Gives the annotation file that a user named, perhaps by its folder.

    Raises:
        ManifestError: If there is none, or several files of the folder could be meant.
    """
    if os.path.isdir(path):
        found = _only_candidate(path, subset)
        if found is None:
            raise ManifestError(f"no annotation file in {path}; name the file itself")
        return found
    if not os.path.isfile(path):
        raise ManifestError(
            f"no annotation file at '{text_of(path)}'; check --annotations"
        )
    return path


def format_of(path: str) -> AnnotationFormat | None:
    """Tells the format of a file by its name or by how it begins."""
    name = os.path.basename(path).lower()
    if name.endswith(".csv"):
        columns = csv_columns(path)
        # Our own list of failures lies here if the shards are written here.
        if tuple(columns) == FAILURE_COLUMNS:
            return None
        return "csv" if {"path", "gloss", "split"} <= set(columns) else None
    if re.fullmatch(r"nslt_\d+\.json", name):
        return "nslt"
    if re.fullmatch(r"wlasl_v[\d.]+\.json", name):
        return "wlasl"
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            # Enough for WLASL's first gloss, and for a few of nslt's videos.
            head = file.read(2000).lstrip()
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}") from error
    if head.startswith("[") and '"gloss"' in head:
        return "wlasl"
    # Its first video says so. Further down, our own index.json may have both words too:
    # an option, and a gloss.
    if re.match(r'\{\s*"[^"]*"\s*:\s*\{\s*"(subset|action)"\s*:', head):
        return "nslt"
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


def _only_candidate(directory: str, subset: int | None) -> str | None:
    """Chooses the annotation file of a folder.

    WLASL is handed around with its JSON and all four nslt files side by side. They
    agree, and the JSON knows most, so it goes before them.

    Raises:
        ManifestError: If several could be meant.
    """
    by_format: dict[AnnotationFormat, list[str]] = {"wlasl": [], "nslt": [], "csv": []}
    if not os.path.isdir(directory):
        return None
    for entry in list_folder(directory):
        if entry.name.lower().endswith((".json", ".csv")) and os.path.isfile(
            entry.path
        ):
            kind = format_of(entry.path)
            if kind:
                by_format[kind].append(entry.path)
    nslt = by_format["nslt"]
    if len(nslt) > 1 and subset is not None:
        nslt = [p for p in nslt if os.path.basename(p) == f"nslt_{subset}.json"] or nslt
    candidates = by_format["csv"] + (by_format["wlasl"] or nslt)
    if len(candidates) > 1:
        names = ", ".join(text_of(os.path.basename(path)) for path in candidates)
        raise ManifestError(
            f"{text_of(directory)} has several annotation files: {names}; name one "
            "with --annotations, or move them away if folders name the glosses"
        )
    return candidates[0] if candidates else None

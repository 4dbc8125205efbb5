"""The Sem-Lex Benchmark: American signs, one table, videos named by their ids.

    semlex_metadata.csv   ,video_id,signer_id,duration,split,label_type,label,…
    train/<video_id>.webm, val/…, test/…

Labels are in alphabetical order. The table has some videos twice: rows that agree are
one; of others, the row of the test split is kept before that of val, and that of val
before that of train, so that no model is tested on what it was trained with. A row
with the label "na" has none, and is left out.

Reference:
    Kezar et al., "The Sem-Lex Benchmark: Modeling ASL Signs and Their Phonemes", ASSETS
    2023; https://github.com/leekezar/SemLex. The columns are those that
    https://github.com/sign-language-processing/datasets and pose-evaluation read; the
    repeated rows are counted in https://github.com/cleong110/sign-language-gloss-utils.
"""

import os
import re
import unicodedata

from wlasl_tfrecord.annotations.checks import checked_gloss, checked_id, checked_split
from wlasl_tfrecord.annotations.manifest import Instance, Manifest
from wlasl_tfrecord.annotations.signers import signer_numbers
from wlasl_tfrecord.annotations.table import is_table_name, read_header, read_table
from wlasl_tfrecord.annotations.video_paths import video_problem, videos_below
from wlasl_tfrecord.video.files import folders_beside, list_folder

__all__ = ["sem_lex_manifest"]

_FILE = re.compile(r"sem[_-]?lex.*\.csv", re.IGNORECASE)
_COLUMNS = ("video_id", "signer_id", "split", "label")
# No other table has it.
_OWN_COLUMN = "label_type"
_FIRST = ("test", "val", "train")


def sem_lex_manifest(src: str) -> Manifest | None:
    """Reads Sem-Lex; None if its table lies neither in nor beside the folder.

    Args:
        src: The folder that has the videos, in folders of any name or in none.

    Raises:
        ManifestError: If the table is damaged.
    """
    path = _table_of(src)
    if path is None:
        return None
    table = read_table(path)
    columns = {name: table.header.columns.index(name) for name in _COLUMNS}
    rows: dict[str, dict[str, str]] = {}
    num_twice = num_unlabelled = 0
    for place, values in table.rows(list(columns.values())):
        row = {name: values[column] for name, column in columns.items()}
        video_id = checked_id(row["video_id"], place)
        if row["label"] == "na":
            num_unlabelled += 1
            continue
        checked_split(row, "split", place)
        row["label"] = checked_gloss(row["label"], place)
        other = rows.setdefault(video_id, row)
        if other is not row:
            num_twice += 1
            if _FIRST.index(row["split"]) < _FIRST.index(other["split"]):
                rows[video_id] = row
    glosses = sorted({row["label"] for row in rows.values()})
    labels = {gloss: label for label, gloss in enumerate(glosses)}
    signers, note = signer_numbers(row["signer_id"] for row in rows.values())
    found = {_stem(path): path for path in reversed(videos_below(src))}
    paths = {
        video_id: os.path.join(src, found[video_id])
        for video_id in rows
        if video_id in found
    }
    notes = [note] if note else []
    if num_twice:
        notes.append(f"rows of a video that occurs before, left out: {num_twice:,}")
    if num_unlabelled:
        notes.append(f"rows with the label 'na', left out: {num_unlabelled:,}")
    return Manifest(
        instances=tuple(
            Instance(
                video_id=video_id,
                gloss=row["label"],
                label=labels[row["label"]],
                split=row["split"],
                path=paths.get(video_id),
                signer_id=signers[row["signer_id"]],
                problem=(
                    video_problem(paths[video_id], src) if video_id in paths else None
                ),
            )
            for video_id, row in rows.items()
        ),
        glosses=tuple(glosses),
        annotations=path,
        labels_from="alphabetical order",
        splits_from="the table",
        notes=tuple(notes),
    )


def _table_of(src: str) -> str | None:
    for place in (src, *folders_beside(src)):
        for entry in list_folder(place):
            if not is_table_name(entry.name) or not os.path.isfile(entry.path):
                continue
            columns = set(read_header(entry.path).columns)
            is_own = _OWN_COLUMN in columns or _FILE.fullmatch(entry.name)
            if is_own and set(_COLUMNS) <= columns:
                return entry.path
    return None


def _stem(path: str) -> str:
    return unicodedata.normalize("NFC", os.path.splitext(os.path.basename(path))[0])

"""A plain table of videos, so that any sign data set works: path, gloss, split."""

import csv
import os

from wlasl_tfrecord.annotations.checks import checked_gloss, unique_ids
from wlasl_tfrecord.annotations.manifest import UNKNOWN_SIGNER, Instance, Manifest
from wlasl_tfrecord.annotations.splits import SPLIT_WORDS
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.text import shown, text_of
from wlasl_tfrecord.video.files import file_problem, is_inside

__all__ = ["csv_columns", "csv_manifest"]

_REQUIRED = ("path", "gloss", "split")
_OPTIONAL = ("start", "stop", "signer_id")


def csv_columns(path: str) -> list[str]:
    """Reads the first line of a table; nothing if it has none.

    Raises:
        ManifestError: If it cannot be read.
    """
    try:
        # In bytes, so that only this line need be text in UTF-8.
        with open(path, "rb") as file:
            line = file.readline(10_000).decode("utf-8-sig", "replace")
        return [name.strip() for name in next(csv.reader([line]))]
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}") from error
    except (csv.Error, StopIteration):
        return []


def csv_manifest(path: str, src: str) -> Manifest:
    """Reads `path,gloss,split[,start,stop,signer_id]`, with these names in line 1.

    Paths are relative to `src` and stay inside it. `start` and `stop` count frames of
    that very file from 0, `stop` not included. Labels follow the first appearance of
    each gloss. An id is the path, with `#start-stop` where the row has a range.

    Args:
        path: The table.
        src: The folder of videos.

    Returns:
        The manifest, its instances in the order of the rows.

    Raises:
        ManifestError: If the table cannot be read, or a row is not of that form; the
            message names the line.
    """
    columns = csv_columns(path)
    lacking = [name for name in _REQUIRED if name not in columns]
    if lacking:
        raise ManifestError(
            f"{path}: line 1 must name the columns path, gloss and split, separated by "
            f"commas, got {shown(','.join(columns))}"
        )
    if len(set(columns)) != len(columns):
        raise ManifestError(f"{path}: line 1 names a column twice: {shown(columns)}")
    instances: list[Instance] = []
    labels: dict[str, int] = {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            next(rows)
            for values in rows:
                if not values:
                    continue
                place = f"{path}: line {rows.line_num}"
                if len(values) != len(columns):
                    raise ManifestError(
                        f"{place} has {len(values)} values, line 1 names {len(columns)}"
                    )
                row = {name: value.strip() for name, value in zip(columns, values)}
                gloss = checked_gloss(row["gloss"], place)
                label = labels.setdefault(gloss, len(labels))
                instances.append(_instance(row, gloss, label, src, place))
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not text in UTF-8: {error.reason}") from error
    except csv.Error as error:
        raise ManifestError(f"{path} is no table of values: {error}") from error
    if not instances:
        raise ManifestError(f"{path} has no rows; add one for each video")
    unique_ids(instances, path)
    ignored = [
        name for name in columns if name not in _REQUIRED and name not in _OPTIONAL
    ]
    notes = [f"columns of {path} that mean nothing here: {', '.join(ignored)}"]
    return Manifest(
        instances=tuple(instances),
        glosses=tuple(labels),
        annotations=path,
        notes=tuple(notes if ignored else ()),
    )


def _instance(
    row: dict[str, str], gloss: str, label: int, src: str, place: str
) -> Instance:
    """Checks one row."""
    name = row["path"]
    if not name or "\0" in name:
        raise ManifestError(f"{place}: no path")
    split = SPLIT_WORDS.get(row["split"].lower())
    if split is None:
        raise ManifestError(
            f"{place}: split must be train, val or test, got {shown(row['split'])}"
        )
    start = _number(row, "start", place)
    stop = _number(row, "stop", place)
    signer_id = _number(row, "signer_id", place)
    path, problem = _locate(name, src)
    if (start or 0) < 0 or (stop is not None and stop <= (start or 0)):
        # Before what is wrong with the file: this can be mended in the table.
        problem = (
            f"no video has the range of frames {start or 0} to {stop} (from 0, the "
            "stop not included)"
        )
        start = stop = None
    ranged = bool(row.get("start") or row.get("stop"))
    interval = f"#{row.get('start', '')}-{row.get('stop', '')}"
    return Instance(
        video_id=text_of(name) + (interval if ranged else ""),
        gloss=gloss,
        label=label,
        split=split,
        path=path,
        signer_id=UNKNOWN_SIGNER if signer_id is None else max(signer_id, -1),
        start=start,
        stop=stop,
        annotation_fps=None,
        problem=problem,
    )


def _locate(name: str, src: str) -> tuple[str | None, str | None]:
    """Looks for the video of a row; an absolute path counts too, if inside `src`."""
    path = os.path.normpath(os.path.join(src, name))
    try:
        # Asked first: whether a file outside exists is nobody's business either.
        if not is_inside(path, src):
            return None, f"its path leads outside {text_of(src)}"
        if not os.path.lexists(path):
            return None, None
    except (OSError, ValueError) as error:
        return None, f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return path, file_problem(path, src)


def _number(row: dict[str, str], column: str, place: str) -> int | None:
    """Reads a whole number; None where there is none."""
    text = row.get(column, "")
    if not text:
        return None
    # No more digits than an int64 of a record takes.
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise ManifestError(
            f"{place}: {column} must be a whole number, got {shown(text)}; "
            "count frames from 0 and number the signers"
        )
    return int(text)

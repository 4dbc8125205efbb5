"""The columns of a table of videos: what people call them, and what they mean."""

import re
import unicodedata
from collections.abc import Mapping

from wlasl_tfrecord.annotations.table import Header

__all__ = [
    "columns_of",
    "has_all_columns",
    "lacking_columns",
    "may_be_range",
    "names_columns",
    "plain_name",
]

# What people call the columns, in small letters without blanks and dashes. Where a
# table has several of one meaning, the first here is taken: a word goes before a class,
# which may be its number.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "path": (
        *("path", "filepath", "videopath", "relativepath", "relpath"),
        *("videofile", "videofilename", "videoname", "video", "videos"),
        *("filename", "file", "files", "clippath", "clipname", "clip"),
        *("videoid", "clipid", "fileid"),
    ),
    "gloss": (
        *("gloss", "glosses", "glossname", "word", "words", "sign", "signname"),
        *("labelname", "classname", "labeltext", "label", "labels", "class"),
        *("classes", "target"),
    ),
    "split": ("split", "splits", "subset", "set", "partition", "datasplit"),
    "start": ("start",),
    "stop": ("stop",),
    "signer_id": (
        *("signerid", "signer", "signers", "participantid", "participant"),
        *("subjectid", "subject", "personid", "person", "userid", "user"),
        *("speakerid", "speaker", "performer"),
    ),
}
# A second column of classes beside the glosses: their numbers.
_CLASS_NUMBERS = (
    *("labelid", "labelindex", "classid", "classindex", "classnumber", "glossid"),
    *("glossindex", "label", "labels", "class", "classes", "target"),
)
# These say which video it is, but not where it lies.
_ONLY_IDS = ("videoid", "clipid", "fileid")
# Columns of other tables that cut a sign out of a video. Whether they count from 0 or
# from 1, frames or seconds, with or without the last one, nobody can see.
_OTHER_RANGES = re.compile(
    r"(json)?(begin|end|(start|stop|end|begin|first|last)(frame|time|sec|seconds|ms)|"
    r"frame(start|stop|end|begin)|time(start|stop|end|begin))"
)


def columns_of(header: Header) -> dict[str, int]:
    """Finds the columns that mean something, by their usual names in any case.

    Returns:
        Meaning -> column, from 0: of path, gloss, class_number, split, start, stop and
        signer_id those that the table has.

    >>> columns_of(read_header("labels.csv"))  # doctest: +SKIP
    {'path': 1, 'gloss': 0}
    """
    names = [plain_name(column) for column in header.columns]
    found: dict[str, int] = {}
    for meaning, known in _NAMES.items():
        column = next((names.index(name) for name in known if name in names), None)
        if column is not None:
            found[meaning] = column
    others = [name for name in _CLASS_NUMBERS if name in names]
    numbers = [names.index(name) for name in others]
    column = next((c for c in numbers if c != found.get("gloss")), None)
    if column is not None and "gloss" in found:
        found["class_number"] = column
    return found


def lacking_columns(header: Header) -> str | None:
    """Returns which columns a table lacks to be understood; None if it has them."""
    found = columns_of(header)
    lacking = [
        f"one for the {what} ({', '.join(_NAMES[meaning][:1] + examples)} …)"
        for meaning, what, examples in (
            ("path", "video", ("video", "file", "filename")),
            ("gloss", "gloss", ("label", "word", "class")),
        )
        if meaning not in found
    ]
    return " and ".join(lacking) or None


def has_all_columns(header: Header) -> bool:
    """Returns whether a table says of itself where its videos lie, and their splits."""
    found = columns_of(header)
    if not {"path", "gloss", "split"} <= found.keys():
        return False
    return plain_name(header.columns[found["path"]]) not in _ONLY_IDS


def names_columns(path: str, gloss: str) -> bool:
    """Returns whether a row has names of columns where video and gloss should be."""
    known = (*_NAMES["path"], *_NAMES["gloss"])
    return plain_name(gloss) in known and plain_name(path) in known


def may_be_range(column: str) -> bool:
    """Returns whether a column may say where signs begin or end, but not in what."""
    return bool(_OTHER_RANGES.fullmatch(plain_name(column)))


def plain_name(column: str) -> str:
    """Returns the name of a column in small letters without blanks and dashes."""
    return re.sub(r"[\s_\-.]", "", unicodedata.normalize("NFKC", column)).casefold()

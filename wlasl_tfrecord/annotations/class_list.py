"""A list of glosses, which fixes their labels: wlasl_class_list.txt, classes.txt."""

import os

from wlasl_tfrecord.annotations.checks import checked_gloss
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.files import open_small
from wlasl_tfrecord.text import shown

__all__ = ["CLASSES_FILE", "CLASS_LIST_FILE", "read_class_list"]

# WLASL's own, for the nslt files.
CLASS_LIST_FILE = "wlasl_class_list.txt"
# For class folders, whose labels follow the names of the folders without it.
CLASSES_FILE = "classes.txt"


def read_class_list(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Reads a list of words: one a line, with or without its index and a tab before.

    Returns:
        The words, by label.

    Raises:
        ManifestError: If it cannot be read, an index is out of order, or a word occurs
            twice.
    """
    try:
        with open(path, encoding="utf-8-sig", opener=open_small) as file:
            lines = [line for line in file.read().split("\n") if line.strip()]
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not text in UTF-8: {error.reason}") from error
    words: list[str] = []
    for label, line in enumerate(lines):
        index, tab, word = line.partition("\t")
        if tab and index.strip() != str(label):
            raise ManifestError(
                f"{path}: line {label + 1} must start with index {label}, got "
                f"{shown(index)}"
            )
        words.append(checked_gloss(word if tab else line, f"{path}: line {label + 1}"))
    if len(set(words)) != len(words):
        twice = next(word for word in words if words.count(word) > 1)
        raise ManifestError(f"{path}: {twice!r} occurs twice")
    return tuple(words)

"""INCLUDE: Indian signs, a folder for each category and in it one for each sign.

    Seasons/63. Winter/MVI_4997.MOV, Seasons/Ex. Monsoon/MVI_4672.MOV
    Places/19. House/Extra/MVI_3439.MOV     further videos of the sign above
    train_test_paths/include_train.txt      Seasons/63. Winter/MVI_4997.MOV
    train_test_paths/include_val.txt, include_test.txt; include50_….txt for 50 signs
    Train_Test_Split/train_include.csv      Category,Word,Video,FilePath
    Train_Test_Split/test_include.csv; …_include50.csv for 50 signs

The lists of videos fix the splits; they come with the authors' code, not with the
videos. Without them splits are made. A gloss is the name of its folder without the
number. Labels are in the order of the letters in that name ("Ex" too), as in the
authors' label maps. Who signs is not published.

Reference:
    Sridhar et al., "INCLUDE: A Large Scale Dataset for Indian Sign Language
    Recognition", ACM Multimedia 2020; https://zenodo.org/records/4010759;
    https://github.com/AI4Bharat/INCLUDE (train_test_paths, label_maps) and
    https://github.com/AI4Bharat/OpenHands (openhands/datasets/assets/include_metadata).
"""

import os
import re
from collections.abc import Mapping

from wlasl_tfrecord.annotations.checks import checked_gloss
from wlasl_tfrecord.annotations.manifest import Instance, Manifest
from wlasl_tfrecord.annotations.splits import (
    MADE_BY_NAME,
    SPLIT_SHARES,
    with_made_splits,
    with_made_val,
)
from wlasl_tfrecord.annotations.table import read_table
from wlasl_tfrecord.annotations.video_paths import video_problem, videos_below
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.files import open_small
from wlasl_tfrecord.text import text_of
from wlasl_tfrecord.video.files import folders_beside, is_folder, list_folder

__all__ = ["include_manifest"]

_NUMBERED = re.compile(r"(?:[0-9]+|Ex)\. ?(\S.*)")
# Which list is that of which split: of all signs first, then those of the 50.
_LISTS = tuple(
    {split: name.format(split) for split in ("train", "val", "test")}
    for name in (
        *("include_{}.txt", "{}_include.csv"),
        *("include50_{}.txt", "{}_include50.csv"),
    )
)
_LIST_FOLDERS = ("", "train_test_paths", "Train_Test_Split")


def include_manifest(src: str) -> Manifest | None:
    """Reads INCLUDE; None if the folder has no folders of categories of numbered signs.

    Args:
        src: The folder of the categories.

    Raises:
        ManifestError: If a list of videos is damaged, or a folder cannot be read.
    """
    if not _has_numbered_signs(src):
        return None
    there: dict[str, str] = {}
    for path in videos_below(src):
        key = _key(path.split(os.sep))
        if key:
            there[key] = path
    if not there:
        return None
    listed, splits_from = _listed_splits(src)
    splits = listed or dict.fromkeys(there, "train")
    words = {key: checked_gloss(_word(key), key) for key in splits}
    letters = {words[key]: _letters(key.split("/")[1]) for key in sorted(splits)}
    glosses = sorted(letters, key=lambda word: (letters[word], word))
    labels = {gloss: label for label, gloss in enumerate(glosses)}
    others = [path for key, path in there.items() if key not in splits]
    notes: list[str] = []
    if others:
        notes.append(
            f"videos that the lists do not name: {len(others):,}, such as "
            f"{text_of(others[0])}"
        )
    paths = {key: os.path.join(src, there[key]) for key in splits if key in there}
    instances = tuple(
        Instance(
            video_id=text_of(key),
            gloss=words[key],
            label=labels[words[key]],
            split=split,
            path=paths.get(key),
            problem=video_problem(paths[key], src) if key in paths else None,
        )
        for key, split in splits.items()
    )
    if not listed:
        instances = with_made_splits(instances, SPLIT_SHARES)
    elif "val" not in listed.values():
        instances = with_made_val(instances)
    return Manifest(
        instances=instances,
        glosses=tuple(glosses),
        annotations=src,
        labels_from="letters of the names of folders",
        splits_from=splits_from or MADE_BY_NAME,
        notes=tuple(notes),
    )


def _has_numbered_signs(src: str) -> bool:
    """Returns whether most folders in the folders of `src` have a number and a word."""
    names = [
        sign.name
        for category in list_folder(src)
        if is_folder(category)
        for sign in list_folder(category.path)
        if is_folder(sign)
    ]
    return 2 * sum(bool(_NUMBERED.fullmatch(name)) for name in names) > len(names) > 0


def _key(parts: list[str]) -> str | None:
    """Returns `<category>/<sign>[/Extra]/<video>`, as the lists have it."""
    size = 4 if len(parts) > 3 and parts[-2].lower() == "extra" else 3
    return "/".join(parts[-size:]) if len(parts) >= size else None


def _word(key: str) -> str:
    folder = key.split("/")[1]
    match = _NUMBERED.fullmatch(folder)
    return match[1] if match else folder


def _letters(word: str) -> str:
    return "".join(filter(str.isalpha, word)).lower()


def _listed_splits(src: str) -> tuple[dict[str, str], str | None]:
    """Reads the published lists; nothing if they lie neither in nor beside `src`."""
    for place in (src, *folders_beside(src)):
        for folder in _LIST_FOLDERS:
            for names in _LISTS:
                files = {
                    split: path
                    for split, name in names.items()
                    if os.path.isfile(path := os.path.join(place, folder, name))
                }
                if "train" in files:
                    return _read_lists(files)
    return {}, None


def _read_lists(files: Mapping[str, str]) -> tuple[dict[str, str], str]:
    splits: dict[str, str] = {}
    for split, path in files.items():
        for key in _listed_videos(path):
            if splits.setdefault(key, split) != split:
                raise ManifestError(
                    f"{text_of(path)}: {text_of(key)} is in {splits[key]} too; remove "
                    "one of the two"
                )
    splits_from = f"{text_of(os.path.basename(files['train']))} and those beside it"
    if "val" not in files:
        splits_from += "; no val, so a fifth of train is val"
    return splits, splits_from


def _listed_videos(path: str) -> list[str]:
    if path.endswith(".csv"):
        table = read_table(path)
        column = next(
            (k for k, n in enumerate(table.header.columns) if n.lower() == "filepath"),
            None,
        )
        if column is None:
            raise ManifestError(f"{text_of(path)}: line 1 names no column FilePath")
        keys = [values[column] for _, values in table.rows([column])]
    else:
        try:
            with open(path, encoding="utf-8-sig", opener=open_small) as file:
                keys = [line.strip() for line in file if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise ManifestError(f"cannot read {text_of(path)}: {error}") from error
    wrong = next((key for key in keys if not 2 <= key.count("/") <= 3), None)
    if wrong is not None:
        raise ManifestError(
            f"{text_of(path)}: a line must be category/sign/video, got {wrong[:80]!r}"
        )
    return keys

"""WLASL's own annotation files: WLASL_v0.3.json, nslt_K.json, wlasl_class_list.txt.

They are untrusted: a file of the wrong make is one `ManifestError`, which names the
instance; a range that no video can have is the problem of that instance alone.

Reference:
    https://github.com/dxli94/WLASL
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from wlasl_tfrecord.clips import ANNOTATION_FPS
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.index import SPLITS
from wlasl_tfrecord.instances import (
    UNKNOWN_SIGNER,
    Instance,
    Manifest,
    checked_gloss,
    is_unicode,
    shown,
    unique_ids,
)

__all__ = [
    "CLASS_LIST_FILE",
    "load_json",
    "nslt_manifest",
    "read_class_list",
    "wlasl_manifest",
]

CLASS_LIST_FILE = "wlasl_class_list.txt"

# Eleven hours at 25 frames a second. What asks for more is a slip of the pen.
_MAX_FRAMES = 1_000_000
# A record stores the signer as int64.
_MAX_SIGNER = 2**63 - 1


def load_json(path: str | os.PathLike[str]) -> Any:
    """Reads a JSON file of any shape.

    Raises:
        ManifestError: If it cannot be read or is no JSON.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            return json.load(file)
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}") from error
    # Not UTF-8, no JSON, a number of thousands of digits, or nested without end.
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ManifestError(f"{path} is no JSON: {reason}") from error


def wlasl_manifest(annotations: Any, where: str) -> Manifest:
    """Reads the content of WLASL_v0.3.json: a list of {gloss, instances}.

    Args:
        annotations: The parsed JSON.
        where: The name of the file, for errors.

    Returns:
        The manifest, its videos not looked for yet. A gloss's label is its position.

    Raises:
        ManifestError: If the structure is not WLASL's.
    """
    if not isinstance(annotations, list) or not annotations:
        raise ManifestError(
            f"{where} is not in WLASL's format: expected a list of glosses, got "
            f"{shown(annotations)}"
        )
    instances: list[Instance] = []
    glosses: list[str] = []
    labels: dict[str, int] = {}
    for label, entry in enumerate(annotations):
        place = f"{where}: gloss {label}"
        if not isinstance(entry, dict) or "gloss" not in entry:
            raise ManifestError(
                f"{place} must have the keys 'gloss' and 'instances', got "
                f"{shown(entry)}"
            )
        gloss = checked_gloss(entry["gloss"], place)
        if gloss in labels:
            raise ManifestError(
                f"{place}: {gloss!r} occurs before, as gloss {labels[gloss]}"
            )
        labels[gloss] = label
        glosses.append(gloss)
        rows = entry.get("instances")
        if not isinstance(rows, list):
            raise ManifestError(
                f"{place} ({gloss!r}): 'instances' must be a list, got {shown(rows)}"
            )
        instances.extend(_wlasl_instance(row, gloss, label, where) for row in rows)
    unique_ids(instances, where)
    return Manifest(
        instances=tuple(instances), glosses=tuple(glosses), annotations=where
    )


def nslt_manifest(
    annotations: Any,
    where: str,
    class_list: Sequence[str] | None,
    wlasl: Manifest | None,
) -> Manifest:
    """Reads the content of nslt_K.json: {video_id: {subset, action: [class, …]}}.

    Only class and split are taken from it. Its ranges count frames of the authors' own
    re-encoded clips; on the files that people have they cut the tail of 829 of 1,141
    clips and overrun the end of 244. Ranges and signers come from WLASL_v0.3.json.

    Args:
        annotations: The parsed JSON.
        where: The name of the file, for errors.
        class_list: The words of wlasl_class_list.txt, by label; None if there is none.
        wlasl: What WLASL_v0.3.json says; None if there is none. Its words win: the list
            has "losear" where the JSON has "lose".

    Returns:
        The manifest, its videos not looked for yet.

    Raises:
        ManifestError: If the structure is not that of an nslt file, or the words are
            not known.
    """
    if not isinstance(annotations, dict) or not annotations:
        raise ManifestError(
            f"{where} is not in the nslt format: expected an object of videos, got "
            f"{shown(annotations)}"
        )
    words = wlasl.glosses if wlasl else tuple(class_list or ())
    if not words:
        raise ManifestError(
            f"{where} has numbers for glosses; put {CLASS_LIST_FILE} or "
            "WLASL_v0.3.json beside it"
        )
    known = {i.video_id: i for i in wlasl.instances} if wlasl else {}
    instances = tuple(
        _nslt_instance(video_id, row, words, known, where)
        for video_id, row in annotations.items()
    )
    num_glosses = 1 + max(instance.label for instance in instances)
    notes: list[str] = []
    if wlasl is None:
        notes.append(
            f"no WLASL_v0.3.json beside {where}: videos are taken whole, signers are "
            "unknown"
        )
    else:
        unknown = sum(instance.video_id not in known for instance in instances)
        if unknown:
            notes.append(
                f"{unknown} ids of {where} are unknown to {wlasl.annotations}: taken "
                "whole, signer unknown"
            )
        notes.extend(
            f"class {label} is {listed!r} in {CLASS_LIST_FILE} and {word!r} in "
            f"{wlasl.annotations}; took {word!r}"
            for label, (listed, word) in enumerate(zip(class_list or (), words))
            if listed != word and label < num_glosses
        )
    return Manifest(
        instances=instances,
        glosses=words[:num_glosses],
        annotations=where,
        notes=tuple(notes),
    )


def read_class_list(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Reads a list of words: one a line, with or without its index and a tab before.

    Returns:
        The words, by label.

    Raises:
        ManifestError: If it cannot be read, an index is out of order, or a word occurs
            twice.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
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


def _wlasl_instance(row: Any, gloss: str, label: int, where: str) -> Instance:
    """Checks one instance of WLASL_v0.3.json."""
    if not isinstance(row, dict):
        raise ManifestError(
            f"{where}: an instance of {gloss!r} must be an object, got {shown(row)}"
        )
    video_id = _checked_id(row.get("video_id"), f"{where}: an instance of {gloss!r}")
    place = f"{where}: {shown(video_id)}"
    split = _checked_split(row, "split", place)
    signer_id = _integer(row, "signer_id", UNKNOWN_SIGNER, place)
    if signer_id > _MAX_SIGNER:
        raise ManifestError(f"{place}: signer_id is no 64-bit number: {signer_id}")
    first = _integer(row, "frame_start", 1, place)
    last = _integer(row, "frame_end", -1, place)
    fps = row.get("fps", ANNOTATION_FPS)
    if isinstance(fps, bool) or not isinstance(fps, (int, float)):
        raise ManifestError(f"{place}: fps must be a number, got {shown(fps)}")
    problem = _range_problem(first, last, fps)
    whole = problem is not None or (first == 1 and last == -1)
    return Instance(
        video_id=video_id,
        gloss=gloss,
        label=label,
        split=split,
        signer_id=max(signer_id, UNKNOWN_SIGNER),
        start=None if whole else first - 1,
        # The last frame is included, so that its number from 1 is the stop from 0.
        stop=None if whole or last == -1 else last,
        annotation_fps=ANNOTATION_FPS if problem else float(fps),
        problem=problem,
    )


def _range_problem(first: int, last: int, fps: float) -> str | None:
    """Says why no video can have a range of frames, both ends included, from 1."""
    if not math.isfinite(fps) or not 1 <= fps <= 1000:
        return f"fps must be from 1 to 1000, got {shown(fps)}"
    if not 1 <= first <= _MAX_FRAMES or not (
        last == -1 or first <= last <= _MAX_FRAMES
    ):
        return (
            f"no video has the range of frames {shown(first)} to {shown(last)} (from "
            "1, both included, -1 for the end)"
        )
    return None


def _nslt_instance(
    video_id: str,
    row: Any,
    words: Sequence[str],
    known: Mapping[str, Instance],
    where: str,
) -> Instance:
    """Checks one instance of nslt_K.json."""
    place = f"{where}: {shown(_checked_id(video_id, where))}"
    if not isinstance(row, dict):
        raise ManifestError(
            f"{place} must have the keys 'subset' and 'action', got {shown(row)}"
        )
    split = _checked_split(row, "subset", place)
    action = row.get("action")
    label = action[0] if isinstance(action, list) and action else None
    if isinstance(label, bool) or not isinstance(label, int):
        raise ManifestError(
            f"{place}: action must be [class, start, end], got {shown(action)}"
        )
    if not 0 <= label < len(words):
        raise ManifestError(
            f"{place}: class {shown(label)} is none of the {len(words)} known glosses"
        )
    other = known.get(video_id)
    return Instance(
        video_id=video_id,
        gloss=words[label],
        label=label,
        split=split,
        signer_id=other.signer_id if other else UNKNOWN_SIGNER,
        start=other.start if other else None,
        stop=other.stop if other else None,
        annotation_fps=ANNOTATION_FPS if other is None else other.annotation_fps,
        problem=other.problem if other else None,
    )


def _checked_id(video_id: object, place: str) -> str:
    """Checks the type of an id; whether it can be a file name is asked later."""
    if not isinstance(video_id, str) or not video_id or not is_unicode(video_id):
        raise ManifestError(
            f"{place}: video_id must be text, as leading zeros matter, got "
            f"{shown(video_id)}"
        )
    return video_id


def _checked_split(row: Mapping[str, Any], key: str, place: str) -> str:
    split = row.get(key)
    if not isinstance(split, str) or split not in SPLITS:
        raise ManifestError(
            f"{place}: {key} must be one of {', '.join(SPLITS)}, got {shown(split)}"
        )
    return split


def _integer(row: Mapping[str, Any], key: str, default: int, place: str) -> int:
    value = row.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ManifestError(
            f"{place}: {key} must be a whole number, got {shown(value)}"
        )
    return value

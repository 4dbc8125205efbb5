"""WLASL's own annotation file, WLASL_v0.3.json.

It is untrusted. A file of another structure is a `ManifestError` that names the
instance. A range that no video can have is the `problem` of that instance alone.

Reference:
    https://github.com/dxli94/WLASL
"""

import json
import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

from wlasl_tfrecord.annotations.checks import (
    checked_gloss,
    checked_id,
    checked_split,
    unique_ids,
)
from wlasl_tfrecord.annotations.manifest import UNKNOWN_SIGNER, Instance, Manifest
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.files import open_small
from wlasl_tfrecord.text import shown
from wlasl_tfrecord.video.sampling import ANNOTATION_FPS

__all__ = ["load_json", "wlasl_manifest"]

# Eleven hours at 25 frames a second. A larger number is a typing mistake.
_MAX_FRAMES = 1_000_000
# A record stores the signer as int64.
_MAX_SIGNER = 2**63 - 1


def load_json(path: str | os.PathLike[str]) -> Any:
    """Reads a JSON file of any shape.

    Raises:
        ManifestError: If it cannot be read, is no JSON, or names a value twice.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # Python would keep the last of two without a word.
        values = dict(pairs)
        if len(values) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            twice = next(key for key, count in counts.items() if count > 1)
            raise ManifestError(
                f"{path}: {shown(twice)} occurs twice in one object; remove one of them"
            )
        return values

    try:
        with open(path, encoding="utf-8-sig", opener=open_small) as file:
            return json.load(file, object_pairs_hook=unique)
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}") from error
    # Not UTF-8, no JSON, a number of thousands of digits, or nested too deep.
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ManifestError(f"{path} is not JSON: {reason}") from error


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
        instances=tuple(instances),
        glosses=tuple(glosses),
        annotations=where,
        labels_from="order in the JSON",
        splits_from="the JSON",
    )


def _wlasl_instance(row: Any, gloss: str, label: int, where: str) -> Instance:
    """Checks one instance of WLASL_v0.3.json."""
    if not isinstance(row, dict):
        raise ManifestError(
            f"{where}: an instance of {gloss!r} must be an object, got {shown(row)}"
        )
    video_id = checked_id(row.get("video_id"), f"{where}: an instance of {gloss!r}")
    place = f"{where}: {shown(video_id)}"
    split = checked_split(row, "split", place)
    signer_id = _integer(row, "signer_id", UNKNOWN_SIGNER, place)
    if signer_id > _MAX_SIGNER:
        raise ManifestError(f"{place}: signer_id is not a 64-bit number: {signer_id}")
    first = _integer(row, "frame_start", 1, place)
    last = _integer(row, "frame_end", -1, place)
    fps = row.get("fps", ANNOTATION_FPS)
    if isinstance(fps, bool) or not isinstance(fps, (int, float)):
        raise ManifestError(f"{place}: fps must be a number, got {shown(fps)}")
    problem = _range_problem(first, last, fps)
    whole = problem is not None or (first == 1 and last == -1)
    url = row.get("url")
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
        url=url if isinstance(url, str) else None,
        problem=problem,
    )


def _range_problem(first: int, last: int, fps: float) -> str | None:
    """Returns why no video has a range of frames, from 1, both ends included."""
    # No number that is not finite is between two others.
    if not 1 <= fps <= 1000:
        return f"fps must be from 1 to 1000, got {shown(fps)}"
    if not 1 <= first <= _MAX_FRAMES or not (
        last == -1 or first <= last <= _MAX_FRAMES
    ):
        return (
            f"no video has the range of frames {shown(first)} to {shown(last)} (from "
            "1, both included, -1 for the end)"
        )
    return None


def _integer(row: Mapping[str, Any], key: str, default: int, place: str) -> int:
    value = row.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ManifestError(
            f"{place}: {key} must be a whole number, got {shown(value)}"
        )
    return value

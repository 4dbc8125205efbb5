"""MS-ASL: American signs in videos of YouTube, a JSON for each split.

    MSASL_train.json, MSASL_val.json, MSASL_test.json
        [{"url": "https://www.youtube.com/watch?v=…", "start": 0, "end": 83,
          "fps": 30.0, "label": 830, "signer_id": 0, "text": "match", …}, …]
    MSASL_classes.json    ["hello", "nice", …], by label
    <any folders>/<YouTube id>.mp4

No videos and no script are published. What youtube-dl and yt-dlp leave behind with
`-o "%(id)s.%(ext)s"` is found by the id in the url, and cut by `start` and `end`, which
count frames at `fps`, the end not included. MS-ASL100, 200 and 500 are the first labels
(`--subset`).

Reference:
    Vaezi Joze and Koller, "MS-ASL: A Large-Scale Data Set and Benchmark for
    Understanding American Sign Language", BMVC 2019;
    https://www.microsoft.com/en-us/research/project/ms-asl/
"""

import os
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from wlasl_tfrecord.annotations.checks import checked_gloss, checked_id
from wlasl_tfrecord.annotations.manifest import UNKNOWN_SIGNER, Instance, Manifest
from wlasl_tfrecord.annotations.video_paths import video_problem, videos_below
from wlasl_tfrecord.annotations.wlasl_json import load_json
from wlasl_tfrecord.annotations.youtube import youtube_id
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.shard_format.layout import SPLITS
from wlasl_tfrecord.text import is_unicode, shown, text_of
from wlasl_tfrecord.video.files import folders_beside, list_folder

__all__ = ["ms_asl_manifest"]

_FILE = re.compile(r"MSASL_(train|val|test)\.json", re.IGNORECASE)
_MAX_NUMBER = 10_000_000


def ms_asl_manifest(src: str) -> Manifest | None:
    """Reads MS-ASL; None if its JSONs lie neither in nor beside the folder.

    Args:
        src: The folder that has the videos, in folders of any name or in none.

    Raises:
        ManifestError: If a JSON is damaged.
    """
    files = _files_of(src)
    if not files:
        return None
    where = os.path.dirname(next(iter(files.values())))
    classes = _classes(where)
    found = {_stem(path): path for path in reversed(videos_below(src))}
    instances: list[Instance] = []
    words: dict[int, str] = dict(enumerate(classes))
    seen: Counter[str] = Counter()
    for split, path in files.items():
        rows = load_json(path)
        if not isinstance(rows, list):
            raise ManifestError(f"{text_of(path)} must be a list, got {shown(rows)}")
        for position, row in enumerate(rows):
            place = f"{text_of(path)}: entry {position}"
            instances.append(_instance(row, split, words, found, src, place, seen))
    glosses = tuple(words[label] for label in sorted(words))
    if len(set(glosses)) < len(glosses):
        word = next(word for word in glosses if glosses.count(word) > 1)
        raise ManifestError(
            f"{text_of(where)}: {word!r} has two labels; put MSASL_classes.json beside "
            "the other files"
        )
    manifest = Manifest(
        instances=tuple(instances),
        glosses=glosses,
        annotations=where,
        splits_from=", ".join(os.path.basename(path) for path in files.values()),
    )
    return manifest.relabelled(glosses, "label in the JSON")


def _files_of(src: str) -> Mapping[str, str]:
    for place in (src, *folders_beside(src)):
        for directory in (place, os.path.join(place, "MS-ASL")):
            if not os.path.isdir(directory):
                continue
            found = {
                match[1].lower(): entry.path
                for entry in list_folder(directory)
                if (match := _FILE.fullmatch(entry.name)) and os.path.isfile(entry.path)
            }
            if found:
                return {split: found[split] for split in SPLITS if split in found}
    return {}


def _classes(directory: str) -> list[str]:
    path = os.path.join(directory, "MSASL_classes.json")
    if not os.path.isfile(path):
        return []
    words = load_json(path)
    if not isinstance(words, list):
        raise ManifestError(f"{text_of(path)} must be a list, got {shown(words)}")
    return [checked_gloss(word, f"{path}: class {k}") for k, word in enumerate(words)]


def _instance(
    row: Any,
    split: str,
    words: dict[int, str],
    found: Mapping[str, str],
    src: str,
    place: str,
    seen: Counter[str],
) -> Instance:
    """Checks one entry; a label without a word takes the text of its first entry."""
    if not isinstance(row, dict) or not isinstance(row.get("url"), str):
        raise ManifestError(
            f"{place} must have url, start, end and label, got {shown(row)}"
        )
    label = _number(row, "label", place)
    if label is None or label < 0:
        raise ManifestError(f"{place}: label must be 0 or more, got {shown(label)}")
    gloss = words.get(label)
    if gloss is None:
        gloss = words[label] = checked_gloss(row.get("text"), f"{place}: text")
    name = youtube_id(row["url"]) or os.path.splitext(os.path.basename(row["url"]))[0]
    start, stop = _number(row, "start", place), _number(row, "end", place)
    signer = _number(row, "signer_id", place)
    fps = row.get("fps", 30.0)
    problem = None
    if (
        isinstance(fps, bool)
        or not isinstance(fps, (int, float))
        or not 1 <= fps <= 1000
    ):
        problem = f"fps must be from 1 to 1000, got {shown(fps)}"
    elif (start or 0) < 0 or (stop is not None and stop <= (start or 0)):
        problem = f"no video has the range of frames {start} to {stop}"
    video_id = f"{name}#{'' if start is None else start}-{'' if stop is None else stop}"
    if not name or not is_unicode(video_id) or not video_id.isprintable():
        raise ManifestError(f"{place}: url names no video: {shown(row['url'])}")
    checked_id(video_id, place)
    # The same part of a video may be there twice, with two words.
    seen[video_id] += 1
    if seen[video_id] > 1:
        video_id += f"#{seen[video_id]}"
    path = found.get(name) and os.path.join(src, found[name])
    if path:
        problem = problem or video_problem(path, src)
    return Instance(
        video_id=video_id,
        gloss=gloss,
        label=label,
        split=split,
        path=path,
        signer_id=UNKNOWN_SIGNER if signer is None else max(signer, UNKNOWN_SIGNER),
        start=None if problem else start,
        stop=None if problem else stop,
        annotation_fps=None if problem else float(fps),
        url=row["url"],
        problem=problem if path else None,
    )


def _number(row: Mapping[str, Any], key: str, place: str) -> int | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or abs(value) > _MAX_NUMBER
    ):
        raise ManifestError(
            f"{place}: {key} must be a whole number, got {shown(value)}"
        )
    return value


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]

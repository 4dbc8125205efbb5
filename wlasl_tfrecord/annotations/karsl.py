"""KArSL: Arabic signs, a folder for each signer, split and sign.

    01/train/0001/<name>.mp4    signer 1, sign 1; 01/test/…, 02/…, 03/…
    01/train/0001-0100/0001/…   in some copies with a folder for a range of signs

A sign may hold folders of numbered images for videos. There is no val, so a fifth of
train becomes it. The glosses are the numbers of the signs, "0001" to "0502", whose
words are in KARSL-502_Labels.xlsx. Where all are there, a label is its number less one.

Reference:
    Sidig et al., "KArSL: Arabic Sign Language Database", TALLIP 2021;
    https://github.com/Hamzah-Luqman/KArSL. The folders are as
    https://github.com/yousefelkilany/Word-level-Arabic-Sign-language describes them.
"""

import os
import re

from wlasl_tfrecord.annotations.manifest import Instance, Manifest
from wlasl_tfrecord.annotations.splits import SPLIT_WORDS, with_made_val
from wlasl_tfrecord.annotations.video_paths import video_problem, videos_below
from wlasl_tfrecord.text import text_of
from wlasl_tfrecord.video.files import is_folder, list_folder

__all__ = ["karsl_manifest"]

_SIGNER = re.compile(r"[0-9]{1,2}")
_VIDEO = re.compile(
    r"([0-9]{1,2})/(?:\1/)?(train|val|test)/(?:[0-9]{4}-[0-9]{4}/)*([0-9]{4})/[^/]+",
    re.IGNORECASE,
)


def karsl_manifest(src: str) -> Manifest | None:
    """Reads KArSL; None if the folder has no folders of signers with train/ and test/.

    Args:
        src: The folder with 01/, 02/ and 03/.

    Raises:
        ManifestError: If a folder cannot be read.
    """
    signers = [
        e for e in list_folder(src) if is_folder(e) and _SIGNER.fullmatch(e.name)
    ]
    if not signers:
        return None
    paths = videos_below(src)
    matches = {
        path: match
        for path in paths
        if (match := _VIDEO.fullmatch(path.replace(os.sep, "/")))
    }
    if not matches:
        return None
    splits = {path: SPLIT_WORDS[match[2].lower()] for path, match in matches.items()}
    has_val = "val" in splits.values()
    glosses = sorted({match[3] for match in matches.values()})
    labels = {gloss: label for label, gloss in enumerate(glosses)}
    others = len(paths) - len(matches)
    notes: list[str] = []
    if others:
        notes.append(f"videos in other folders, which are left out: {others:,}")
    instances = tuple(
        Instance(
            video_id=text_of(path).replace(os.sep, "/"),
            gloss=match[3],
            label=labels[match[3]],
            split=splits[path],
            path=os.path.join(src, path),
            signer_id=int(match[1]),
            problem=video_problem(os.path.join(src, path), src),
        )
        for path, match in matches.items()
    )
    return Manifest(
        instances=instances if has_val else with_made_val(instances),
        glosses=tuple(glosses),
        annotations=src,
        labels_from="number of the sign",
        splits_from=(
            "names of folders"
            if has_val
            else "names of folders; no val folder, so a fifth of train is val"
        ),
        notes=tuple(notes),
    )

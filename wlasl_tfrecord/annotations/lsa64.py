"""LSA64: Argentinian signs, everything in the names of the videos.

    all/001_002_003.mp4   sign 1, signer 2, repetition 3; 64 signs, 10 signers, 5 times

No splits are published, so they are made. The page of the data set lists the names of
the signs, two of which are "Red": the glosses are the numbers, "001" to "064". Signer
10 of the first 23 signs is another person than signer 10 of the others.

Reference:
    Ronchetti et al., "LSA64: An Argentinian Sign Language Dataset", CACIC 2016;
    https://facundoq.github.io/datasets/lsa64/
"""

import os
import re

from wlasl_tfrecord.annotations.manifest import Instance, Manifest
from wlasl_tfrecord.annotations.splits import (
    MADE_BY_NAME,
    SPLIT_SHARES,
    with_made_splits,
)
from wlasl_tfrecord.video.files import entry_problem, is_video_name, list_folder

__all__ = ["lsa64_manifest"]

_NAME = re.compile(r"(0[0-9]{2})_(0[0-9]{2})_0[0-9]{2}")


def lsa64_manifest(src: str) -> Manifest | None:
    """Reads LSA64; None if the videos in the folder, or in `all/`, are named otherwise.

    Args:
        src: The folder of the videos, or the one with `all/`.

    Raises:
        ManifestError: If the folder cannot be read.
    """
    inner = os.path.join(src, "all")
    directory = inner if os.path.isdir(inner) else src
    entries = {
        os.path.splitext(entry.name)[0]: entry
        for entry in list_folder(directory)
        if is_video_name(entry.name)
    }
    names = sorted(entries)
    if not names or not all(map(_NAME.fullmatch, names)):
        return None
    signs = {name: name[:3] for name in names}
    labels = {sign: label for label, sign in enumerate(dict.fromkeys(signs.values()))}
    instances = (
        Instance(
            video_id=name,
            gloss=signs[name],
            label=labels[signs[name]],
            split="train",
            path=entries[name].path,
            signer_id=int(name[4:7]),
            problem=entry_problem(entries[name], src),
        )
        for name in names
    )
    return Manifest(
        instances=with_made_splits(instances, SPLIT_SHARES),
        glosses=tuple(labels),
        annotations=directory,
        labels_from="number of the sign in the names",
        splits_from=MADE_BY_NAME,
        notes=("--split-by signer makes splits in which no signer is in two",),
    )

"""ASL Citizen: American signs, a table for each split, all videos in one folder.

    splits/train.csv   Participant ID,Video file,Gloss,ASL-LEX Code
                       P52,15890366051589533-APPLE.mp4,APPLE,B_01_010
    splits/val.csv, splits/test.csv
    videos/15890366051589533-APPLE.mp4

The tables are plain ones, so they are read as such. The gloss is the one of the table,
not of the file's name, which may differ. Labels are in alphabetical order, as in the
authors' code; signer P52 is 52.

Reference:
    Desai et al., "ASL Citizen: A Community-Sourced Dataset for Advancing Isolated Sign
    Language Recognition", NeurIPS 2023. The columns and the order of labels are those
    of https://github.com/microsoft/ASL-citizen-code (I3D/aslcitizen_dataset.py).
"""

import dataclasses
import os

from wlasl_tfrecord.annotations.csv_table import csv_manifest
from wlasl_tfrecord.annotations.manifest import Manifest
from wlasl_tfrecord.annotations.table import read_header
from wlasl_tfrecord.video.files import folders_beside

__all__ = ["asl_citizen_manifest"]

_COLUMNS = {"participant id", "video file", "gloss"}


def asl_citizen_manifest(src: str) -> Manifest | None:
    """Reads ASL Citizen; None if its `splits/` lies neither in nor beside the folder.

    Args:
        src: The folder with `splits/` and `videos/`, or `videos/` itself.

    Raises:
        ManifestError: If the tables are damaged, or none of their videos is there.
    """
    for place in (src, *folders_beside(src)):
        paths = [
            os.path.join(place, "splits", f"{s}.csv") for s in ("train", "val", "test")
        ]
        tables = [path for path in paths if os.path.isfile(path) and _is_table(path)]
        if tables:
            break
    else:
        return None
    inner = os.path.join(src, "videos")
    manifest = csv_manifest(tables, src, inner if os.path.isdir(inner) else src)
    manifest = dataclasses.replace(
        manifest,
        splits_from="the tables of each split",
        # The code of ASL-LEX is no news.
        notes=tuple(n for n in manifest.notes if not n.startswith("columns of")),
    )
    return manifest.relabelled(sorted(manifest.glosses), "alphabetical order")


def _is_table(path: str) -> bool:
    return {column.lower() for column in read_header(path).columns} >= _COLUMNS

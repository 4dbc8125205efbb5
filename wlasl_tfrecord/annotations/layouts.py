"""The published data sets whose layout is read as it is downloaded.

To add one, write a file beside this one with one function, which reads the layout or
returns None if a folder does not have it, and name it here.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from wlasl_tfrecord.annotations.asl_citizen import asl_citizen_manifest
from wlasl_tfrecord.annotations.autsl import autsl_manifest
from wlasl_tfrecord.annotations.include import include_manifest
from wlasl_tfrecord.annotations.karsl import karsl_manifest
from wlasl_tfrecord.annotations.lsa64 import lsa64_manifest
from wlasl_tfrecord.annotations.manifest import Manifest
from wlasl_tfrecord.annotations.ms_asl import ms_asl_manifest
from wlasl_tfrecord.annotations.sem_lex import sem_lex_manifest
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.text import text_of

__all__ = ["LayoutName", "find_layout", "read_layout"]

LayoutName = Literal[
    "autsl", "asl-citizen", "sem-lex", "ms-asl", "lsa64", "karsl", "include"
]

# Those with label files first: they cannot be mistaken.
_READERS: Mapping[LayoutName, Callable[[str], Manifest | None]] = {
    "autsl": autsl_manifest,
    "asl-citizen": asl_citizen_manifest,
    "sem-lex": sem_lex_manifest,
    "ms-asl": ms_asl_manifest,
    "lsa64": lsa64_manifest,
    "karsl": karsl_manifest,
    "include": include_manifest,
}


def find_layout(src: str) -> Manifest | None:
    """Reads a folder that has the layout of a published data set; None if it has none.

    Raises:
        ManifestError: If it has one, and its labels are damaged.
    """
    for name, read in _READERS.items():
        manifest = read(src)
        if manifest and not any(instance.path for instance in manifest.instances):
            raise ManifestError(
                f"{text_of(manifest.annotations)} has the labels of {name}, but none "
                f"of its {len(manifest.instances):,} videos is in {text_of(src)}; "
                "check --src, or say --annotations none if folders name the glosses"
            )
        if manifest:
            note = f"{text_of(src)} is read as {name}; --format names another format"
            return manifest.replace(manifest.instances, note)
    return None


def read_layout(name: LayoutName, src: str) -> Manifest:
    """Reads a folder that is said to have the layout of a published data set.

    Raises:
        ManifestError: If it has not, or its labels are damaged.
    """
    manifest = _READERS[name](src)
    if manifest is None:
        raise ManifestError(
            f"{text_of(src)} does not have the layout of {name}, which "
            "docs/datasets.md shows"
        )
    return manifest

"""Names of folders that are no glosses, though videos lie in them.

A folder that only holds videos, such as `videos/`, would be one class with all of them;
`train/`, `val/` and `test/` without folders of signs would be three. Nothing would show
it but the results. Such folders are refused by name. A `classes.txt` that lists the
name says that it is a gloss all the same: "all", "train" and "test" are in WLASL.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence

from wlasl_tfrecord.annotations.splits import SPLIT_WORDS
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.text import shown, text_of

__all__ = ["check_gloss_folders"]

# No sign has such a name.
_NEVER = {
    *("videos", "rawvideos", "rawvideosmp4", "allvideos", "myvideos", "videosmp4"),
    *("clips", "videoclips", "mp4", "mp4s", "raw", "rawdata", "processed", "cropped"),
    *("dataset", "datasets", "frames", "images", "annotations", "labels", "splits"),
    *("shards", "output", "outputs", "downloads", "recordings", "backup", "unsorted"),
    *("trainvideos", "valvideos", "testvideos", "newfolder", "untitledfolder"),
    *("trainset", "valset", "testset", "validationset", "trainingset", "rgb", "depth"),
}
# Some signs have, but not most of those in one folder.
_RARELY = {
    "all",
    "data",
    "video",
    "clip",
    "film",
    "films",
    "wlasl",
    "media",
    *SPLIT_WORDS,
}
# Folders that sort videos by day, person or camera.
_NUMBERED = re.compile(
    r"(day|part|session|signer|subject|person|participant|user|speaker|batch|chunk|"
    r"fold|take|cam|camera|view|volume|disk|set|folder|archive)[\s_\-]*[0-9]+|"
    r"[0-9]{4}[\-_.]?[0-9]{2}[\-_.]?[0-9]{2}",
    re.IGNORECASE,
)


def check_gloss_folders(glosses: Collection[str], src: str) -> None:
    """Refuses folders whose names are no glosses.

    Args:
        glosses: The names of the folders of videos in `src`.
        src: The folder in which they lie, for the message.

    Raises:
        ManifestError: If a name is that of a folder that only holds videos, or two
            differ only in capitals.
    """
    never = [name for name in glosses if _plain(name) in _NEVER]
    rarely = [name for name in glosses if _plain(name) in _RARELY]
    numbered = [name for name in glosses if _NUMBERED.fullmatch(name)]
    if never or (rarely and 2 * len(rarely) >= len(glosses)):
        _refuse([*never, *rarely], src)
    if numbered and len(numbered) == len(glosses):
        _refuse(numbered, src)
    _check_spellings(glosses, src)


def _refuse(names: Sequence[str], src: str) -> None:
    shown_names = ", ".join(shown(name) for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    raise ManifestError(
        f"the videos in {text_of(src)} lie in {shown_names}{more}, which "
        "are not names of signs. "
        "Put the videos into a folder for each sign, with or without train/, val/ and "
        "test/ above, or name a table of labels with --annotations; if it is a sign, "
        "list all signs in classes.txt beside the folders"
    )


def _check_spellings(glosses: Iterable[str], src: str) -> None:
    seen: dict[str, str] = {}
    for gloss in glosses:
        # Not casefold, which makes one word of the German Maße and Masse.
        other = seen.setdefault(gloss.lower(), gloss)
        if other != gloss:
            raise ManifestError(
                f"folders {shown(other)} and {shown(gloss)} in {text_of(src)} differ "
                "only in capitals; put their videos into one folder, or list both in "
                "classes.txt beside the folders if they are two signs"
            )


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-.]", "", unicodedata.normalize("NFKC", name)).casefold()

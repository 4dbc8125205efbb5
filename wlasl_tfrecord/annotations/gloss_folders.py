"""Names of folders that are no glosses, though videos lie in them.

A folder that only holds videos, such as `videos/`, would be one class with all of them;
`train/`, `val/` and `test/` without folders of signs would be three. Nothing would show
it but the results. Such folders are refused by name. A `classes.txt` that lists the
name says that it is a gloss all the same: "all", "train" and "test" are in WLASL.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from wlasl_tfrecord.annotations.splits import SPLIT_WORDS
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.text import shown, text_of

__all__ = ["check_gloss_folders", "check_sides"]

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
    r"fold|take|cam|camera|view|p|u|volume|disk|set|folder|archive)[\s_\-]*[0-9]+|"
    r"[0-9]{4}[\-_.]?[0-9]{2}[\-_.]?[0-9]{2}",
    re.IGNORECASE,
)

# Words in names of files that are no glosses: of programs, cameras and takes.
_NO_GLOSSES = {
    *("video", "videos", "vid", "clip", "img", "image", "mvi", "dsc", "mov", "pxl"),
    *("vlc", "wa", "gh", "gx", "dji", "take", "rep", "repetition", "sample", "record"),
    *("recording", "signer", "subject", "person", "part", "front", "left", "right"),
    *("side", "top", "back", "center", "centre", "color", "colour", "rgb", "depth"),
    *("cam", "camera", "view", "webcam", "kinect", "copy", "final", "cut", "mp"),
    *("sign", "gloss", "word", "whatsapp", "screen", "screenshot", "untitled"),
    *("one", "two", "three", "first", "second", "third", "new", "old"),
    *SPLIT_WORDS,
}


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


def check_sides(names: Mapping[str, Collection[str]], src: str) -> None:
    """Refuses folders in which files have the same words for names.

    In `anna/book.mp4` and `ben/book.mp4` the folders are people, in `book/anna.mp4` and
    `drink/anna.mp4` they are glosses: nobody but their owner can tell. Numbers, and
    words such as "front" or "video", tell nothing and do not count.

    Args:
        names: Folder -> the names of the videos in it.
        src: The folder in which they lie, for the message.

    Raises:
        ManifestError: If at least half of the videos have a word for a name that is in
            at least half of the folders, and there are two such words.
    """
    words = {folder: _words(folder, files) for folder, files in names.items()}
    counts = Counter(word for found in words.values() for word in {*found})
    shared = {w for w, n in counts.items() if n >= 2 and 2 * n >= len(names)}
    num_shared = sum(word in shared for found in words.values() for word in found)
    num_videos = sum(map(len, names.values()))
    if len(shared) < 2 or 2 * num_shared < num_videos:
        return
    word = min(shared)
    folders = [folder for folder, found in words.items() if word in found][:2]
    raise ManifestError(
        f"either the folders or the files of {text_of(src)} have the names of signs: "
        f"{shown(word)} is a video in {shown(folders[0])} and in {shown(folders[1])}. "
        "Say --annotations none if the folders are the signs; if they are people or "
        "cameras, sort the videos by sign, or make a CSV with the columns "
        "path,gloss,signer"
    )


def _words(folder: str, names: Iterable[str]) -> list[str]:
    """Returns the word in each name of a video; nothing where there is none."""
    own = {*_letters(folder)}
    found: list[str] = []
    for name in names:
        parts = _letters(os.path.splitext(name)[0])
        word = " ".join(p for p in parts if p not in own and p not in _NO_GLOSSES)
        found.append(word if len(word) > 1 else "")
    return [word for word in found if word]


def _letters(text: str) -> list[str]:
    plain = unicodedata.normalize("NFC", text).casefold()
    return [part for part in re.split(r"[\W\d_]+", plain) if part]


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

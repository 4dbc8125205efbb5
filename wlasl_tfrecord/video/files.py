"""The files of a folder of videos: which there are, and that none lies outside it."""

import os
import re
import stat
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.text import text_of

__all__ = [
    "IMAGE_SUFFIXES",
    "UNREAD_SUFFIXES",
    "VIDEO_SUFFIXES",
    "VideoFolder",
    "entry_problem",
    "file_problem",
    "folders_beside",
    "is_folder",
    "is_image_folder",
    "is_inside",
    "is_system_folder",
    "is_video_name",
    "list_folder",
    "open_folder",
]

# In this order, where one video lies there in several containers. Any case.
VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"),
    *(".flv", ".swf", ".3gp", ".mts", ".m2ts", ".ogv"),
)
# What people call videos besides those: other formats, and downloads cut short.
UNREAD_SUFFIXES = (
    *(".gif", ".ts", ".vob", ".f4v", ".rm", ".rmvb"),
    *(".part", ".crdownload", ".download", ".unknown_video"),
)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

_NUMBERED_IMAGE = re.compile(
    r"(?!\.).*\d(" + "|".join(map(re.escape, IMAGE_SUFFIXES)) + r")",
    re.IGNORECASE | re.DOTALL,
)
# Folders that systems write beside people's own, in lower case. Synology's has one
# named after each video, with pictures in it.
_SYSTEM_FOLDERS = {
    *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"),
    *("__macosx", "$recycle.bin", "recycler", "system volume information"),
    *("@sharebin", "@database", "@__thumb", "found.000", "network trash folder"),
    *("temporary items", "lost+found", "__pycache__", "node_modules"),
}


@dataclass(frozen=True, kw_only=True)
class VideoFolder:
    """A folder of videos named by their ids, listed once.

    Asking the file system for each id under each suffix takes three to seven times as
    long (measured with 21,083 ids on a local disk; a network makes it worse).

    Attributes:
        src: The folder that no path may leave.
        directory: Where the videos lie: `src`, or `videos/` inside it.
        entries: By id in Unicode form NFC, the entry of the folder that holds it.
        unread: By id, likewise, the name of a file with a suffix that is not read.
    """

    src: str
    directory: str
    entries: Mapping[str, os.DirEntry[str]]
    unread: Mapping[str, str]

    def find(self, video_id: str) -> tuple[str | None, str | None]:
        """Looks for a video.

        Returns:
            Its path, None if there is none; and why it cannot be used, None if nothing
            is known against it.
        """
        # An id with a slash is in no listing, so it cannot lead anywhere.
        if "/" in video_id or os.sep in video_id:
            return None, "its id cannot be the name of a file"
        # A Mac writes é as two characters, other systems as one.
        key = unicodedata.normalize("NFC", video_id)
        entry = self.entries.get(key)
        if entry is None:
            name = self.unread.get(key)
            return None, name and f"{text_of(name)} is of a format that is not read"
        return entry.path, entry_problem(entry, self.src)


def open_folder(src: str, video_ids: Collection[str]) -> VideoFolder:
    """Lists the videos of a flat folder, or of `videos/` in it if more lie there.

    Args:
        src: The folder.
        video_ids: The videos that count; others, such as an introduction, do not.

    Raises:
        ManifestError: If the folder cannot be read.
    """
    directory, entries = src, _videos_by_id(src)
    inner = entries.get("videos")
    if inner is not None and inner.is_dir() and is_inside(inner.path, src):
        within = _videos_by_id(inner.path)
        if len(within.keys() & video_ids) > len(entries.keys() & video_ids):
            directory, entries = inner.path, within
    return VideoFolder(
        src=src, directory=directory, entries=entries, unread=_unread_by_id(directory)
    )


def list_folder(directory: str) -> list[os.DirEntry[str]]:
    """Lists a folder in the order of names, without what is hidden or a system's own.

    Raises:
        ManifestError: If it cannot be read.
    """
    try:
        with os.scandir(directory) as entries:
            visible = [
                entry
                for entry in entries
                if not entry.name.startswith(".") and not is_system_folder(entry.name)
            ]
    except OSError as error:
        raise ManifestError(
            f"cannot read the folder {text_of(directory)}: {error.strerror}"
        ) from error
    return sorted(visible, key=lambda entry: entry.name)


def folders_beside(src: str) -> list[str]:
    """Returns the parent folders of a folder: of its name, and of what it links to.

    Videos often lie on a large disk, with a link to them in a project. A folder that
    may be entered but not listed, as `/home` often is, is left out.
    """
    places = [os.path.abspath(src), os.path.realpath(src)]
    return [f for f in dict.fromkeys(map(os.path.dirname, places)) if _can_list(f)]


def is_inside(path: str, src: str) -> bool:
    """Returns whether a path, links followed, lies in a folder."""
    root = os.path.realpath(src)
    return os.path.commonpath([root, os.path.realpath(path)]) == root


def is_video_name(name: str) -> bool:
    """Returns whether a name ends like a video's.

    >>> is_video_name("00335.MP4"), is_video_name("00335.txt")
    (True, False)
    """
    return os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES


def is_system_folder(name: str) -> bool:
    """Returns whether a system, not a person, makes folders of this name.

    >>> is_system_folder("@eaDir"), is_system_folder("hello")
    (True, False)
    """
    return name.lower() in _SYSTEM_FOLDERS


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Returns whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def is_image_folder(path: str) -> bool:
    """Returns whether a path is a folder of numbered images, such as frames."""
    try:
        with os.scandir(path) as entries:
            return any(_NUMBERED_IMAGE.fullmatch(entry.name) for entry in entries)
    except OSError:
        return False


def entry_problem(entry: os.DirEntry[str], src: str) -> str | None:
    """Returns what `file_problem` does, for an entry of a listing inside `src`.

    The listing knows enough for a plain file: the file system is not asked again.
    """
    if entry.is_file(follow_symlinks=False):
        return None
    return file_problem(entry.path, src)


def file_problem(path: str, src: str) -> str | None:
    """Returns why a path must not or cannot be opened as a video.

    A pipe or a device would never end, and a link may lead to a file that whoever
    wrote the annotations must not see.

    Args:
        path: A path that exists in a folder, or that annotations name.
        src: The folder that it may not leave, links followed.

    Returns:
        The reason; None if it is a file, or a folder of numbered images, inside `src`.
    """
    try:
        if not is_inside(path, src):
            return "it leads outside the folder of videos"
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    if stat.S_ISREG(mode):
        return None
    if not stat.S_ISDIR(mode):
        return "it is neither a file nor a folder"
    if not is_image_folder(path):
        return "it is a folder without numbered images"
    with os.scandir(path) as entries:
        linked = sorted(entry.path for entry in entries if entry.is_symlink())
    if not all(is_inside(image, src) for image in linked):
        return "an image of it leads outside the folder of videos"
    return None


def _can_list(directory: str) -> bool:
    try:
        with os.scandir(directory):
            return True
    except OSError:
        return False


def _videos_by_id(directory: str) -> dict[str, os.DirEntry[str]]:
    """Maps ids to the entries of videos, or of folders, which may hold images."""
    ranked: dict[str, tuple[int, os.DirEntry[str]]] = {}
    for entry in list_folder(directory):
        stem, suffix = os.path.splitext(entry.name)
        if suffix.lower() in VIDEO_SUFFIXES:
            rank = VIDEO_SUFFIXES.index(suffix.lower())
        elif is_folder(entry):
            stem, rank = entry.name, len(VIDEO_SUFFIXES)
        else:
            continue
        bare = _without_suffixes(stem)
        if bare != stem:
            # After all that are named by the id alone.
            stem, rank = bare, rank + len(VIDEO_SUFFIXES) + 1
        stem = unicodedata.normalize("NFC", stem)
        # Listed by name, so that of 1.MP4 and 1.mp4 it is always the first that stays.
        if stem not in ranked or rank < ranked[stem][0]:
            ranked[stem] = (rank, entry)
    return {stem: entry for stem, (_, entry) in ranked.items()}


def _unread_by_id(directory: str) -> dict[str, str]:
    """Maps ids to the names of files that are named like videos and not read."""
    unread: dict[str, str] = {}
    for entry in list_folder(directory):
        stem, suffix = os.path.splitext(entry.name)
        # Without any suffix, too: a browser saves some downloads so.
        if suffix.lower() in UNREAD_SUFFIXES or (not suffix and not is_folder(entry)):
            unread[unicodedata.normalize("NFC", _without_suffixes(stem))] = entry.name
    return unread


def _without_suffixes(stem: str) -> str:
    """Removes the further suffixes of downloads: 00335.mp4.part, 00335.f137.mp4.

    The latter is how yt-dlp names a video before it is joined with its sound.
    """
    while is_video_name(stem) or re.fullmatch(r".+\.f[0-9]{1,3}", stem):
        stem = os.path.splitext(stem)[0]
    return stem

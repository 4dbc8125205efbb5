"""Finding the videos that annotations name by a path or by a name alone."""

import os
import re
import stat
import unicodedata
import urllib.parse
from collections.abc import Mapping, Sequence

from wlasl_tfrecord.text import shown, text_of
from wlasl_tfrecord.video.files import (
    VIDEO_SUFFIXES,
    file_problem,
    is_image_folder,
    is_inside,
    is_system_folder,
    is_video_name,
)

__all__ = ["PathFinder", "video_problem", "videos_below", "why_none_is_found"]

# As deep as published data sets have videos: copies of KArSL repeat two folders, as in
# 01/01/train/0001-0100/0001-0100/0001/1.mp4.
_MAX_FOLDERS_DOWN = 6


class PathFinder:
    """Finds the files that a table names by their paths inside a folder.

    Tables travel: their paths may have the separators of Windows, another Unicode form
    or other capitals than the names on this disk, the escapes of an address, or no
    suffix. A path that exists as it is written goes before all of that.
    """

    def __init__(self, src: str) -> None:
        self._src = src
        # How many names were found only with the zeros in front that they had lost.
        self.num_padded = 0
        # How many were found in other capitals.
        self.num_recased = 0
        self._listings: dict[str, dict[str, str]] = {}
        self._lower: dict[str, dict[str, set[str]]] = {}

    def find(self, name: str) -> tuple[str | None, str | None]:
        """Looks for a video.

        Args:
            name: Its path, relative to the folder; an absolute one counts too, if it
                leads inside.

        Returns:
            Its path, None if there is none; and why it cannot be used, None if nothing
            is known against it.
        """
        try:
            for path in self._spellings(name):
                # First, because whether a file outside exists must not show either.
                if not is_inside(path, self._src):
                    return None, f"its path leads outside {text_of(self._src)}"
                found = path if os.path.lexists(path) else self._listed(path)
                if found:
                    return found, file_problem(found, self._src)
        except (OSError, ValueError) as error:
            return None, f"cannot be read: {getattr(error, 'strerror', None) or error}"
        return None, None

    def _spellings(self, name: str) -> list[str]:
        names = [name]
        if "\\" in name and os.sep != "\\":
            names.append(name.replace("\\", "/"))
        if "%" in name:
            names.append(urllib.parse.unquote(name))
        return [os.path.normpath(os.path.join(self._src, each)) for each in names]

    def _listed(self, path: str) -> str | None:
        """Looks for a path in the listings of its folders, in Unicode form NFC."""
        found = self._src
        relative = os.path.relpath(path, self._src)
        *folders, last = relative.split(os.sep)
        # Without its suffix a video is named by its id.
        names = [last] if is_video_name(last) else [last, *_with_suffixes(last)]
        is_recased = False
        for candidates in (*([folder] for folder in folders), names):
            listing = self._listing(found)
            keys = [_nfc(name) for name in candidates]
            name = next((listing[key] for key in keys if key in listing), None)
            if name is None and candidates is names:
                name = self._padded(last, listing)
            if name is None:
                name = self._in_other_capitals(keys, found)
                is_recased = True
            if name is None:
                return None
            found = os.path.join(found, name)
        self.num_recased += is_recased
        return found

    def _in_other_capitals(self, keys: Sequence[str], directory: str) -> str | None:
        """Returns the one name that is a key in other capitals, as it is on Windows."""
        lower = self._lower.get(directory)
        if lower is None:
            # Once for each folder: tables have thousands of rows, half of them missing.
            lower = self._lower[directory] = {}
            for key, name in self._listing(directory).items():
                lower.setdefault(key.lower(), set()).add(name)
        names = set().union(*(lower.get(key.lower(), ()) for key in keys))
        return names.pop() if len(names) == 1 else None

    def _padded(self, name: str, listing: Mapping[str, str]) -> str | None:
        """Looks for 335 as 00335.mp4: spreadsheets take an id for a number."""
        match = re.fullmatch(r"([1-9][0-9]*)(\.[A-Za-z0-9]+)?", name)
        if not match:
            return None
        suffixes = [match[2].lower()] if match[2] else VIDEO_SUFFIXES
        padded = {
            listing[key]
            for zeros in ("0", "00", "000", "0000")
            for suffix in suffixes
            if (key := f"{zeros}{match[1]}{suffix}") in listing
        }
        if len(padded) != 1:
            return None
        self.num_padded += 1
        return padded.pop()

    def _listing(self, directory: str) -> Mapping[str, str]:
        listing = self._listings.get(directory)
        if listing is None:
            names: list[str] = []
            # What lies outside must not show by a link, either.
            if is_inside(directory, self._src) and os.path.isdir(directory):
                names = sorted(os.listdir(directory))
            listing = {_nfc(name): name for name in reversed(names)}
            # Suffixes count in any case: 00335.MP4 is 00335.
            for name in reversed(names):
                stem, suffix = os.path.splitext(name)
                listing.setdefault(_nfc(stem + suffix.lower()), name)
            self._listings[directory] = listing
        return listing


def videos_below(src: str) -> list[str]:
    """Lists the videos in and below a folder, and the folders of numbered images.

    Links to folders are not followed; what is hidden or a system's own is left out.

    Returns:
        Their paths inside `src`, in the order of folders and names.
    """
    found: list[str] = []
    for directory, folders, files in os.walk(src):
        inside = os.path.relpath(directory, src)
        depth = 0 if inside == "." else inside.count(os.sep) + 1
        folders[:] = [
            name
            for name in (sorted(folders) if depth < _MAX_FOLDERS_DOWN else ())
            if name[0] != "." and not is_system_folder(name)
        ]
        names = [name for name in files if name[0] != "." and is_video_name(name)]
        found += [os.path.normpath(os.path.join(inside, n)) for n in sorted(names)]
        # Frames that somebody extracted before are one video.
        if inside != "." and not names and not folders and is_image_folder(directory):
            found.append(inside)
    return found


def video_problem(path: str, src: str) -> str | None:
    """Returns why a path that was listed cannot be opened as a video.

    A plain file inside `src` cannot lead elsewhere: asking the file system for the real
    path of each takes most of the time of reading a manifest.
    """
    if stat.S_ISREG(os.lstat(path).st_mode):
        return None
    return file_problem(path, src)


def why_none_is_found(names: Sequence[str], src: str) -> str:
    """Returns the likeliest reason why none of the paths of a table exists.

    Args:
        names: The paths as the table has them.
        src: The folder in which they were looked for.
    """
    there = videos_below(src)
    if not there:
        return f"there is no video in {text_of(src)}; check --src"
    by_name: dict[str, str] = {}
    by_stem: dict[str, str] = {}
    for path in reversed(there):
        name = _nfc(os.path.basename(path))
        by_name[name] = by_stem[_stem(name)] = path
    for name in names:
        wanted = _nfc(re.split(r"[/\\]", name)[-1])
        if wanted in by_name:
            return _folders_differ(name, by_name[wanted], src)
        if _stem(wanted) in by_stem:
            return (
                f"{text_of(by_stem[_stem(wanted)])} is there, with another extension "
                "or in other capitals; change the table, or rename the files"
            )
    return (
        f"its first is {shown(names[0])}, and the first video in "
        f"{text_of(src)} is {text_of(there[0])}; check --src"
    )


def _folders_differ(name: str, there: str, src: str) -> str:
    wanted = name.replace("\\", "/").strip("/")
    if there.endswith(f"/{wanted}"):
        folder = os.path.join(src, there.removesuffix(f"/{wanted}"))
        return (
            f"{shown(name)} lies there as {text_of(there)}; name the folder "
            f"{text_of(folder)} with --src"
        )
    if wanted.endswith(f"/{there.replace(os.sep, '/')}"):
        folder = wanted.removesuffix(f"/{there}")
        return (
            f"{shown(name)} lies there as {text_of(there)}; the paths start with the "
            f"folder {shown(folder)}, which is not in --src: remove it from the paths, "
            "or name the folder that has it with --src"
        )
    return f"{shown(name)} lies there as {text_of(there)}; change the table or --src"


def _with_suffixes(stem: str) -> list[str]:
    return [stem + suffix for suffix in VIDEO_SUFFIXES]


def _stem(name: str) -> str:
    return (os.path.splitext(name)[0] if is_video_name(name) else name).casefold()


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)

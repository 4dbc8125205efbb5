"""Stray videos: files named like videos in places where none is looked for."""

import os
from collections.abc import Collection
from pathlib import PurePath

from wlasl_tfrecord.video.files import (
    UNREAD_SUFFIXES,
    VIDEO_SUFFIXES,
    is_system_folder,
)

__all__ = ["stray_videos"]

# As deep as people put videos: train/<sign>/<day>/1.mp4.
_MAX_FOLDERS_DOWN = 3


def stray_videos(src: str, taken: Collection[str]) -> list[str]:
    """Looks in and below a folder for files named like videos that are not taken.

    Links to folders are not followed, and what is hidden or a system's own does not
    count. Folders that cannot be read, that are taken themselves, or that lie deeper
    than people put videos are not entered: this is for a remark, and must end soon
    wherever `src` is.

    Args:
        src: The folder.
        taken: The paths of the videos and folders of images that are taken.

    Returns:
        Their paths inside `src`, in the order of folders and names.
    """
    suffixes = VIDEO_SUFFIXES + UNREAD_SUFFIXES
    strays: list[str] = []
    for directory, folders, files in os.walk(src):
        inside = os.path.relpath(directory, src)
        is_deepest = len(PurePath(inside).parts) == _MAX_FOLDERS_DOWN
        folders[:] = [
            name
            for name in (() if is_deepest else sorted(folders))
            if name[0] != "."
            and not is_system_folder(name)
            and os.path.join(directory, name) not in taken
        ]
        strays += [
            os.path.normpath(os.path.join(inside, name))
            for name in sorted(files)
            if name[0] != "."
            and os.path.splitext(name)[1].lower() in suffixes
            and os.path.join(directory, name) not in taken
        ]
    if not strays:
        return strays
    # Splits are often links to the videos of one folder, which are then taken too.
    targets = set(map(os.path.realpath, taken))
    return [p for p in strays if os.path.realpath(os.path.join(src, p)) not in targets]

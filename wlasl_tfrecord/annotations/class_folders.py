"""A folder for each gloss, with or without a folder for each split above."""

import dataclasses
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from wlasl_tfrecord.annotations.checks import checked_gloss, unique_ids
from wlasl_tfrecord.annotations.class_list import CLASSES_FILE, read_class_list
from wlasl_tfrecord.annotations.gloss_folders import check_gloss_folders, check_sides
from wlasl_tfrecord.annotations.manifest import Instance, Manifest
from wlasl_tfrecord.annotations.splits import (
    MADE_BY_NAME,
    SPLIT_SHARES,
    SPLIT_WORDS,
    VAL_OF_TRAIN,
    split_by_name,
)
from wlasl_tfrecord.annotations.stray_videos import stray_videos
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.shard_format.layout import SPLITS
from wlasl_tfrecord.text import shown, text_of
from wlasl_tfrecord.video.files import (
    VIDEO_SUFFIXES,
    entry_problem,
    folders_beside,
    is_folder,
    is_image_folder,
    is_inside,
    is_video_name,
    list_folder,
)

__all__ = ["check_sorted", "class_folder_manifest"]

_TAKEN = (
    "<sign>/*, or train/<sign>/*, val/<sign>/* and test/<sign>/*, of "
    f"{' '.join(VIDEO_SUFFIXES)}"
)


@dataclass(frozen=True, kw_only=True)
class _Video:
    """One video in the folder of its gloss; `split` is None where none is given."""

    split: str | None
    gloss: str
    name: str
    path: str
    problem: str | None


def class_folder_manifest(src: str, *, are_signs: bool = False) -> Manifest | None:
    """Reads `train/<sign>/*.mp4` …, or `<sign>/*.mp4` with no split.

    Without a val folder, a fifth of train becomes val. Without any split, all three are
    made. Both are done gloss by gloss, by a hash of the names. The id of a video is its
    path inside `src`. Folders with the same name in two Unicode forms are one gloss.

    Args:
        src: The folder.
        are_signs: Whether the user says that folders name the glosses.

    Returns:
        The manifest, its instances by split, label and name; None if there is no folder
        of videos in `src`.

    Raises:
        ManifestError: If a folder cannot be read or named, is not in classes.txt, or
            has a name that is no gloss; or if the files may be named by glosses.
    """
    split_folders = [
        entry
        for entry in list_folder(src)
        if is_folder(entry) and entry.name.lower() in SPLIT_WORDS
    ]
    notes: list[str] = []
    splits_from = "names of folders"
    videos: list[_Video] = []
    for folder in split_folders:
        split = SPLIT_WORDS[folder.name.lower()]
        videos.extend(_videos_of_split(folder.path, src, split))
    if not videos:
        videos = _videos_of_split(src, src, None)
        if not videos:
            return None
        videos = _split(videos, SPLIT_SHARES)
        splits_from = MADE_BY_NAME
    elif {"train"} <= {video.split for video in videos} <= {"train", "test"}:
        rest = [video for video in videos if video.split == "test"]
        train = [video for video in videos if video.split == "train"]
        videos = _split(train, VAL_OF_TRAIN) + rest
        splits_from = "names of folders; no val folder, so a fifth of train is val"
    strays = stray_videos(src, {video.path for video in videos})
    if strays:
        notes.append(
            f"videos in {text_of(src)} that are left out: {len(strays):,}, such as "
            f"{text_of(strays[0])}; taken are {_TAKEN}"
        )
    names: dict[str, list[str]] = {}
    for video in videos:
        names.setdefault(video.gloss, []).append(video.name)
    glosses, labels_from = _glosses(src, names, are_signs)
    labels = {gloss: label for label, gloss in enumerate(glosses)}
    videos.sort(key=lambda v: (SPLITS.index(v.split or ""), labels[v.gloss], v.path))
    instances = tuple(
        Instance(
            video_id=_id_of(video.path, src),
            gloss=video.gloss,
            label=labels[video.gloss],
            split=video.split or "",
            path=video.path,
            problem=video.problem,
        )
        for video in videos
    )
    # Two names may differ only in what cannot be written in one line.
    unique_ids(instances, text_of(src))
    return Manifest(
        instances=instances,
        glosses=glosses,
        annotations=src,
        labels_from=labels_from,
        splits_from=splits_from,
        notes=tuple(notes),
    )


def check_sorted(folders: Manifest, annotations: Manifest) -> None:
    """Refuses class folders that hold videos of several glosses of annotations.

    Such folders only hold the videos, as `raw_videos/` or `train/` does. The words
    themselves may differ: people spell them in other ways.

    Args:
        folders: The manifest of the class folders.
        annotations: The manifest of a file of which no video was found.

    Raises:
        ManifestError: If one folder holds videos of two glosses of the annotations.
    """
    known = {instance.video_id: instance.gloss for instance in annotations.instances}
    seen: dict[str, tuple[str, str]] = {}
    for instance in folders.instances:
        directory, name = os.path.split(instance.path or "")
        # An id of WLASL is the name without its end, one of a CSV is all of it.
        gloss = known.get(name) or known.get(os.path.splitext(name)[0])
        if gloss is None:
            continue
        other_gloss, other_name = seen.setdefault(directory, (gloss, name))
        if gloss != other_gloss:
            raise ManifestError(
                f"{text_of(directory)} is not a folder of one sign: "
                f"{text_of(other_name)} is {shown(other_gloss)} and {text_of(name)} "
                f"{shown(gloss)} in {text_of(annotations.annotations)}; name the one "
                "folder that holds all videos with --src, or move the annotations away"
            )


def _videos_of_split(directory: str, src: str, split: str | None) -> list[_Video]:
    """Lists the videos in the folders of a folder."""
    videos: list[_Video] = []
    for folder in list_folder(directory):
        if not is_folder(folder):
            continue
        if not is_inside(folder.path, src):
            raise ManifestError(
                f"folder {shown(folder.path)} leads outside {text_of(src)}; move "
                "it there"
            )
        entries = [
            entry
            for entry in list_folder(folder.path)
            if is_video_name(entry.name)
            or (is_folder(entry) and is_image_folder(entry.path))
        ]
        # A folder of images right here is a video, not a gloss of videos.
        if not entries:
            continue
        gloss = checked_gloss(text_of(folder.name), f"folder {shown(folder.path)}")
        videos.extend(
            _Video(
                split=split,
                gloss=gloss,
                name=entry.name,
                path=entry.path,
                problem=entry_problem(entry, src),
            )
            for entry in entries
        )
    return videos


def _split(videos: Iterable[_Video], shares: Mapping[str, float]) -> list[_Video]:
    """Assigns videos to splits, gloss by gloss, by the hash of their names."""
    by_gloss: dict[str, list[_Video]] = {}
    for video in videos:
        by_gloss.setdefault(video.gloss, []).append(video)
    assigned: list[_Video] = []
    for group in by_gloss.values():
        splits = split_by_name([video.name for video in group], shares)
        assigned += [dataclasses.replace(v, split=splits[v.name]) for v in group]
    return assigned


def _glosses(
    src: str, found: Mapping[str, Collection[str]], are_signs: bool
) -> tuple[tuple[str, ...], str]:
    """Orders the glosses as classes.txt in or beside the folder has them, or by name.

    Returns:
        The glosses by label, and where their order is from.
    """
    for directory in (src, *folders_beside(src)):
        path = os.path.join(directory, CLASSES_FILE)
        if os.path.isfile(path):
            listed = read_class_list(path)
            unknown = sorted(set(found) - set(listed))
            if unknown:
                raise ManifestError(
                    f"folder {shown(unknown[0])} in {text_of(src)} is not a class of "
                    f"{path}; add it there or move the folder away"
                )
            return listed, text_of(path)
    glosses = tuple(sorted(found))
    check_gloss_folders(glosses, src)
    if not are_signs:
        check_sides(found, src)
    return glosses, "names of folders"


def _id_of(path: str, src: str) -> str:
    """Returns the path of a video inside `src`, the same on every system."""
    return text_of(os.path.relpath(path, src)).replace(os.sep, "/")

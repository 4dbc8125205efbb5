"""The manifest of a folder of videos: whatever annotates it, one checked list."""

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

from wlasl_tfrecord.annotations.class_folders import check_sorted, class_folder_manifest
from wlasl_tfrecord.annotations.csv_table import csv_manifest, split_in_name
from wlasl_tfrecord.annotations.discovery import (
    FileFormat,
    LabelFiles,
    annotation_file,
    class_list_beside,
    find_label_files,
    format_of,
    names_of_videos,
    wlasl_beside,
)
from wlasl_tfrecord.annotations.layouts import LayoutName, find_layout, read_layout
from wlasl_tfrecord.annotations.located import locate_videos
from wlasl_tfrecord.annotations.manifest import UNKNOWN_SIGNER, Instance, Manifest
from wlasl_tfrecord.annotations.nslt_json import nslt_manifest
from wlasl_tfrecord.annotations.splits import split_by_signer
from wlasl_tfrecord.annotations.stray_videos import stray_videos
from wlasl_tfrecord.annotations.table import is_table_name
from wlasl_tfrecord.annotations.video_paths import videos_below, why_none_is_found
from wlasl_tfrecord.annotations.wlasl_json import load_json, wlasl_manifest
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.text import shown, text_of
from wlasl_tfrecord.video.files import (
    VIDEO_SUFFIXES,
    folders_beside,
    is_image_folder,
    is_video_name,
    list_folder,
)

__all__ = [
    "FORMATS",
    "SPLIT_SOURCES",
    "AnnotationFormat",
    "Instance",
    "Manifest",
    "SplitSource",
    "read_manifest",
]

SplitSource = Literal["annotations", "signer"]
SPLIT_SOURCES: tuple[SplitSource, ...] = get_args(SplitSource)
AnnotationFormat = FileFormat | Literal["folders"] | LayoutName
FORMATS: tuple[AnnotationFormat, ...] = (
    *get_args(FileFormat),
    "folders",
    *get_args(LayoutName),
)


def read_manifest(
    src: str | os.PathLike[str],
    *,
    annotations: str | os.PathLike[str] | None = None,
    annotation_format: AnnotationFormat | None = None,
    subset: int | None = None,
    split_by: SplitSource = "annotations",
) -> Manifest:
    """Reads the labels of a folder of videos, before any video is opened.

    Args:
        src: The folder of videos. No path leaves it, links followed.
        annotations: WLASL_v0.3.json, nslt_K.json or a table (CSV); or a folder that
            holds one; or "none" if the folders of `src` name the glosses. By default it
            is looked for in `src`, in its parent, and in folders of labels in both.
            Then `src` may have the layout of a published data set. Else its folders
            name the glosses, unless there is a file of labels that is not understood.
        annotation_format: The format of the annotations, or the data set whose layout
            `src` has; by default it is recognised.
        subset: Keep the first K glosses: 100, 300, 1000 and 2000 are WLASL's subsets.
        split_by: "annotations" takes the splits as given. "signer" makes new ones that
            share no signer, from all signers of the annotations, so that they agree for
            every subset.

    Returns:
        The manifest. An instance whose video is not there has no path; one that cannot
        be used has a problem.

    Raises:
        ManifestError: If the annotations are damaged, ambiguous or of no known format,
            if they name no video that is there, or if there are no videos.
        ValueError: If `subset`, `split_by` or `annotation_format` can never be right.

    Reference:
        Li et al., "Word-level Deep Sign Language Recognition from Video", WACV 2020.
    """
    if subset is not None and subset < 1:
        raise ValueError(f"subset must be at least 1, got {subset}")
    if split_by not in SPLIT_SOURCES:
        raise ValueError(f"split_by must be one of {SPLIT_SOURCES}, got {split_by!r}")
    if annotation_format is not None and annotation_format not in FORMATS:
        raise ValueError(
            f"annotation_format must be one of {FORMATS}, got {annotation_format!r}"
        )
    root = os.fspath(src)
    if "://" in root:
        # Not all of it: it may have a password.
        raise ManifestError(
            f"{text_of(root.partition('://')[0])}://… is not a local folder; copy the "
            "videos to one, and name it with --src"
        )
    if not os.path.isdir(root):
        raise ManifestError(
            f"no folder of videos at '{text_of(root)}'; name one with --src"
        )
    named = None if annotations is None else os.fspath(annotations)
    if named == "none":
        manifest = _from_class_folders(root, are_signs=True)
    elif annotation_format:
        path = named and annotation_file(named, subset)
        manifest = _from_format(path, root, annotation_format)
    elif named is not None:
        manifest = _from_file(annotation_file(named, subset), root)
    else:
        manifest = _from_folder(root, subset)
    if split_by == "signer":
        manifest = _split_by_signer(manifest)
    if subset is not None:
        manifest = _first_glosses(manifest, subset)
    if not any(instance.path for instance in manifest.instances):
        raise ManifestError(_no_videos(manifest, root))
    return manifest


def _from_folder(src: str, subset: int | None) -> Manifest:
    """Reads a folder whose annotations are not named."""
    files = find_label_files(src, subset)
    manifest = _from_file(files.complete, src) if files.complete else None
    if manifest and any(instance.path for instance in manifest.instances):
        return manifest.replace(manifest.instances, *_not_used(files))
    layout = find_layout(src)
    if layout:
        return layout
    if files.partial:
        return csv_manifest(_tables_of_splits(files.partial), src)
    if files.unread:
        raise ManifestError(
            f"{files.unread[0]}. Rename its columns, move it away, or say "
            "--annotations none if folders name the glosses"
        )
    _check_others(files.others, src)
    return _from_class_folders(src, manifest)


def _check_others(paths: Sequence[str], src: str) -> None:
    """Refuses text files that name the videos: they may have other labels."""
    videos = videos_below(src) if paths else []
    for path in paths:
        named = names_of_videos(path, videos)
        if named:
            raise ManifestError(
                f"{text_of(path)} names videos of {text_of(src)}, such as "
                f"{text_of(os.path.basename(named[0]))}, and is of no known format. "
                "Make a CSV with the columns path,gloss,split of it, move it away, or "
                "say --annotations none if folders name the glosses"
            )


def _from_class_folders(
    src: str, annotations: Manifest | None = None, *, are_signs: bool = False
) -> Manifest:
    """Reads class folders.

    Args:
        src: The folder.
        annotations: Those of which no video was found.
        are_signs: Whether the user says that folders name the glosses.
    """
    folders = class_folder_manifest(src, are_signs=are_signs)
    if folders is None:
        if annotations:
            return annotations
        raise ManifestError(_nothing_found(src))
    if annotations:
        check_sorted(folders, annotations)
        # Common: the class folders that somebody sorted out of WLASL, with its JSON
        # still lying beside them.
        note = f"{annotations.annotations} is not used: folders name the glosses"
        return folders.replace(folders.instances, note)
    return folders


def _from_format(path: str | None, src: str, form: AnnotationFormat) -> Manifest:
    """Reads a folder in the one format that the user named."""
    if form == "folders":
        return _from_class_folders(src, are_signs=True)
    if form in ("wlasl", "nslt", "csv"):
        if path is None:
            files = find_label_files(src, None)
            path = files.complete
            if (
                form == "csv"
                and files.partial
                and (path is None or format_of(path) != form)
            ):
                return csv_manifest(_tables_of_splits(files.partial), src)
            if path is None or format_of(path) != form:
                raise ManifestError(
                    f"no label file of the format {form} in or beside {text_of(src)}; "
                    "name it with --annotations"
                )
        return _from_file(path, src, form)
    return read_layout(form, src)


def _from_file(path: str, src: str, form: FileFormat | None = None) -> Manifest:
    """Reads an annotation file, and looks for its videos."""
    # Its own reader knows best what is wrong with the columns of a table.
    is_table = is_table_name(path)
    match form or ("csv" if is_table else format_of(path)):
        case "csv":
            return csv_manifest([path], src)
        case "wlasl":
            manifest = wlasl_manifest(load_json(path), path)
        case "nslt":
            beside = [os.path.dirname(path) or ".", src, *folders_beside(src)]
            manifest = nslt_manifest(
                load_json(path), path, class_list_beside(beside), wlasl_beside(beside)
            )
        case None:
            raise ManifestError(
                f"{path} is of no known format; known: WLASL_v0.3.json, nslt_K.json, "
                "CSV with the columns path,gloss,split"
            )
    return locate_videos(manifest, src)


def _tables_of_splits(paths: Sequence[str]) -> Sequence[str]:
    """Returns the tables to read together: one, or one for each split."""
    splits = [split_in_name(path) for path in paths]
    if len(paths) > 1 and (None in splits or len(set(splits)) < len(splits)):
        names = ", ".join(text_of(os.path.basename(path)) for path in paths)
        raise ManifestError(
            f"{text_of(os.path.dirname(paths[0]))} has several tables of labels: "
            f"{names}; name one with --annotations, or say --annotations none if "
            "folders name the glosses"
        )
    return paths


def _not_used(files: LabelFiles) -> list[str]:
    """Names the tables that are not read because a complete file is there."""
    others = [*files.partial, *files.unread]
    if not others:
        return []
    reason = f"{text_of(others[0])} lacks splits or paths"
    if files.unread:
        reason = files.unread[0]
    return [f"label files that are not used: {len(others)}; {reason}"]


def _split_by_signer(manifest: Manifest) -> Manifest:
    """Replaces the split of every instance by that of its signer."""
    signers = [i.signer_id for i in manifest.instances if i.signer_id != UNKNOWN_SIGNER]
    if not signers:
        raise ManifestError(
            f"{manifest.annotations} names no signers, so splits by signer cannot be "
            "made; use annotations with signer_id"
        )
    splits = split_by_signer(signers)
    instances: list[Instance] = []
    for instance in manifest.instances:
        if instance.signer_id == UNKNOWN_SIGNER:
            # In any split, its signer might be in another one too.
            reason = instance.problem
            if instance.path is not None:
                reason = reason or "its signer is unknown, splits are by signer"
            instances.append(dataclasses.replace(instance, problem=reason))
        else:
            split = splits[instance.signer_id]
            instances.append(dataclasses.replace(instance, split=split))
    counts = Counter(splits.values())
    note = (
        f"splits by signer: {counts['train']} signers in train, {counts['val']} in "
        f"val, {counts['test']} in test"
    )
    left_out = len(manifest.instances) - len(signers)
    if left_out:
        note += f"; {left_out} instances of unknown signers are left out"
    made = dataclasses.replace(manifest, splits_from="the hash of the signers")
    return made.replace(instances, note)


def _first_glosses(manifest: Manifest, subset: int) -> Manifest:
    """Keeps the first K glosses."""
    if subset > len(manifest.glosses):
        raise ManifestError(
            f"{text_of(manifest.annotations)} has {len(manifest.glosses)} glosses, not "
            f"{subset}; ask for a smaller --subset"
        )
    kept = [instance for instance in manifest.instances if instance.label < subset]
    return manifest.replace(kept, glosses=subset)


def _no_videos(manifest: Manifest, src: str) -> str:
    """Returns the message that no video of the annotations is there, and why."""
    names = [e.name for e in list_folder(src) if is_video_name(e.name)]
    there = (
        f"it has {len(names)}, such as {text_of(names[0])}" if names else "it has none"
    )
    wanted = [instance.video_id for instance in manifest.instances] or ["?"]
    return (
        f"no videos in {text_of(src)} ({there}) of the {len(manifest.instances)} in "
        f"{text_of(manifest.annotations)}, such as {shown(wanted[0])}: "
        f"{why_none_is_found(wanted, src)}; check --src and --annotations"
    )


def _nothing_found(src: str) -> str:
    """Returns what a folder lacks that has neither annotations nor class folders."""
    videos = [
        entry
        for entry in list_folder(src)
        if is_video_name(entry.name) or is_image_folder(entry.path)
    ]
    if videos:
        return (
            f"no annotations for the {len(videos)} videos in {text_of(src)}; put "
            "WLASL_v0.3.json, nslt_K.json or a CSV beside them, or name it with "
            "--annotations"
        )
    strays = stray_videos(src, ())
    there = f"{len(strays):,} others, such as {text_of(strays[0])}" if strays else ""
    return (
        f"no videos ({' '.join(VIDEO_SUFFIXES)}) in {text_of(src)} or its class "
        f"folders{there and f', but {there}'}; check --src"
    )

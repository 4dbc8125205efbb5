"""The manifest of a folder of videos: whatever annotates it, one checked list."""

import dataclasses
import os
from collections import Counter
from typing import Literal, get_args

from wlasl_tfrecord.annotations.class_folders import check_sorted, class_folder_manifest
from wlasl_tfrecord.annotations.csv_table import csv_manifest
from wlasl_tfrecord.annotations.discovery import (
    annotation_file,
    class_list_beside,
    find_annotations,
    format_of,
    wlasl_beside,
)
from wlasl_tfrecord.annotations.manifest import UNKNOWN_SIGNER, Instance, Manifest
from wlasl_tfrecord.annotations.nslt_json import nslt_manifest
from wlasl_tfrecord.annotations.splits import split_by_signer
from wlasl_tfrecord.annotations.stray_videos import stray_videos
from wlasl_tfrecord.annotations.wlasl_json import load_json, wlasl_manifest
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.text import shown, text_of
from wlasl_tfrecord.video.files import (
    VIDEO_SUFFIXES,
    folders_beside,
    is_image_folder,
    is_video_name,
    list_folder,
    open_folder,
)

__all__ = ["SPLIT_SOURCES", "Instance", "Manifest", "SplitSource", "read_manifest"]

SplitSource = Literal["annotations", "signer"]
SPLIT_SOURCES: tuple[SplitSource, ...] = get_args(SplitSource)


def read_manifest(
    src: str | os.PathLike[str],
    *,
    annotations: str | os.PathLike[str] | None = None,
    subset: int | None = None,
    split_by: SplitSource = "annotations",
) -> Manifest:
    """Reads what there is to know of a folder of videos, before any is opened.

    Args:
        src: The folder of videos. No path leaves it, links followed.
        annotations: WLASL_v0.3.json, nslt_K.json or a CSV; or a folder that holds one.
            By default it is looked for in `src`, in its parent, and in `annotations/`
            of both; without one the folders of `src` name the glosses.
        subset: Keep the first K glosses: 100, 300, 1000 and 2000 are WLASL's subsets.
        split_by: "annotations" takes the splits as given. "signer" makes new ones in
            which nobody signs twice, from all signers of the annotations, so that they
            agree for every subset.

    Returns:
        The manifest. An instance whose video is not there has no path; one that cannot
        be used has a problem.

    Raises:
        ManifestError: If the annotations are damaged, ambiguous or of no known format,
            or if there are no videos.
        ValueError: If `subset` or `split_by` can never be right.

    Reference:
        Li et al., "Word-level Deep Sign Language Recognition from Video", WACV 2020.
    """
    if subset is not None and subset < 1:
        raise ValueError(f"subset must be at least 1, got {subset}")
    if split_by not in SPLIT_SOURCES:
        raise ValueError(f"split_by must be one of {SPLIT_SOURCES}, got {split_by!r}")
    root = os.fspath(src)
    if "://" in root:
        raise ManifestError(
            f"{text_of(root)} is no local folder; copy the videos to one, and name it "
            "with --src"
        )
    if not os.path.isdir(root):
        raise ManifestError(
            f"no folder of videos at '{text_of(root)}'; name one with --src"
        )
    if annotations is not None:
        manifest = _from_file(annotation_file(os.fspath(annotations), subset), root)
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
    """Reads a folder without having been told what annotates it."""
    found = find_annotations(src, subset)
    manifest = _from_file(found, src) if found else None
    if manifest and any(instance.path for instance in manifest.instances):
        return manifest
    folders = class_folder_manifest(src)
    if folders is None:
        if manifest:
            return manifest
        raise ManifestError(_nothing_found(src))
    if manifest:
        check_sorted(folders, manifest)
        # Common: the class folders that somebody sorted out of WLASL, with its JSON
        # still lying beside them.
        note = f"{manifest.annotations} is not used: folders name the glosses"
        return folders.replace(folders.instances, note)
    return folders


def _from_file(path: str, src: str) -> Manifest:
    """Reads an annotation file, and looks for its videos."""
    # Its own reader says best what is wrong with the columns of a table.
    is_table = path.lower().endswith(".csv")
    match "csv" if is_table else format_of(path):
        case "csv":
            return csv_manifest(path, src)
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
    return _locate(manifest, src)


def _locate(manifest: Manifest, src: str) -> Manifest:
    """Looks for the videos of all instances, in one listing of the folder."""
    folder = open_folder(src, {instance.video_id for instance in manifest.instances})
    instances: list[Instance] = []
    for instance in manifest.instances:
        path, problem = folder.find(instance.video_id)
        if path is not None:
            # Of a video that is not there it would be no use to know.
            problem = instance.problem or problem
        instances.append(dataclasses.replace(instance, path=path, problem=problem))
    known = {instance.video_id for instance in instances}
    others = [
        entry.name
        for video_id, entry in folder.entries.items()
        if video_id not in known and is_video_name(entry.name)
    ]
    if not others:
        return manifest.replace(instances)
    note = (
        f"videos in {text_of(folder.directory)} that {text_of(manifest.annotations)} "
        f"does not name: {len(others):,}, such as {text_of(others[0])}"
    )
    return manifest.replace(instances, note)


def _split_by_signer(manifest: Manifest) -> Manifest:
    """Gives every instance the split of its signer."""
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
            # In whichever split it went, its signer might be in another one too.
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
    return manifest.replace(instances, note)


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
    """Says that no video of the annotations is there, with one that is."""
    names = [e.name for e in list_folder(src) if is_video_name(e.name)]
    there = (
        f"it has {len(names)}, such as {text_of(names[0])}" if names else "it has none"
    )
    wanted = manifest.instances[0].video_id if manifest.instances else "?"
    return (
        f"no videos in {text_of(src)} ({there}) of the {len(manifest.instances)} in "
        f"{text_of(manifest.annotations)}, such as {shown(wanted)}; check --src and "
        "--annotations"
    )


def _nothing_found(src: str) -> str:
    """Says what a folder without annotations and without class folders lacks."""
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

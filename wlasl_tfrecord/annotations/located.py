"""The videos of WLASL's instances, looked for by their ids and by their addresses."""

import dataclasses
import os

from wlasl_tfrecord.annotations.manifest import Instance, Manifest
from wlasl_tfrecord.annotations.youtube import youtube_id
from wlasl_tfrecord.text import text_of
from wlasl_tfrecord.video.files import (
    VideoFolder,
    is_inside,
    is_video_name,
    open_folder,
)

__all__ = ["locate_videos"]

# What WLASL's own video_downloader.py and preprocess.py leave behind. Videos of YouTube
# are named by YouTube's id there, and are whole: several instances share one.
_RAW_FOLDERS = ("raw_videos_mp4", "raw_videos")


def locate_videos(manifest: Manifest, src: str) -> Manifest:
    """Looks for the videos of all instances, in one listing of each folder.

    A video is named by its id. Where that is missing, the download that WLASL's own
    scripts leave behind is taken, in `src` or in `raw_videos/` in it; the range of the
    instance cuts the sign out of it.

    Reference:
        https://github.com/dxli94/WLASL/tree/master/start_kit
    """
    ids = {instance.video_id for instance in manifest.instances}
    found = {youtube_id(instance.url) for instance in manifest.instances}
    youtube_ids = {name for name in found if name}
    folder = open_folder(src, ids)
    raw_folders = [
        open_folder(directory, ids | youtube_ids)
        for directory in (src, *(os.path.join(src, name) for name in _RAW_FOLDERS))
        if os.path.isdir(directory) and is_inside(directory, src)
    ]
    instances: list[Instance] = []
    downloads: list[str] = []
    for instance in manifest.instances:
        path, problem = folder.find(instance.video_id)
        if path is None:
            path, raw_problem = _find_raw(instance, raw_folders)
            problem = raw_problem or problem
            downloads += [path] if path else []
        if path is not None:
            # Of a missing video it would be of no use to know.
            problem = instance.problem or problem
        instances.append(dataclasses.replace(instance, path=path, problem=problem))
    notes: list[str] = []
    if downloads:
        notes.append(
            f"videos found among the downloads of WLASL's own script: "
            f"{len(downloads):,}, such as {text_of(downloads[0])}"
        )
    known = ids | (youtube_ids if downloads else set())
    others = [
        entry.name
        for video_id, entry in folder.entries.items()
        if video_id not in known and is_video_name(entry.name)
    ]
    if others:
        notes.append(
            f"videos in {text_of(folder.directory)} that "
            f"{text_of(manifest.annotations)} does not name: {len(others):,}, such as "
            f"{text_of(others[0])}"
        )
    return manifest.replace(instances, *notes)


def _find_raw(
    instance: Instance, folders: list[VideoFolder]
) -> tuple[str | None, str | None]:
    names = [youtube_id(instance.url), instance.video_id]
    for folder in folders:
        for name in names:
            if name:
                path, problem = folder.find(name)
                if path or problem:
                    return path, problem
    return None, None

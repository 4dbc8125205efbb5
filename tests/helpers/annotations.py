"""Annotations of videos, drawn for tests."""

import json


def wlasl_row(video_id, split="train", **changes):
    return {
        "video_id": video_id,
        "split": split,
        "signer_id": 3,
        "frame_start": 1,
        "frame_end": -1,
        "fps": 25,
        **changes,
    }


def wlasl_json(path, glosses):
    """Writes {gloss: rows} in WLASL's format."""
    content = [{"gloss": gloss, "instances": rows} for gloss, rows in glosses.items()]
    path.write_text(json.dumps(content))
    return path


def touch(folder, *names):
    """Makes files; nobody opens them here, so they hold nothing."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def by_id(manifest):
    return {instance.video_id: instance for instance in manifest.instances}


def nslt_json(path, rows):
    path.write_text(
        json.dumps(
            {
                video_id: {"subset": split, "action": [label, 1, 9]}
                for video_id, (split, label) in rows.items()
            }
        )
    )
    return path

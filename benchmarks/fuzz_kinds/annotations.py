"""Annotations: label files beside a folder of videos."""

import json
from pathlib import Path

from benchmarks.fuzz_kinds.changes import changed_json, changed_table
from benchmarks.fuzz_kinds.kind import Change, Kind

__all__ = ["KINDS", "NSLT", "TABLE", "WLASL"]


def annotation_kind(
    directory: Path, name: str, content: bytes, change: Change = changed_json
) -> Kind:
    """A label file beside a folder of videos."""
    from wlasl_tfrecord.annotations.reader import read_manifest

    src = directory / "videos"
    src.mkdir()
    for video_id in ("00335", "00336", "00338"):
        (src / f"{video_id}.mp4").touch()
    (directory / "wlasl_class_list.txt").write_text("0\tbook\n1\tdrink\n")
    path = directory / name

    def read(forged: bytes) -> None:
        path.write_bytes(forged)
        manifest = read_manifest(src, annotations=path)
        for instance in manifest.instances:
            assert instance.gloss == manifest.glosses[instance.label]
            assert instance.path is None or instance.path.startswith(str(src))
            instance.video_id.encode()

    return Kind(content=content, change=change, read=read)


WLASL = [
    {
        "gloss": "book",
        "instances": [
            {
                "bbox": [385, 37, 885, 720],
                "fps": 25,
                "frame_end": 57,
                "frame_start": 3,
                "instance_id": 0,
                "signer_id": 118,
                "source": "aslbrick",
                "split": "train",
                "url": "http://example.org/book.mp4",
                "variation_id": 0,
                "video_id": "00335",
            },
            {"video_id": "00336", "split": "val", "frame_end": -1},
        ],
    },
    {"gloss": "drink", "instances": [{"video_id": "00338", "split": "test"}]},
]
NSLT = {
    "00335": {"subset": "train", "action": [0, 1, 57]},
    "00338": {"subset": "test", "action": [1, 3, 20]},
}
TABLE = (
    "path,gloss,split,start,stop,signer_id\n00335.mp4,book,train,3,57,118\n"
    "00336.mp4,book,val,,,\n00338.mp4,drink,test,0,20,-1\n"
)


KINDS = {
    "csv": lambda d: annotation_kind(d, "a.csv", TABLE.encode(), changed_table),
    "wlasl": lambda d: annotation_kind(
        d, "WLASL_v0.3.json", json.dumps(WLASL).encode()
    ),
    "nslt": lambda d: annotation_kind(d, "nslt_2.json", json.dumps(NSLT).encode()),
}

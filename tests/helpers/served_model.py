"""The model, limits and folders of a server that tests ask."""

from wlasl_tfrecord.serving.options import ServeOptions
from wlasl_tfrecord.shard_format.clips import ClipSpec

CLIP = ClipSpec(num_frames=4, height=32, width=32)
GLOSSES = ("book", "drink", "computer", "before", "chair")
OPTIONS = ServeOptions(
    max_mib=1, max_frames=200, max_at_once=4, upload_seconds=2, decode_seconds=20
)


def our_folders(temp_dir):
    # TensorFlow's AutoGraph has files there, too.
    return list(temp_dir.glob("wlasl-*"))


def kept_files(temp_dir):
    return [file for folder in our_folders(temp_dir) for file in folder.iterdir()]

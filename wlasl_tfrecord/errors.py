"""The errors of wlasl_tfrecord.

    WlaslError                  every error below; a command prints it and returns 1
    ├── ManifestError           the annotations or the folder of videos cannot be used
    ├── VideoError              one video cannot be made into a clip
    ├── ShardFolderError        a folder of shards is missing, damaged or too new
    │   └── RecordError         one record of a shard is damaged
    ├── OutputError             an output path is full, read-only or in use
    ├── RecipeError             a file of `models/`, or its weights, cannot be used
    └── TrainingError           a run cannot start, continue or be resumed

An argument that is wrong for any data is a `ValueError`, as everywhere in Python.
"""

__all__ = [
    "ManifestError",
    "OutputError",
    "RecipeError",
    "RecordError",
    "ShardFolderError",
    "TrainingError",
    "VideoError",
    "WlaslError",
]


class WlaslError(Exception):
    """The root; a message names what is wrong, the value and the way out."""


class ManifestError(WlaslError):
    """The annotations or the folder of videos cannot be used."""


class VideoError(WlaslError):
    """One video cannot be made into a clip; the run continues without it."""


class ShardFolderError(WlaslError):
    """A folder of shards is missing, damaged or of another format."""


class RecordError(ShardFolderError):
    """One record of a shard is damaged."""


class OutputError(WlaslError):
    """An output path is full, read-only or in use."""


class RecipeError(WlaslError):
    """A file of `models/`, or the weights it needs, cannot be used."""


class TrainingError(WlaslError):
    """A run cannot start, continue or be resumed."""

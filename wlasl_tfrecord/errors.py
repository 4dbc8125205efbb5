"""The errors of wlasl_tfrecord.

    WlaslError                  every error below; a command prints it and returns 1
    ├── ManifestError           the annotations or the folder of videos cannot be used
    ├── VideoError              one video cannot be made into a clip
    ├── ShardFolderError        a folder of shards is missing, damaged or too new
    │   └── RecordError         one record of a shard is damaged
    ├── StoreError              an object store cannot be used, or an object changed
    ├── OutputError             an output path is full, read-only or in use
    ├── RecipeError             a file of `models/`, or its weights, cannot be used
    ├── LandmarkError           the networks that find landmarks cannot be had or used
    ├── TrainingError           a run cannot start, continue or be resumed
    ├── DataServiceError        a tf.data service does not answer, or cannot read
    └── OutOfMemoryError        a network and its clips do not fit in memory

An argument that is wrong for any data is a `ValueError`, as everywhere in Python.
"""

from typing import Literal, get_args

__all__ = [
    "VIDEO_FAILURES",
    "DataServiceError",
    "LandmarkError",
    "ManifestError",
    "OutOfMemoryError",
    "OutputError",
    "RecipeError",
    "RecordError",
    "ShardFolderError",
    "StoreError",
    "TrainingError",
    "VideoError",
    "VideoFailure",
    "WlaslError",
]

# changed: the file was replaced, or out of reach, between planning and decoding; the
# next run tries it again. timeout and crash are what a video did to its worker.
VideoFailure = Literal[
    "unreadable",
    "too short",
    "range outside the video",
    "out of memory",
    "timeout",
    "crash",
    "changed",
]
VIDEO_FAILURES: tuple[VideoFailure, ...] = get_args(VideoFailure)


class WlaslError(Exception):
    """The root; a message names what is wrong, the value and the way out."""


class ManifestError(WlaslError):
    """The annotations or the folder of videos cannot be used."""


class VideoError(WlaslError):
    """One video cannot be made into a clip; the run continues without it.

    Args:
        kind: Which kind of failure it is; programs decide by it.
        details: What is wrong, for a person.
        name: The file's name, if the reader of the message does not know it.

    Raises:
        ValueError: If the kind is not one of `VIDEO_FAILURES`.

    >>> print(VideoError("unreadable", "not a video", name="00335.mp4"))
    00335.mp4: unreadable: not a video
    """

    def __init__(self, kind: VideoFailure, details: str, name: str = "") -> None:
        super().__init__(kind, details, name)
        if kind not in VIDEO_FAILURES:
            raise ValueError(f"no failure {kind!r}; known: {', '.join(VIDEO_FAILURES)}")
        self.kind: VideoFailure = kind
        self.details = details
        self.name = name

    @property
    def reason(self) -> str:
        """The kind and the details, without the name."""
        return f"{self.kind}: {self.details}"

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" if self.name else self.reason


class ShardFolderError(WlaslError):
    """A folder of shards is missing, damaged or of another format."""


class RecordError(ShardFolderError):
    """One record of a shard is damaged."""


class StoreError(WlaslError):
    """An object store cannot be used, or an object changed while it was read."""


class OutputError(WlaslError):
    """An output path is full, read-only or in use."""


class RecipeError(WlaslError):
    """A file of `models/`, or the weights it needs, cannot be used."""


class LandmarkError(WlaslError):
    """The networks that find landmarks cannot be had or used."""


class TrainingError(WlaslError):
    """A run cannot start, continue or be resumed."""


class DataServiceError(WlaslError):
    """A tf.data service does not answer, or cannot read the shards."""


class OutOfMemoryError(WlaslError):
    """A network and its clips do not fit in memory."""
